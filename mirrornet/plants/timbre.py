"""Timbre as controls: the grid of tables of amplitudes, for plants that can play any timbre.

A control with the role `harmonics` has the amplitudes of harmonics in dB, by register (low notes,
high notes), time since a note's onset, and harmonic; one with the role `noise` those of noise, by
time and band, in the same dB; one with the role `bend` how far the pitch lies from the key's, in
semitones, by time: of a kick or a tom it falls. The roles `low_key` and `high_key` are the keys at
which a register is alone; a linear cross-fade by the key, squared, weights their amplitudes.

Bells and bars have partials beside the harmonics: the role `partials` has their frequencies over
the pitch, the role `partial_levels` their amplitudes by time and partial, in the same dB.

After a note's end all amplitudes fall to silence in the time with the role `release`. With the
role `release_curve`, k, and time x as a share of it, they are ((exp(-kx) - exp(-k)) / (1 -
exp(-k)))^2: a parabola if k is small, exponential if it is large.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..controls import Value

# Times since the onset at which amplitudes are given; between them they change linearly.
TIMES_S = (
    *(0.0, 0.008, 0.018, 0.03, 0.045, 0.065, 0.095, 0.14, 0.2),
    *(0.28, 0.4, 0.56, 0.8, 1.15, 1.7, 2.6, 4.0),
)
# Harmonics whose amplitudes are given; those between have interpolated ones.
HARMONICS = (
    *range(1, 25),
    *(27, 30, 34, 38, 43, 48, 54, 61, 69, 78, 88, 99, 112, 127, 144, 163, 184, 208),
)
BANDS_HZ = tuple(np.geomspace(60.0, 14500.0, 22).tolist())  # centres of the bands of noise
BAND_HZ = 100.0  # noise is given as its amplitude in bands this wide
REGISTERS = 2
PARTIALS = 8
LOWEST_PARTIAL, HIGHEST_PARTIAL = 0.0625, 16.0

Curve = tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]
"""Times in s, and semitones beside a pitch."""


def between(
    places: Float[np.ndarray, " place"], knots: Sequence[float]
) -> Float[np.ndarray, "place knot"]:
    """Weights of linear interpolation; the end's value beyond the ends."""
    return np.stack([np.interp(places, knots, unit) for unit in np.eye(len(knots))], -1)


def pitch_curve(bend: Value, glide: Sequence[tuple[float, float]]) -> Curve:
    """The pitch of a note from its onset on: the bend of the patch, and the note's own glide."""
    bend = np.asarray(bend, float)
    if not glide:
        return np.array(TIMES_S), bend
    at_s, semitones = np.array(glide).T
    times_s = np.union1d(TIMES_S if bend.any() else (0.0, TIMES_S[1]), at_s)
    return times_s, np.interp(times_s, TIMES_S, bend) + np.interp(times_s, at_s, semitones)
