"""A patch is bettered by renders of an excerpt."""

import numpy as np
import pytest
from mirrornet.training.phrase_sampling import shared_knobs

from mirrornet.budget import Budget
from mirrornet.cochlea import CHANNELS
from mirrornet.features import hear_recording
from mirrornet.matching.patching import improve_patch
from mirrornet.matching.rehearsing import EXCERPT_S, MOST_NOTES, excerpt
from mirrornet.plants.vital import Vital
from mirrornet.score import Note
from tests.test_patch import SINE

RATE_HZ = 32000


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("patch", RATE_HZ)


def melody(knobs: dict[str, float]) -> list[Note]:
    pitches = (60, 64, 67, 62)
    return [Note(p, 0.4 * n, 0.4 * n + 0.3, SINE | knobs) for n, p in enumerate(pitches)]


def test_renders_bring_the_patch_closer(vital: Vital):
    target = vital.play(melody({"wave": 75.0, "cutoff": 1500.0, "decay": 0.3}))
    heard = hear_recording(target, RATE_HZ)[:, :180]
    start = melody({"wave": 55.0, "cutoff": 3000.0, "sustain": 70.0})
    found = improve_patch(vital, start, target, Budget(60))
    errors = [
        np.mean((hear_recording(vital.play(notes, 1.6), RATE_HZ)[:, :180] - heard) ** 2)
        for notes in (start, found)
    ]
    assert errors[1] < 0.3 * errors[0]
    assert [(n.pitch_midi, n.onset_s, n.controls["level"]) for n in found] == [
        (n.pitch_midi, n.onset_s, n.controls["level"]) for n in start
    ]
    for name in shared_knobs(vital.controls):
        assert len({note.controls[name] for note in found}) == 1


def test_overtones_above_4_khz_are_matched(vital: Vital):
    """Of C7, only the fundamental lies below: a triangle and a square differ in nothing else."""

    def tone(wave: float) -> list[Note]:
        knobs = SINE | {"wave": wave, "cutoff": 12000.0}
        return [Note(96, 0.3 * n, 0.3 * n + 0.2, knobs) for n in range(3)]

    target = vital.play(tone(50.0), 1.0)
    heard = hear_recording(target, RATE_HZ)[CHANNELS + 6 :]
    found = improve_patch(vital, tone(20.0), target, Budget(40))
    errors = [
        np.mean((hear_recording(vital.play(notes, 1.0), RATE_HZ)[CHANNELS + 6 :] - heard) ** 2)
        for notes in (tone(20.0), found)
    ]
    assert errors[1] < 0.3 * errors[0]


def test_no_more_renders_are_spent_than_allowed(vital: Vital, monkeypatch):
    played = []
    play = vital.play
    target = play(melody({}))
    monkeypatch.setattr(vital, "play", lambda *given: played.append(1) or play(*given))
    improve_patch(vital, melody({"wave": 40.0}), target, Budget(23))
    assert len(played) == 23


def test_the_true_patch_scores_nothing_in_a_soft_and_legato_excerpt(vital: Vital):
    """Whatever was louder elsewhere, and whatever follows."""
    loud = [Note(60, 1.0 * n, 1.0 * n + 0.9, SINE) for n in range(3)]
    soft = [Note(62 + n, 4 + 0.15 * n, 4.15 + 0.15 * n, SINE | {"level": -20.0}) for n in range(16)]
    notes = loud + soft
    target = vital.play(notes, 7.0)
    start_s, end_s, some = excerpt(notes, 7.0)
    part = target[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    heard = hear_recording(part, RATE_HZ)
    again = hear_recording(vital.play(some, end_s - start_s), RATE_HZ)
    assert np.mean((again - heard) ** 2) / np.var(heard) < 0.01


def test_an_excerpt_holds_as_many_notes_as_possible():
    slow = [Note(60, 2.0 * n, 2.0 * n + 1.5, SINE) for n in range(5)]
    quick = [Note(72, 20 + 0.2 * n, 20.1 + 0.2 * n, SINE) for n in range(40)]
    start_s, end_s, notes = excerpt(slow + quick, 30.0)
    assert len(notes) == MOST_NOTES
    assert start_s == 20.0
    assert end_s == pytest.approx(20 + 0.2 * MOST_NOTES)
    assert all(note.pitch_midi == 72 for note in notes)
    assert all(0 <= note.onset_s < EXCERPT_S for note in notes)
    drone = [Note(48, 3.0, 60.0, SINE)]
    start_s, end_s, notes = excerpt(drone, 60.0)
    assert (start_s, end_s) == (3.0, 3.0 + EXCERPT_S)
    assert (notes[0].onset_s, notes[0].offset_s) == (0.0, EXCERPT_S)
