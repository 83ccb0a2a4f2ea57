"""Better patches in the mind: the plant, asked afterwards, agrees."""

from dataclasses import replace

import numpy as np
import pytest
from mirrornet.training.phrase_sampling import as_arrays

from mirrornet.budget import Budget
from mirrornet.features import FRAME_S, frame_times_s, hear_recording
from mirrornet.matching.patching import improve_patch
from mirrornet.matching.rehearsing import Rehearsal
from mirrornet.matching.surrogate import imagine_patch, imagine_transcript, patch_slopes
from mirrornet.models.mirrornet import shipped
from mirrornet.models.recording import RecordingModel
from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH
from tests.test_patching import melody

RATE_HZ = 32000
TRUE = {"wave": 75.0, "cutoff": 1500.0, "decay": 0.3, "sustain": 40.0}
WRONG = {"wave": 55.0, "cutoff": 4000.0, "decay": 1.0, "sustain": 80.0}


@pytest.fixture(scope="module")
def model() -> RecordingModel:
    return RecordingModel.load(shipped("patch"))


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("patch", RATE_HZ)


@pytest.fixture
def rehearsal(vital) -> Rehearsal:
    target = vital.play(melody(TRUE))
    return Rehearsal(vital, melody(WRONG), target, Budget(None))


def test_the_decoder_finds_a_better_patch_without_a_render(model, rehearsal):
    rows, knobs = as_arrays(PATCH, rehearsal.notes)
    given = rows[: len(rehearsal.notes)], rehearsal.target, knobs.astype(float)
    found = imagine_patch(model, *given, keep=3)
    assert len(found) == 3
    assert all((one >= 0).all() and (one <= 1).all() for one in found)
    start, best = (rehearsal.play(one).error for one in (knobs.astype(float), found[0]))
    assert best < 0.3 * start
    np.testing.assert_array_equal(imagine_patch(model, *given, keep=3), found)


def test_silence_around_the_notes_and_ghosts_in_it_change_little(model, vital, rehearsal):
    sound = vital.play(melody(TRUE))
    errors = []
    for around_s in (0, 20):
        silence = np.zeros(around_s * RATE_HZ, np.float32)
        heard = hear_recording(np.concatenate([silence, sound, silence]), RATE_HZ)
        read = model.transcribe(heard)
        if around_s:
            ghost = replace(read.notes[0], onset_s=5.0, offset_s=9.0, sure=0.05)
            read = replace(read, notes=[ghost, *read.notes])
        knobs = imagine_transcript(model, read, heard).knobs
        errors.append(rehearsal.play(knobs).error)
    assert errors[1] < errors[0] + 0.03


def test_all_knobs_of_a_transcript_move_alike(model, vital):
    heard = hear_recording(vital.play(melody(TRUE)), RATE_HZ)
    read = model.transcribe(heard)
    better = imagine_transcript(model, read, heard)
    assert [note.pitch_midi for note in better.notes] == [note.pitch_midi for note in read.notes]
    assert not np.allclose(better.knobs, read.knobs)
    own, moved = (np.array([note.knobs for note in t.notes]) for t in (read, better))
    cutoff = [control.name for control in PATCH.shared].index("cutoff")
    np.testing.assert_allclose(
        moved[:, cutoff], (own[:, cutoff] + better.knobs[cutoff] - read.knobs[cutoff]).clip(0, 1)
    )


def test_slopes_foretell_what_a_knob_does(model, rehearsal):
    rows, knobs = as_arrays(PATCH, rehearsal.notes)
    times_s = frame_times_s(rehearsal.target.shape[-1])
    slopes = patch_slopes(model, rows[: len(rehearsal.notes)], knobs.astype(float), times_s)
    assert slopes.shape == (176 * len(times_s), len(knobs))
    cutoff = [control.name for control in PATCH.shared].index("cutoff")
    moved = knobs.astype(float)
    moved[cutoff] -= 0.05
    change = rehearsal.play(moved).heard - rehearsal.play(knobs.astype(float)).heard
    likeness = np.corrcoef(change.ravel(), -slopes[:, cutoff])[0, 1]
    assert likeness > 0.7


def test_a_few_renders_go_further_with_the_decoder(model, vital):
    target = vital.play(melody(TRUE))
    heard = hear_recording(target, RATE_HZ)
    errors = []
    for ear in (None, model):
        found = improve_patch(vital, melody(WRONG), target, Budget(12), ear)
        again = hear_recording(vital.play(found, heard.shape[-1] * FRAME_S), RATE_HZ)
        errors.append(float(np.mean((again[:, :180] - heard[:, :180]) ** 2)))
    assert errors[1] < 0.5 * errors[0]
