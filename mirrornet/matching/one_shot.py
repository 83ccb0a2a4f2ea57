"""One-shots: a kick, a snare, a cymbal. One note triggers the whole sound.

Its pitch is that of the drum, which may fall; or it is low, so that the harmonics of the timbre lie
close together: with the noise they can form the spectrum of any sound, and how it changes.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, fftconvolve, hilbert, sosfiltfilt

from ..controls import Value
from ..features import FRAME_S
from ..plants import Plant
from ..plants.base import PITCHES_MIDI
from ..plants.timbre import TIMES_S
from ..score import Note, Score, on_tick
from .levels import Spectrogram
from .timbre import CLEARER, TimbreMatch

PITCH_MIDI = 36
LONGEST_S = 4.0  # of the sound; noise lasts no longer
FALLEN, RISEN = 0.3, 0.6  # of the greatest loudness: a sound that falls and rises so is hit again
ONE_SHOT = "No clear pitch was heard; one note plays the whole sound."
ONSET, END = 0.1, 0.03  # of the greatest loudness
# A drum's tone: its band, its share of the sound's power, and the mean deviation of the frequency
# in a window, as a share of it.
LOW_HZ, LOW_SHARE, WINDOW_S, MOST_SPREAD = (25.0, 1000.0), 0.3, 0.012, 0.2
SETTLED_S = 0.004  # time after the onset from which the frequency is known
FADED = 0.03  # share of the greatest power at which the tone has faded


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


def one_shot(
    plant: Plant,
    heard: Spectrogram,
    duration_s: float,
    pitch: float = PITCH_MIDI,
    bend: Value | None = None,
) -> Score:
    """A score of one note, from the sound's onset to its end. `pitch` is fractional MIDI; of the
    patch it has at most the bend, in semitones at `TIMES_S`."""
    onset_s, end_s = _span_s(heard)
    onset_s, offset_s = on_tick(onset_s), on_tick(min(end_s, duration_s))
    cents = 100 * (pitch - round(pitch))
    own = {
        control.name: control.high
        if control.role == "level"
        else cents
        if control.role == "tune"
        else control.to_physical(0.5).item()
        for control in plant.controls.own
    }
    key = round(pitch) - plant.transposition
    note = Note(key, onset_s, max(offset_s, onset_s + FRAME_S), own)
    control = plant.controls.patch.of_role("bend")
    patch = {} if bend is None or control is None else {control.name: bend}
    return Score([note], patch, duration_s)


def drum(
    plant: Plant, target: Float[np.ndarray, " sample"], heard: Spectrogram, duration_s: float
) -> Score | None:
    """A score of one note whose pitch is that of the low part of the sound, and falls with it; None
    if that is not one tone, as in a cymbal."""
    rate_hz = plant.sample_rate_hz
    band = butter(2, LOW_HZ, "bandpass", fs=rate_hz, output="sos")
    margin = rate_hz // 10
    low = np.asarray(sosfiltfilt(band, np.pad(target, margin)))
    if np.square(low).sum() < LOW_SHARE * np.square(target).sum():
        return None
    wave = np.asarray(hilbert(low))[margin:-margin]
    power = np.square(np.abs(wave))
    turns_hz = np.gradient(np.unwrap(np.angle(wave))) * rate_hz / (2 * math.pi)
    window = np.hanning(round(WINDOW_S * rate_hz))

    def mean(values: Float[np.ndarray, " sample"]) -> Float[np.ndarray, " sample"]:
        found = fftconvolve(power * values, window, "same")
        return found / np.maximum(fftconvolve(power, window, "same"), 1e-9 * power.max())

    at_hz = mean(turns_hz)
    spread = np.sqrt(np.maximum(mean(np.square(turns_hz)) - np.square(at_hz), 0))
    onset = round(_span_s(heard)[0] * rate_hz)
    later = slice(onset + len(window), None)
    if (power * spread)[later].sum() > MOST_SPREAD * (power * at_hz)[later].sum():
        return None
    loud = np.flatnonzero(power > FADED * power.max())
    last_s = max(float(loud[-1] - onset) / rate_hz, SETTLED_S)
    times_s = np.clip(TIMES_S, SETTLED_S, last_s)
    places = np.minimum(onset + np.round(times_s * rate_hz).astype(int), len(at_hz) - 1)
    curve = 69 + 12 * np.log2(np.maximum(at_hz[places], 20) / 440)
    pitch = float(np.clip(curve[-1], PITCHES_MIDI[0], PITCHES_MIDI[-1]))
    bend = plant.controls.patch.of_role("bend")
    if bend is None:
        return None
    falls = np.round(curve - pitch, 2).clip(bend.low, bend.high)
    return one_shot(plant, heard, duration_s, pitch, falls)


def is_one_shot(as_read: TimbreMatch | None, shots: Sequence[TimbreMatch]) -> bool:
    """Whether one note's timbre predicts the sound better than that of the notes that were read."""
    if as_read is None:
        return True
    return min(one.fit.misses() for one in shots) < CLEARER * as_read.fit.misses()


def one_shots(
    plant: Plant, target: Float[np.ndarray, " sample"], heard: Spectrogram, duration_s: float
) -> list[Score]:
    """The scores of one note that may play a sound."""
    tone = drum(plant, target, heard, duration_s)
    return [one_shot(plant, heard, duration_s), *([tone] if tone else [])]


def _span_s(heard: Spectrogram) -> tuple[float, float]:
    """When a sound starts and ends, in s."""
    loudness = heard.mean(0)
    begun = int(np.argmax(loudness > ONSET * loudness.max()))
    ended = int(np.flatnonzero(loudness > END * loudness.max())[-1])
    return FRAME_S * max(begun - 1, 0), FRAME_S * (ended + 1)
