"""The tempo of notes: the grid of beats on which their onsets lie.

For every tempo and phase the likelihood of the onsets is computed: each lies near a beat, a half, a
quarter or a third of one, or nowhere near. Tempos near 110 beats per minute are likelier to begin
with, as in music. (Beats as the best grid of onsets: D. Rosenthal, "Emulation of human rhythm
perception", Computer Music Journal 16(1), 1992; the prior: D. Moelants, ICMPC 2002.)
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .errors import ControlError

LOWEST_BPM, HIGHEST_BPM = 50.0, 200.0
STEP = 0.004  # between tempos that are tried, as a share; and how near two are the same
SAME = 0.03
USUAL_BPM, SPREAD = 110.0, 0.3  # and standard deviation of the logarithm
PART_S, MOST_PARTS = 12.0, 6  # of a long recording that are compared
PHASES = 96  # of a beat that are tried
EARLY_S = 0.018  # standard deviation of onsets about the grid
# Places within a beat: how likely an onset is there.
PLACES = {0.0: 0.5, 0.5: 0.27, 0.25: 0.065, 0.75: 0.065, 1 / 3: 0.03, 2 / 3: 0.03}
ANYWHERE = 0.04
# Exponent of a beat's length in the likelihood: 1 would favour slow beats, with few of many places
# taken, 0 quick ones.
DENSITY = 0.5
CAUTION = 0.5  # exponent of probabilities, as onsets are not independent
LEAST_SURE = 0.3  # below it no tempo is told
FEWEST = 4  # onsets
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0  # that may be given
VALUES = ("4", "8", "12", "16", "24", "32")  # of notes, as parts of a whole; 12 and 24: triplets


class Tempo(NamedTuple):
    """A grid of beats."""

    bpm: float
    first_s: float
    """The time of the beat with which the music begins: the last one before the first onset, or
    that onset's."""
    confidence: float | None
    """0..1: the probability of this tempo against the others, half and double included; None if it
    was given."""

    @property
    def bar_s(self) -> float:
        """Where the first whole bar starts: the first beat in the sound."""
        return self.first_s if self.first_s >= 0 else self.first_s + 60 / self.bpm

    def part_s(self, parts: int) -> float:
        """The duration of a `parts`-th of a whole note, of four beats."""
        return 240 / self.bpm / parts


def estimate_tempo(onsets_s: Sequence[float]) -> Tempo | None:
    """Estimate the tempo of notes with these onsets; None for fewer than `FEWEST`, or if none is
    much likelier than others."""
    times_s = _distinct(onsets_s)
    if len(times_s) < FEWEST:
        return None
    parts = _parts(times_s)
    count = int(np.log(HIGHEST_BPM / LOWEST_BPM) / STEP) + 1
    tempos = LOWEST_BPM * np.exp(STEP * np.arange(count))
    scores = np.array([[_best_phase(part, 60 / bpm)[0] for bpm in tempos] for part in parts])
    total = scores.mean(0) - 0.5 * (np.log(tempos / USUAL_BPM) / SPREAD) ** 2
    best = int(total.argmax())
    likely = np.exp(CAUTION * (total - total[best]))
    near = np.abs(np.log(tempos / tempos[best])) < SAME
    confidence = float(likely[near].sum() / likely.sum())
    if confidence < LEAST_SURE:
        return None
    return Tempo(*_refined(times_s, float(tempos[best])), confidence)


def _parts(times_s: Float[np.ndarray, " onset"]) -> list[Float[np.ndarray, "..."]]:
    """Onsets of parts of a recording, so short that tempos one `STEP` apart do not drift apart."""
    length_s = times_s[-1] - times_s[0]
    if length_s <= 1.5 * PART_S:
        return [times_s]
    starts_s = np.linspace(
        times_s[0], times_s[-1] - PART_S, min(int(length_s / PART_S), MOST_PARTS)
    )
    parts = [times_s[(times_s >= start) & (times_s < start + PART_S)] for start in starts_s]
    return [part for part in parts if len(part) >= FEWEST] or [times_s]


def beats_at(bpm: float, onsets_s: Sequence[float]) -> Tempo:
    """The grid of a given tempo that fits the onsets best."""
    times_s = _distinct(onsets_s)
    if not len(times_s):
        return Tempo(bpm, 0.0, None)
    _, phase = _best_phase(times_s, 60 / bpm)
    return Tempo(bpm, _first(times_s, 60 / bpm, phase), None)


def tempo_of(wanted: float | str, onsets_s: Sequence[float]) -> Tempo | None:
    """The tempo that is `wanted` for onsets: "auto", estimated; "none"; or beats per minute.

    Raises ControlError for anything else.
    """
    if wanted == "auto":
        return estimate_tempo(onsets_s)
    if wanted == "none":
        return None
    try:
        bpm = float(wanted)
    except (TypeError, ValueError):
        bpm = math.nan
    if not SLOWEST_BPM <= bpm <= FASTEST_BPM:
        raise ControlError(
            f"a tempo is auto, none, or {SLOWEST_BPM:g} to {FASTEST_BPM:g} beats per minute, not "
            f"{wanted}."
        )
    return beats_at(bpm, onsets_s)


def parts_of(text: str) -> int:
    """How many of a note value are in a whole note.

    >>> parts_of("1/16")
    16

    Raises ControlError for what is no note value.
    """
    whole, _, parts = str(text).partition("/")
    if whole != "1" or parts not in VALUES:
        values = ", ".join(f"1/{value}" for value in VALUES)
        raise ControlError(f"notes are quantized to {values}, not {text}.")
    return int(parts)


def _distinct(onsets_s: Sequence[float]) -> Float[np.ndarray, " onset"]:
    return np.unique(np.round(np.asarray(onsets_s, float), 4))


def _first(times_s: Float[np.ndarray, " onset"], beat_s: float, phase: float) -> float:
    """The time of the last beat up to the first onset; a tenth of a beat later counts."""
    return float((np.floor(times_s[0] / beat_s - phase + 0.1) + phase) * beat_s)


def _best_phase(times_s: Float[np.ndarray, " onset"], beat_s: float) -> tuple[float, float]:
    """The log likelihood of the onsets for beats of this length, and the phase, 0..1, of the best
    grid."""
    phases = np.arange(PHASES) / PHASES
    place = (times_s[:, None] / beat_s - phases) % 1
    density = np.full_like(place, ANYWHERE)
    for at, share in PLACES.items():
        apart_s = beat_s * ((place - at + 0.5) % 1 - 0.5)
        nearness = np.exp(-0.5 * (apart_s / EARLY_S) ** 2) / (EARLY_S * np.sqrt(2 * np.pi))
        density += share * beat_s**DENSITY * nearness
    likely = np.log(density).sum(0)
    return float(likely.max()), float(phases[likely.argmax()])


def _refined(times_s: Float[np.ndarray, " onset"], bpm: float) -> tuple[float, float]:
    """The tempo, and the time of the first beat, by least squares on the onsets near the grid: of
    the beginning, then of ever longer parts."""
    beat_s, reach_s = 60 / bpm, PART_S
    begun = times_s[times_s <= times_s[0] + 1.5 * PART_S]
    phase = _best_phase(begun, beat_s)[1]
    places = np.array([*PLACES, 1.0])
    while True:
        own = times_s[times_s <= times_s[0] + 1.5 * reach_s]
        for _ in range(3):
            beats = own / beat_s - phase
            offsets = (beats % 1)[:, None] - places
            off = offsets[np.arange(len(beats)), np.abs(offsets).argmin(1)]
            near = np.abs(off * beat_s) < 3 * EARLY_S
            if near.sum() < FEWEST or np.ptp(beats[near]) < 1:
                break
            fitted_s, start_s = np.polyfit((beats - off)[near], own[near], 1)
            beat_s, phase = float(fitted_s), float(start_s / fitted_s)
        if len(own) == len(times_s):
            return 60 / beat_s, _first(times_s, beat_s, phase)
        reach_s *= 1.5


def quantized(times_s: Sequence[float], tempo: Tempo, parts: int) -> Float[np.ndarray, " time"]:
    """Times (s) moved to the nearest `parts`-th of a whole note, counted from the first beat."""
    step_s = tempo.part_s(parts)
    return tempo.first_s + step_s * np.round((np.asarray(times_s) - tempo.first_s) / step_s)
