"""A wavetable cut from the recording, as synthesizers import one: a steady cycle, without learning.

Vital and others let a user drop a sound on the oscillator. Here the cycle is that of the middle of
the longest note that was read, with the phases left out: it has no envelope, noise or registers.
"""

import numpy as np
from jaxtyping import Float

from ...plants import Plant
from ...plants.timbre import HARMONICS
from ...score import Score

CYCLES = 12  # in the window whose spectrum is taken
QUIET_DB = -100.0
RELEASE_S, RELEASE_CURVE = 0.1, 6.0


def cut_wavetable(plant: Plant, score: Score, sound: Float[np.ndarray, " sample"]) -> Score:
    """The notes of `score` with a patch for a `plant` that has a timbre."""
    tune = plant.controls.own.of_role("tune")
    note = max(score.notes, key=lambda note: note.offset_s - note.onset_s)
    pitch = note.pitch_midi + plant.transposition
    pitch += note.controls[tune.name] / 100 if tune is not None else 0.0
    pitch_hz = 440 * 2 ** ((pitch - 69) / 12)
    middle = round(0.5 * (note.onset_s + note.offset_s) * plant.sample_rate_hz)
    half = round(0.5 * CYCLES * plant.sample_rate_hz / pitch_hz)
    part = sound[max(middle - half, 0) : middle + half]
    times_s = np.arange(len(part)) / plant.sample_rate_hz
    window = np.hanning(len(part)) * part
    amplitudes = [np.abs(window @ np.exp(-2j * np.pi * n * pitch_hz * times_s)) for n in HARMONICS]
    beyond = np.array(HARMONICS) * pitch_hz > 0.5 * plant.sample_rate_hz
    shares = np.where(beyond, 0.0, amplitudes) / max(amplitudes)
    level_db = 20 * np.log10(np.maximum(shares, 1e-5))
    patch = {}
    for control in plant.controls.patch:
        match control.role:
            case "harmonics":
                patch[control.name] = np.broadcast_to(level_db, control.shape).copy()
            case "noise" | "partial_levels":
                patch[control.name] = np.full(control.shape, QUIET_DB)
            case "release":
                patch[control.name] = RELEASE_S
            case "release_curve":
                patch[control.name] = RELEASE_CURVE
            case "low_key":
                patch[control.name] = 40.0
            case "high_key":
                patch[control.name] = 80.0
            case "bend":
                patch[control.name] = np.zeros(control.shape)
            case _:
                low = control.low
                patch[control.name] = np.full(control.shape, low) if control.shape else low
    return Score(score.notes, patch, score.duration_s)
