"""Detection of notes outside the range of pitches that can be read, from spectrum and period.

A network that reads pitches between two limits gives every note a pitch between them, also a note
outside them: an octave off, or arbitrary. Two measures of the sound itself detect such notes: a
note above the range has hardly any power below the upper limit; a note below it has a longer period
than any in the range, and no period within the range.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..audio import resample
from ..score import Note

LONGEST_S = 0.3  # of a note's beginning that is analysed, at most
SHORTEST_S = 0.08  # shorter notes are not analysed
PERIOD_RATE_HZ = 8000
ABOVE_DB = -20.0  # share of power below the limit; of notes within the range, -11 or more
LONGER = 0.15  # by how much the autocorrelation is higher at a longer period; in range, <= .07
# Chords have long periods, too, but little power in odd harmonics: mostly a third or less.
ODD_SHARE = 0.4
OCTAVES = 2  # how far below the limit periods are searched

Sound = Float[np.ndarray, " sample"]


def notes_beyond(
    sound: Sound, sample_rate_hz: int, notes: Sequence[Note], pitches: range
) -> tuple[int, int]:
    """The numbers of notes above and below the `pitches` (MIDI) that can be read."""
    slow = resample(sound, sample_rate_hz, PERIOD_RATE_HZ)
    above = [_lies_above(_part(sound, sample_rate_hz, n), sample_rate_hz, pitches) for n in notes]
    below = [_lies_below(_part(slow, PERIOD_RATE_HZ, n), pitches) for n in notes]
    return sum(above), sum(below)


def _part(sound: Sound, sample_rate_hz: int, note: Note) -> Sound:
    """The beginning of a note, up to `LONGEST_S`."""
    end_s = min(note.offset_s, note.onset_s + LONGEST_S)
    return sound[int(note.onset_s * sample_rate_hz) : int(end_s * sample_rate_hz)]


def _lies_above(part: Sound, sample_rate_hz: int, pitches: range) -> bool:
    if len(part) < SHORTEST_S * sample_rate_hz:
        return False
    power = np.square(np.abs(np.fft.rfft(part * np.hanning(len(part)))))
    within = np.fft.rfftfreq(len(part), 1 / sample_rate_hz) < _hz(pitches[-1] + 0.3)
    return bool(power[within].sum() < 10 ** (ABOVE_DB / 10) * power.sum())


def _lies_below(part: Sound, pitches: range) -> bool:
    if len(part) < SHORTEST_S * PERIOD_RATE_HZ:
        return False
    alike = _self_likeness(part)
    peaks = np.flatnonzero((alike[1:-1] > alike[:-2]) & (alike[1:-1] >= alike[2:])) + 1
    longest = PERIOD_RATE_HZ / _hz(pitches[0] - 0.5)  # period, in samples
    short = alike[peaks[peaks < longest]].max(initial=0.0)
    long = peaks[(peaks >= longest) & (peaks < longest * 2**OCTAVES)]
    if not len(long) or alike[long].max() < short + LONGER:
        return False
    return _odd_share(part, int(long[alike[long].argmax()])) > ODD_SHARE


def _odd_share(part: Sound, period: int) -> float:
    """The share of odd harmonics in the power near the harmonics of a period (in samples)."""
    power = np.square(np.abs(np.fft.rfft(part * np.hanning(len(part)), 4 * len(part))))
    harmonics = np.arange(len(power)) * period / (4 * len(part))
    nearest = np.rint(harmonics)
    near = (np.abs(harmonics - nearest) < 0.25) & (nearest > 0)
    return float(power[near & (nearest % 2 == 1)].sum() / power[near].sum())


def _self_likeness(part: Sound) -> Float[np.ndarray, " lag"]:
    """The normalised autocorrelation, -1..1, at each lag up to half the sound's length."""
    samples = len(part)
    centred = part - part.mean(dtype=np.float64)
    spectrum = np.fft.rfft(centred, 2 * samples)
    products = np.fft.irfft(np.square(np.abs(spectrum)))[: samples // 2]
    energy = np.concatenate([[0.0], np.square(centred).cumsum()])
    lags = np.arange(samples // 2)
    both = energy[samples - lags] * (energy[-1] - energy[lags])
    return products / np.sqrt(np.maximum(both, 1e-12))


def _hz(pitch_midi: float) -> float:
    return 440 * 2 ** ((pitch_midi - 69) / 12)
