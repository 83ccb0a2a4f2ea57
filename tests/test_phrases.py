"""What the plant babbles to learn recordings: playable, varied, and labelled by itself."""

from itertools import pairwise

import numpy as np
import pytest
from mirrornet.training.phrase_sampling import (
    MOST_NOTES,
    PHRASE_S,
    SHORTEST_NOTE_S,
    as_arrays,
    babble_phrases,
    frame_labels,
    one_voice,
    random_phrase,
    shared_knobs,
)

from mirrornet.features import FRAME_S
from mirrornet.plants.pool import Pool
from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH


def phrases(count: int):
    return [random_phrase(PATCH, np.random.default_rng(n)) for n in range(count)]


def test_phrases_are_of_one_voice_and_one_patch():
    for phrase in phrases(50):
        assert 1 <= len(phrase) <= MOST_NOTES
        for one, following in pairwise(one_voice(phrase)):
            assert one.onset_s < one.offset_s <= following.onset_s
        assert all(n.offset_s - n.onset_s > 0.9 * SHORTEST_NOTE_S for n in phrase[:-1])
        assert phrase[-1].offset_s <= PHRASE_S
        for name in shared_knobs(PATCH):
            assert len({note.controls[name] for note in phrase}) == 1


def test_phrases_reach_all_pitches_and_knobs():
    many = phrases(400)
    pitches = [note.pitch_midi for phrase in many for note in phrase]
    assert min(pitches) == 24
    assert max(pitches) == 96
    for name in shared_knobs(PATCH):
        control = PATCH[PATCH.row(name)]
        values = control.from_physical([phrase[0].controls[name] for phrase in many])
        assert values.min() < 0.1, name
        assert values.max() > 0.9, name


def test_some_phrases_ring_and_some_are_slurred():
    many = phrases(200)
    lapped = [any(a.offset_s > b.onset_s for a, b in pairwise(phrase)) for phrase in many]
    ringing = [p for p, laps in zip(many, lapped, strict=True) if laps]
    assert 0.1 < np.mean(lapped) < 0.5
    assert {p[0].controls["sustain"] > 0 for p in ringing} == {True, False}


def test_a_plucked_note_ends_when_it_has_decayed():
    plucked = [p for p in phrases(300) if p[0].controls["sustain"] == 0]
    assert plucked
    for phrase in plucked:
        knobs = phrase[0].controls
        longest_s = max(knobs["attack"] + knobs["decay"], SHORTEST_NOTE_S)
        assert all(n.offset_s - n.onset_s <= longest_s + 1e-9 for n in phrase)


def test_the_same_seed_gives_the_same_phrases_and_they_can_be_played():
    one, again = phrases(1)[0], phrases(1)[0]
    assert one == again
    assert np.abs(Vital("patch").play(one, PHRASE_S)).max() > 1e-3


def test_labels_say_which_note_is_held():
    phrase = next(p for p in phrases(50) if len(p) >= 4 and p[1].onset_s - p[0].offset_s > 0.05)
    notes, knobs = as_arrays(PATCH, phrase)
    held = frame_labels(notes[None], 500)[0]
    assert np.isfinite(notes[: len(phrase)]).all()
    assert np.isnan(notes[len(phrase) :]).all()
    assert ((knobs >= 0) & (knobs <= 1)).all()
    for number, note in enumerate(phrase):
        middle = round(0.5 * (note.onset_s + note.offset_s) / FRAME_S)
        assert held[min(middle, 499)] == number
    rests = [n for n, (a, b) in enumerate(pairwise(phrase)) if b.onset_s - a.offset_s > 0.05]
    for n in rests:
        middle = 0.5 * (phrase[n].offset_s + phrase[n + 1].onset_s)
        assert held[round(middle / FRAME_S)] == -1


@pytest.fixture(scope="module")
def pool():
    with Pool("vital", workers=1, controls="patch", sample_rate_hz=32000) as pool:
        yield pool


def test_babble_is_kept_and_not_played_again(pool, tmp_path, monkeypatch):
    babble = babble_phrases(pool, 5, 0, tmp_path)
    assert babble.heard.shape[1:] == (176, 500)
    assert babble.heard[:, :128].astype(float).mean((1, 2)) == pytest.approx(
        np.ones(len(babble)), rel=0.01
    )
    monkeypatch.setattr(pool, "hear_notes", None)
    again = babble_phrases(pool, 5, 0, tmp_path)
    np.testing.assert_array_equal(again.heard, babble.heard)
