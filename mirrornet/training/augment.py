"""Augmentation of spectrograms: harmonics, colour, contrast, noise and reverberation.

Sounds that the plant did not render are the hard case. Augmentation keeps the notes and changes
all else, so that note detection generalises from the plant's notes to those of other sources.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..cochlea import loudness_compress
from ..features import FRAME_S
from ..models.salience import A3_CHANNEL, A3_MIDI

COLOUR_DB = 12.0  # standard deviation of a gain that varies smoothly over channels
ROUGHNESS_DB = 3.0  # standard deviation of an independent gain of each channel
CONTRAST = 0.3  # exponents from 1 - this to 1 + this
NOISE_DB = (-60.0, -15.0)  # noise floor relative to the mean level
ROOM_FRAMES = 20.0  # longest time constant of reverberation, in frames
VOICED = 16  # harmonics that get a gain each
VOICE_DB = 8.0  # standard deviation of these gains
HOLLOW, MISSING_DB = 0.3, -30.0  # share of sounds with half the harmonics at this gain: bars, pipes
TREMBLING = 0.3  # share of sounds with tremolo
TREMOLO_HZ, TREMOLO_DEPTH = (3.0, 9.0), 0.6


def augment(
    heard: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel=128 frame"]:
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
    heard: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "batch channel=128 frame"], int]:
    """Augment the last quarter of a batch; also returns how many sounds come before it."""
    plain = len(heard) - len(heard) // 4
    return torch.cat([heard[:plain], augment(heard[plain:], generator)]), plain


def with_tremolo(
    S: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel=128 frame"]:
    """Apply tremolo to some of the uncompressed spectrograms, as it is no series of onsets."""
    chance = torch.rand(4, len(S), 1, 1, generator=generator).to(S)
    depth = TREMOLO_DEPTH * chance[0] * (chance[1] < TREMBLING)
    low, high = TREMOLO_HZ
    rate_hz = low + (high - low) * chance[2]
    times_s = FRAME_S * torch.arange(S.shape[-1]).to(S)
    return S * (1 + depth * torch.sin(2 * torch.pi * (rate_hz * times_s + chance[3])))


def with_random_harmonics(
    S: Float[Tensor, "batch channel=128 frame"],
    pitches: Float[Tensor, "batch frame"],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch channel=128 frame"]:
    """Change the timbre of uncompressed spectrograms: each harmonic of the sounding note (MIDI
    `pitches`) gets a random gain, the same for all notes of a sound."""
    batch, channels, _ = S.shape
    chance = torch.rand(2, batch, VOICED, generator=generator).to(S)
    gains = VOICE_DB * torch.randn(batch, VOICED, generator=generator).to(S)
    hollow = chance[0, :, :1] < HOLLOW
    lacking = MISSING_DB * (chance[1] < 0.5) * (torch.arange(VOICED).to(S) > 0)
    gains = torch.where(hollow, lacking, gains)
    # Distances from the fundamental in channels, of the curve's points and of the harmonics; the
    # gain is interpolated linearly between harmonics.
    above = torch.arange(-channels, channels).to(S)
    at = 24 * torch.arange(1, VOICED + 1).to(S).log2()
    upper = torch.searchsorted(at, above).clamp(1, VOICED - 1)
    way = ((above - at[upper - 1]) / (at[upper] - at[upper - 1])).clamp(0, 1)
    curve = gains[:, upper - 1] * (1 - way) + gains[:, upper] * way
    fundamental = (A3_CHANNEL + 2 * (pitches - A3_MIDI)).round().long()
    place = torch.arange(channels).to(S.device)[:, None] - fundamental[:, None] + channels
    own = curve.gather(1, place.clamp(0, 2 * channels - 1).flatten(1)).view_as(S)
    return S * 10 ** (own / 20)
