"""Babble in disguise: colour, contrast, noise and room, put on what was heard.

Sounds from elsewhere are the hard part. A disguise keeps the notes and changes all else, so an
encoder that reads notes through it learns what a note is, not only what the plant's notes are.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..cochlea import loudness_compress
from ..hearing import FRAME_S

COLOUR_DB = 12.0  # standard deviation of the smooth gain over channels
ROUGHNESS_DB = 3.0  # of the gain of each channel by itself
CONTRAST = 0.3  # powers from 1 - this to 1 + this
NOISE_DB = (-60.0, -15.0)  # noise floor, of the mean level
ROOM_FRAMES = 20.0  # longest reverberation, time constant
TREMBLING = 0.3  # share of sounds whose loudness does
TREMOLO_HZ, TREMOLO_DEPTH = (3.0, 9.0), 0.6


def disguise(
    heard: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel=128 frame"]:
    """A random disguise for each loudness-compressed spectrogram."""
    batch, channels, _ = heard.shape

    def uniform(low: float, high: float) -> Float[Tensor, "batch 1 1"]:
        return low + (high - low) * torch.rand(batch, 1, 1, generator=generator).to(heard)

    S = torch.expm1(4 * heard) / 4
    S = (S + 1e-4) ** uniform(1 - CONTRAST, 1 + CONTRAST)
    knots = COLOUR_DB * torch.randn(batch, 1, 6, generator=generator).to(heard)
    colour = F.interpolate(knots, channels, mode="linear", align_corners=True)
    rough = ROUGHNESS_DB * torch.randn(batch, 1, channels, generator=generator).to(heard)
    S = S * 10 ** ((colour + rough).transpose(1, 2) / 20)
    # Half of the sounds ring: each pass doubles the taps of S[t] + a S[t - 1] + a^2 S[t - 2] + ...
    ring = torch.exp(-1 / uniform(0.5, ROOM_FRAMES)) * (uniform(0, 1) < 0.5)
    share = uniform(0, 0.3)
    echo = S
    for delay in (1, 2, 4, 8, 16):
        echo = echo + ring**delay * F.pad(echo, (delay, 0))[..., :-delay]
    S = S + share * (echo - S)
    floor = S.mean((1, 2), keepdim=True) * 10 ** (uniform(*NOISE_DB) / 20)
    S = S + floor * (0.5 + torch.rand(S.shape, generator=generator).to(heard))
    return loudness_compress(S)


def tremble(
    S: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel=128 frame"]:
    """Uncompressed spectrograms, some of them with a tremolo, which is no row of onsets."""
    chance = torch.rand(4, len(S), 1, 1, generator=generator).to(S)
    depth = TREMOLO_DEPTH * chance[0] * (chance[1] < TREMBLING)
    low, high = TREMOLO_HZ
    rate_hz = low + (high - low) * chance[2]
    times_s = FRAME_S * torch.arange(S.shape[-1]).to(S)
    return S * (1 + depth * torch.sin(2 * torch.pi * (rate_hz * times_s + chance[3])))
