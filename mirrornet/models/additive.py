"""Additive sound in the auditory spectrogram: a decoder that need not be learned.

A note is a sum of harmonics, of partials beside them and of noise in bands, whose amplitudes change
with the time since its onset. With linear hair cells a channel of the cochlea is a filter, a
rectifier and an average over 8 ms. The average of a rectified sum of sinusoids is nearly that of a
single one of the same power. So a channel's value follows from the powers of all partials and the
filter's gains, and from how the filter rises when a tone starts: for notes from middle C up within
1 % of variance of the cochlea's (4 % for very low and bright ones), much faster, and with
gradients.

Two registers, tables of the same form for low and for high notes, are mixed by a note's key: their
amplitudes are weighted with the squares of a linear cross-fade, as a synthesizer does whose level
follows the key and is squared.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from ..cochlea import CHANNELS, channel_gains, channel_rises
from ..features import FRAME_S, HEARING_RATE_HZ, HIGHER, RECORDING_CHANNELS, RECORDING_RATE_HZ
from ..plants.timbre import BAND_HZ, BANDS_HZ, HARMONICS, TIMES_S, Curve, between

LOWEST_HZ, HIGHEST_HZ = 20.0, 15900.0
GRID = 480  # frequencies per octave at which gains are computed
EDGE_HZ, SLOPE_HZ = 3900.0, 25.0  # of the low-pass filter before the channels at 8 kHz
LEAK = math.exp(-1 / (HEARING_RATE_HZ * FRAME_S))
SINUSOID = 1 / (math.pi * (1 - LEAK))  # a channel's value per amplitude of a sinusoid
NOISE_POWER = math.pi / 4  # of Gaussian noise, that of a sinusoid with the same average
LAG_S = 0.004  # the middle of a frame lies this much before its end
RISE_FRAMES = 48
RING_S = 1.2  # time after a note's end that is modelled
ENDING_S = 0.03  # time before a note's end in which it may fade already
SILENT_POWER = 1e-8
FINEST = 0.05  # semitones to which a moving pitch is rounded
STEADY: Curve = np.zeros(1), np.zeros(1)  # the curve of a pitch that does not move


class Timbre(NamedTuple):
    """What all notes share, as natural logarithms."""

    harmonics: Float[Tensor, "register time harmonic"]
    """Of amplitudes."""
    noise: Float[Tensor, "time band"]
    """Of amplitudes in `BAND_HZ`."""
    partials: Float[Tensor, "time partial"]
    """Of amplitudes of those beside the harmonics."""
    release: Float[Tensor, ""]
    """Of the time in s from a note's end to silence."""
    release_curve: Float[Tensor, ""]
    """Of its curvature; see `_fallen`."""


class Sounding(NamedTuple):
    """What is fixed of a note."""

    frames: Int[Tensor, " frame"]
    at: Float[Tensor, "frame time"]
    after_s: Float[Tensor, " frame"]
    held: Bool[Tensor, "frame 1"]
    harmonics: Float[Tensor, "number harmonic"]
    gains: Float[Tensor, "pitch component channel"]
    """Of its harmonics and partials, at each of the pitches that the note has, in steps of
    `FINEST`."""
    own: list[Int[Tensor, " own"]]
    """For each of these pitches, the numbers of its frames among those of the note."""
    weights: tuple[float, ...]  # of the registers


class AdditiveSound:
    """Notes with known pitches and times; `spectrogram` predicts their sound for a timbre.

    Args:
        pitches: of each note: fractional MIDI.
        onsets_s, offsets_s: of each note.
        frames: length of the spectrogram.
        keys: the keys at which the low and the high register are alone.
        vibrato_cents: depth of a vibrato of all notes.
        curves: of each note, beside its pitch; none if all are steady.
        partials: the frequencies of partials beside the harmonics, over that of the pitch.
    """

    def __init__(
        self,
        pitches: Sequence[float],
        onsets_s: Sequence[float],
        offsets_s: Sequence[float],
        frames: int,
        keys: tuple[float, float],
        vibrato_cents: float = 0.0,
        curves: Sequence[Curve] = (),
        partials: Sequence[float] = (),
    ):
        self.frames = frames
        self.noise_gains = _noise_gains()
        times_s = FRAME_S * torch.arange(1, frames + 1) - LAG_S
        harmonics = _between(torch.arange(1.0, HARMONICS[-1] + 1), HARMONICS)
        self.notes = []
        moving: Sequence[Curve] = curves or [STEADY] * len(pitches)
        for pitch, onset_s, offset_s, curve in zip(
            pitches, onsets_s, offsets_s, moving, strict=True
        ):
            here = (times_s >= onset_s) & (times_s < offset_s + RING_S)
            at_s = times_s[here]
            pitch_hz = 440 * 2 ** ((pitch - 69) / 12)
            count = min(HARMONICS[-1], int(HIGHEST_HZ / pitch_hz))
            moves = np.round(np.interp((at_s - onset_s).numpy(), *curve) / FINEST)
            steps, which = np.unique(moves, return_inverse=True)
            pitches_hz = pitch_hz * torch.from_numpy(2 ** (FINEST * steps[:, None] / 12)).float()
            components = torch.cat([torch.arange(1.0, count + 1), torch.tensor(partials)])
            self.notes.append(
                Sounding(
                    torch.nonzero(here)[:, 0],
                    _between(at_s - onset_s, TIMES_S),
                    (at_s - offset_s).clamp(min=0),
                    (at_s < max(offset_s - ENDING_S, 0.5 * (onset_s + offset_s)))[:, None],
                    harmonics[:count],
                    _power_gains(pitches_hz * components, vibrato_cents),
                    [torch.from_numpy(np.flatnonzero(which == n)) for n in range(len(steps))],
                    _register_weights(pitch, keys),
                )
            )

    def spectrogram(
        self, timbre: Timbre, levels: Float[Tensor, " note"]
    ) -> Float[Tensor, "channel=176 frame"]:
        """The spectrogram, not compressed; `levels` are logarithms of the notes' amplitudes."""
        tables, noise = timbre.harmonics.exp(), timbre.noise.exp()
        partials = timbre.partials.exp()
        silence = torch.full((self.frames, RECORDING_CHANNELS), SILENT_POWER)
        tones, hisses = silence, silence
        for note, level in zip(self.notes, levels, strict=True):
            table = sum(weight * table for weight, table in zip(note.weights, tables, strict=True))
            # Of how a note ends the release learns, not the tables, which longer notes play on.
            given, beside, hissing = (
                torch.where(note.held, values, values.detach())
                for values in (note.at @ table, note.at @ partials, note.at @ noise)
            )
            amplitudes = torch.cat([given @ note.harmonics.T, beside], 1)
            hiss = hissing.square() @ self.noise_gains
            fall = (level.exp() * _fallen(note.after_s, timbre)).square()
            powers = amplitudes.square()
            parts = [powers[own] @ gains for own, gains in zip(note.own, note.gains, strict=True)]
            tone = torch.cat(parts)[torch.cat(note.own).argsort()]
            tones = tones.index_add(0, note.frames, fall[:, None] * tone)
            hisses = hisses.index_add(0, note.frames, fall[:, None] * hiss)
        # Tones rise faster than at the channels' best frequencies, of which few are near.
        return (_smeared(tones.T) + _smeared(hisses.sqrt().T).square()).sqrt()


def _fallen(after_s: Float[Tensor, " frame"], timbre: Timbre) -> Float[Tensor, " frame"]:
    """Amplitudes after a note's end, 1 at first. With the curve k and time x as a share of the
    release: ((exp(-kx) - exp(-k)) / (1 - exp(-k)))^2, as `plants/timbre.py` has it."""
    share, k = (after_s / timbre.release.exp()).clamp(max=1), timbre.release_curve.exp()
    return (((-k * share).exp() - (-k).exp()) / (1 - (-k).exp())).square()


def _smeared(
    values: Float[Tensor, "channel=176 frame"],
) -> Float[Tensor, "channel=176 frame"]:
    """What channels hear of values that change from frame to frame."""
    given = F.pad(values, (RISE_FRAMES - 1, 0), "replicate")
    return F.conv1d(given[None], _rises(), groups=RECORDING_CHANNELS)[0]


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _rises() -> Float[Tensor, "channel=176 1 frame"]:
    """`channel_rises` of all channels, as a convolution takes them: the last frame first."""
    low = channel_rises(HEARING_RATE_HZ, RISE_FRAMES)
    high = channel_rises(RECORDING_RATE_HZ, RISE_FRAMES)[CHANNELS - HIGHER :]
    rises = np.concatenate([low, high]).clip(min=0)[:, None, ::-1]  # without overshoot
    rises /= rises.sum(-1, keepdims=True)
    return torch.from_numpy(rises.astype(np.float32))


def _register_weights(pitch: float, keys: tuple[float, float]) -> tuple[float, float]:
    """The amplitudes of the low and the high register in a note."""
    place = (pitch - keys[0]) / (keys[1] - keys[0])
    return max(1 - place, 0.0) ** 2, max(place, 0.0) ** 2


def _between(places: Tensor, knots: Sequence[float]) -> Float[Tensor, "place knot"]:
    return torch.from_numpy(between(places.numpy(), knots)).float()


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _gains() -> Float[Tensor, "frequency channel=176"]:
    """Power gains of the channels, as auditory spectrograms have them, at frequencies of a grid."""
    count = int(GRID * math.log2(HIGHEST_HZ / LOWEST_HZ)) + 1
    at_hz = LOWEST_HZ * 2 ** (np.arange(count) / GRID)
    low = channel_gains(at_hz, HEARING_RATE_HZ) / (1 + np.exp((at_hz - EDGE_HZ) / SLOPE_HZ))
    high = channel_gains(at_hz, RECORDING_RATE_HZ)[CHANNELS - HIGHER :]
    gains = SINUSOID * np.concatenate([low, high])
    return torch.from_numpy(np.square(gains.T).astype(np.float32))


def _power_gains(
    partials_hz: Float[Tensor, "pitch component"], vibrato_cents: float
) -> Float[Tensor, "pitch component channel=176"]:
    """Power gains at frequencies, 0 above `HIGHEST_HZ`; the mean over a sinusoidal vibrato, if
    there is one."""
    gains = _gains()
    swing = np.cos(np.pi * (np.arange(5) + 0.5) / 5) if vibrato_cents > 1 else [0.0]
    found = []
    for share in swing:
        place = GRID * (torch.log2(partials_hz / LOWEST_HZ) + share * vibrato_cents / 1200)
        place = place.clamp(0, len(gains) - 1.001)
        below = place.long()
        part = (place - below)[..., None]
        found.append((1 - part) * gains[below] + part * gains[below + 1])
    return torch.stack(found).mean(0) * (partials_hz <= HIGHEST_HZ)[..., None]


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _noise_gains() -> Float[Tensor, "band channel=176"]:
    """The power in each channel of noise of each band, with amplitude 1 in `BAND_HZ`."""
    gains = _gains()
    at_hz = LOWEST_HZ * 2 ** (torch.arange(len(gains)) / GRID)
    width_hz = at_hz * math.log(2) / GRID
    inside = _between(at_hz.log(), np.log(BANDS_HZ).tolist())  # power densities blend
    return NOISE_POWER / BAND_HZ * (inside * width_hz[:, None]).T @ gains
