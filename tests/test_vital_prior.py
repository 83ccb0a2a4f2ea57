"""What Vital babbles to learn recordings: playable and varied."""

from itertools import pairwise

import numpy as np

from mirrornet.plants.prior import PHRASE_S, SHORTEST_NOTE_S
from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH
from mirrornet.plants.vital_prior import MOST_NOTES, random_phrase
from mirrornet.score import Score, one_voice


def phrases(count: int) -> list[Score]:
    return [random_phrase(PATCH, np.random.default_rng(n)) for n in range(count)]


def test_phrases_are_of_one_voice_and_one_patch():
    for phrase in phrases(50):
        notes = phrase.notes
        assert 1 <= len(notes) <= MOST_NOTES
        for one, following in pairwise(one_voice(notes)):
            assert one.onset_s < one.offset_s <= following.onset_s
        assert all(n.offset_s - n.onset_s > 0.9 * SHORTEST_NOTE_S for n in notes[:-1])
        assert notes[-1].offset_s <= PHRASE_S
        assert phrase.one_patch
        assert set(phrase.patch) == set(PATCH.patch.names)
        for name in PATCH.patch.names:
            assert len({note.controls[name] for note in phrase.resolved}) == 1


def test_phrases_reach_all_pitches_and_knobs():
    many = phrases(400)
    pitches = [note.pitch_midi for phrase in many for note in phrase.notes]
    assert min(pitches) == 24
    assert max(pitches) == 96
    for control in PATCH.patch:
        values = control.from_physical([phrase.patch[control.name] for phrase in many])
        assert values.min() < 0.1, control.name
        assert values.max() > 0.9, control.name


def test_some_phrases_ring_and_some_are_slurred():
    many = phrases(200)
    lapped = [any(a.offset_s > b.onset_s for a, b in pairwise(phrase.notes)) for phrase in many]
    ringing = [p for p, laps in zip(many, lapped, strict=True) if laps]
    assert 0.1 < np.mean(lapped) < 0.5
    assert {p.patch["sustain"] > 0 for p in ringing} == {True, False}


def test_a_plucked_note_ends_when_it_has_decayed():
    plucked = [p for p in phrases(300) if p.patch["sustain"] == 0]
    assert plucked
    for phrase in plucked:
        longest_s = max(phrase.patch["attack"] + phrase.patch["decay"], SHORTEST_NOTE_S)
        assert all(n.offset_s - n.onset_s <= longest_s + 1e-9 for n in phrase.notes)


def test_the_same_seed_gives_the_same_phrases_and_they_can_be_played():
    one, again = phrases(1)[0], phrases(1)[0]
    assert one == again
    sound = Vital("patch").render(one)
    assert len(sound) == PHRASE_S * 16000
    assert np.abs(sound).max() > 1e-3


def test_they_are_what_vital_draws_with_its_patch():
    drawn = Vital("patch").sample(np.random.default_rng(0))
    assert drawn == phrases(1)[0]
