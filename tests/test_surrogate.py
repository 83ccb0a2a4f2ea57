"""Better patches in the mind: the plant, asked afterwards, agrees."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from mirrornet.budget import Budget
from mirrornet.features import FRAME_S, frame_times_s, hear_recording
from mirrornet.matching.objective import Heard, RecordingObjective
from mirrornet.matching.refine import refine_recording
from mirrornet.matching.surrogate import (
    PatchSurrogate,
    optimise_patch,
    optimise_transcript,
    patch_slopes,
)
from mirrornet.matching.transcribe import transcribe
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH
from mirrornet.score import Note, Score, as_score, to_arrays
from tests.test_patch import SINE

RATE_HZ = 32000
TRUE = {"wave": 75.0, "cutoff": 1500.0, "decay": 0.3, "sustain": 40.0}
WRONG = {"wave": 55.0, "cutoff": 4000.0, "decay": 1.0, "sustain": 80.0}


def melody(knobs: dict[str, float]) -> Score:
    pitches = (60, 64, 67, 62)
    notes = [Note(p, 0.4 * n, 0.4 * n + 0.3, SINE | knobs) for n, p in enumerate(pitches)]
    return as_score(PATCH, notes)


@pytest.fixture(scope="module")
def model() -> MirrorNet:
    return load_model(controls="patch")


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("patch", RATE_HZ)


@pytest.fixture
def objective(vital) -> RecordingObjective:
    return RecordingObjective(vital, melody(WRONG), vital.render(melody(TRUE)))


def played(objective: RecordingObjective, knobs: np.ndarray) -> Heard:
    return objective.hear(knobs, Budget())


@pytest.mark.slow
def test_the_decoder_finds_a_better_patch_without_a_render(model, objective):
    notes = to_arrays(PATCH, objective.score).notes
    given = notes, objective.target, objective.start
    found = optimise_patch(model, *given, keep=3)
    assert len(found) == 3
    assert all((one >= 0).all() and (one <= 1).all() for one in found)
    start, best = (played(objective, one).error for one in (objective.start, found[0]))
    assert best < 0.3 * start
    np.testing.assert_array_equal(optimise_patch(model, *given, keep=3), found)


def test_silence_around_the_notes_and_ghosts_in_it_change_little(model, vital, objective):
    sound = vital.render(melody(TRUE))
    errors = []
    for around_s in (0, 20):
        silence = np.zeros(around_s * RATE_HZ, np.float32)
        heard = hear_recording(np.concatenate([silence, sound, silence]), RATE_HZ)
        read = transcribe(model, heard)
        if around_s:
            ghost = replace(read.notes[0], onset_s=5.0, offset_s=9.0, confidence=0.05)
            read = replace(read, notes=[ghost, *read.notes])
        knobs = optimise_transcript(model, read, heard).knobs
        errors.append(played(objective, knobs).error)
    assert errors[1] < errors[0] + 0.03


def test_all_knobs_of_a_transcript_move_alike(model, vital):
    heard = hear_recording(vital.render(melody(TRUE)), RATE_HZ)
    read = transcribe(model, heard)
    better = optimise_transcript(model, read, heard)
    assert [note.pitch_midi for note in better.notes] == [note.pitch_midi for note in read.notes]
    assert not np.allclose(better.knobs, read.knobs)
    own, moved = (np.array([note.knobs for note in t.notes]) for t in (read, better))
    # As far apart as before, but for knobs that came to an end, or around a circle.
    straight = np.array([not row.circular for row in PATCH.patch.rows])
    inside = np.all((moved > 0) & (moved < 1), 0) & straight
    assert inside.sum() > 8
    np.testing.assert_allclose(np.diff(moved, axis=0)[:, inside], np.diff(own, axis=0)[:, inside])
    way = better.knobs - read.knobs
    assert (np.sign(moved - own) == np.sign(way))[:, inside & (np.abs(way) > 1e-3)].all()


def test_slopes_foretell_what_a_knob_does(model, objective):
    notes, knobs = to_arrays(PATCH, objective.score).notes, objective.start
    times_s = frame_times_s(objective.target.shape[-1])
    slopes = patch_slopes(model, notes, knobs, times_s)
    assert slopes.shape == (176 * len(times_s), len(knobs))
    cutoff = PATCH.patch.row("cutoff")
    moved = knobs.copy()
    moved[cutoff] -= 0.05
    change = played(objective, moved).compressed - played(objective, knobs).compressed
    likeness = np.corrcoef(change.ravel(), -slopes[:, cutoff])[0, 1]
    assert likeness > 0.7


@pytest.mark.slow
def test_a_few_renders_go_further_with_the_decoder(model, vital):
    target = vital.render(melody(TRUE))
    heard = hear_recording(target, RATE_HZ)
    errors = []
    for ear in (None, partial(PatchSurrogate, model)):
        found = refine_recording(vital, melody(WRONG), target, Budget(12), ear)
        found = replace(found, duration_s=heard.shape[-1] * FRAME_S)
        again = hear_recording(vital.render(found), RATE_HZ)
        errors.append(float(np.mean((again[:, :180] - heard[:, :180]) ** 2)))
    assert errors[1] < 0.5 * errors[0]
