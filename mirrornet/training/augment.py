"""Augmentation of spectrograms: colour, contrast, noise and reverberation.

Sounds of other sources than those of training are the hard case. Augmentation keeps the notes and
changes all else, so that notes of other sources are found, too.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..cochlea import loudness_compress

COLOUR_DB = 12.0  # standard deviation of a gain that varies smoothly over channels
ROUGHNESS_DB = 3.0  # standard deviation of an independent gain of each channel
CONTRAST = 0.3  # exponents from 1 - this to 1 + this
NOISE_DB = (-60.0, -15.0)  # noise floor relative to the mean level
ROOM_FRAMES = 20.0  # longest time constant of reverberation, in frames


def augment(
    heard: Float[Tensor, "batch channel frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel frame"]:
    """Apply random colour, contrast, reverberation and noise to compressed spectrograms."""
    batch, channels, _ = heard.shape

    def uniform(low: float, high: float) -> Float[Tensor, "batch 1 1"]:
        return low + (high - low) * torch.rand(batch, 1, 1, generator=generator).to(heard)

    S = torch.expm1(4 * heard) / 4
    S = (S + 1e-4) ** uniform(1 - CONTRAST, 1 + CONTRAST)
    knots = COLOUR_DB * torch.randn(batch, 1, 6, generator=generator).to(heard)
    colour = F.interpolate(knots, channels, mode="linear", align_corners=True)
    rough = ROUGHNESS_DB * torch.randn(batch, 1, channels, generator=generator).to(heard)
    S = S * 10 ** ((colour + rough).transpose(1, 2) / 20)
    # Half of the sounds reverberate: S[t] + a S[t - 1] + a^2 S[t - 2] + ...; each pass doubles the
    # number of terms.
    ring = torch.exp(-1 / uniform(0.5, ROOM_FRAMES)) * (uniform(0, 1) < 0.5)
    share = uniform(0, 0.3)
    echo = S
    for delay in (1, 2, 4, 8, 16):
        echo = echo + ring**delay * F.pad(echo, (delay, 0))[..., :-delay]
    S = S + share * (echo - S)
    floor = S.mean((1, 2), keepdim=True) * 10 ** (uniform(*NOISE_DB) / 20)
    S = S + floor * (0.5 + torch.rand(S.shape, generator=generator).to(heard))
    return loudness_compress(S)


def partly_augmented(
    heard: Float[Tensor, "batch channel frame"], generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "batch channel frame"], int]:
    """Augment the last quarter of a batch; also returns how many sounds come before it."""
    plain = len(heard) - len(heard) // 4
    return torch.cat([heard[:plain], augment(heard[plain:], generator)]), plain
