"""Sounds without a pitch: a kick, a snare, a cymbal. One note triggers the whole sound.

Its key is low, so that the harmonics of the timbre lie close together; with the noise they can form
the spectrum of any sound, and how it changes.
"""

import numpy as np
from jaxtyping import Float

from ..features import FRAME_S
from ..plants import Plant
from ..score import Note, Score, on_tick
from .levels import Spectrogram
from .timbre import TimbreMatch

KEY_MIDI = 36
LONGEST_S = 4.0  # of the sound; noise lasts no longer
FALLEN, RISEN = 0.3, 0.6  # of the greatest loudness: a sound that falls and rises so is hit again
ONE_SHOT = "No clear pitch was heard; one note plays the whole sound."
ONSET, END = 0.1, 0.03  # of the greatest loudness
CLEARER = 0.8  # least ratio of errors at which one note is preferred to those that were read


def may_be_one_shot(heard: Spectrogram) -> bool:
    """Whether a sound is short, and does not begin again."""
    if heard.shape[-1] * FRAME_S > LONGEST_S + FRAME_S:
        return False
    loudness = heard.mean(0) / max(float(heard.mean(0).max()), 1e-9)
    begun = fallen = False
    for value in loudness.tolist():
        if fallen and value > RISEN:
            return False
        begun = begun or value > RISEN
        fallen = begun and (fallen or value < FALLEN)
    return begun


def one_shot(plant: Plant, heard: Spectrogram, duration_s: float) -> Score:
    """A score of one note, from the sound's onset to its end, for a plant that has a timbre."""
    loudness = heard.mean(0)
    begun = int(np.argmax(loudness > ONSET * loudness.max()))
    ended = int(np.flatnonzero(loudness > END * loudness.max())[-1])
    onset_s = on_tick(FRAME_S * max(begun - 1, 0))
    offset_s = on_tick(min(FRAME_S * (ended + 1), duration_s))
    own = {
        control.name: control.high if control.role == "level" else control.to_physical(0.5).item()
        for control in plant.controls.own
    }
    note = Note(KEY_MIDI - plant.transposition, onset_s, max(offset_s, onset_s + FRAME_S), own)
    return Score([note], {}, duration_s)


def is_one_shot(
    plant: Plant,
    score: Score,
    shot: Score,
    target: Float[np.ndarray, " sample"],
    heard: Spectrogram,
) -> bool:
    """Whether one note's timbre predicts the sound better than the notes that were read."""
    if not score.notes:
        return True
    errors = []
    for one in (shot, score):
        fit = TimbreMatch(plant, one, target, heard).fit
        fit.fit(fit.target)
        errors.append(float((fit.expected() - fit.target).square().mean()))
    return errors[0] < CLEARER * errors[1]
