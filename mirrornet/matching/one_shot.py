"""Sounds without a pitch: a kick, a snare, a cymbal. One note triggers the whole sound.

Its key is low, so that the harmonics of the timbre lie close together; with the noise they can form
the spectrum of any sound, and how it changes.
"""

import numpy as np
from jaxtyping import Float

from ..errors import AudioError
from ..features import FRAME_S
from ..plants import Plant
from ..score import Note, Score, note_name, on_tick
from .levels import Spectrogram
from .timbre import TimbreMatch

KEY_MIDI = 36
LONGEST_S = 4.0  # of the sound; noise lasts no longer
ONSET, END = 0.1, 0.03  # of the greatest loudness
CLEARER = 0.8  # least ratio of errors at which one note is preferred to those that were read


def one_shot(plant: Plant, heard: Spectrogram, duration_s: float) -> Score:
    """A score of one note, from the sound's onset to its end, for a plant that has a timbre.

    Raises AudioError for silence.
    """
    loudness = heard.mean(0)
    if not loudness.max() > 0:
        raise AudioError("there is only silence in the sound; give another one.")
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


def warning(score: Score) -> str:
    """A sentence for users."""
    name = note_name(score.notes[0].pitch_midi)
    return f"No pitch was heard; one note, {name}, plays the whole sound."
