"""Augmentation of spectrograms: harmonics, colour, contrast, noise and room.

Sounds from elsewhere are the hard part. Augmentation keeps the notes and changes all else, so an
encoder that reads notes through it learns what a note is, not only what the plant's notes are.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..cochlea import loudness_compress
from ..features import FRAME_S
from ..models.salience import A3_CHANNEL, A3_MIDI

COLOUR_DB = 12.0  # standard deviation of the smooth gain over channels
ROUGHNESS_DB = 3.0  # of the gain of each channel by itself
CONTRAST = 0.3  # powers from 1 - this to 1 + this
NOISE_DB = (-60.0, -15.0)  # noise floor, of the mean level
ROOM_FRAMES = 20.0  # longest reverberation, time constant
VOICED = 16  # harmonics with a gain of their own
VOICE_DB = 8.0  # standard deviation of these gains
HOLLOW, MISSING_DB = 0.3, -30.0  # share of sounds that lack half of their harmonics: bars, pipes
TREMBLING = 0.3  # share of sounds whose loudness does
TREMOLO_HZ, TREMOLO_DEPTH = (3.0, 9.0), 0.6


def augment(
    heard: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel=128 frame"]:
    """Each loudness-compressed spectrogram with random colour, contrast, room and noise."""
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


def partly_augmented(
    heard: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "batch channel=128 frame"], int]:
    """The last quarter of a batch augmented, and how many sounds come before it."""
    plain = len(heard) - len(heard) // 4
    return torch.cat([heard[:plain], augment(heard[plain:], generator)]), plain


def with_tremolo(
    S: Float[Tensor, "batch channel=128 frame"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch channel=128 frame"]:
    """Uncompressed spectrograms, some of them with a tremolo, which is no row of onsets."""
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
    """Uncompressed spectrograms with another voice: each harmonic of the note that is played (MIDI
    `pitches`) has a gain of its own, the same for all notes of a sound."""
    batch, channels, _ = S.shape
    chance = torch.rand(2, batch, VOICED, generator=generator).to(S)
    gains = VOICE_DB * torch.randn(batch, VOICED, generator=generator).to(S)
    hollow = chance[0, :, :1] < HOLLOW
    lacking = MISSING_DB * (chance[1] < 0.5) * (torch.arange(VOICED).to(S) > 0)
    gains = torch.where(hollow, lacking, gains)
    # By how many channels each lies above the fundamental; from one harmonic to the next the gain
    # changes evenly.
    above = torch.arange(-channels, channels).to(S)
    at = 24 * torch.arange(1, VOICED + 1).to(S).log2()
    upper = torch.searchsorted(at, above).clamp(1, VOICED - 1)
    way = ((above - at[upper - 1]) / (at[upper] - at[upper - 1])).clamp(0, 1)
    curve = gains[:, upper - 1] * (1 - way) + gains[:, upper] * way
    fundamental = (A3_CHANNEL + 2 * (pitches - A3_MIDI)).round().long()
    place = torch.arange(channels).to(S.device)[:, None] - fundamental[:, None] + channels
    own = curve.gather(1, place.clamp(0, 2 * channels - 1).flatten(1)).view_as(S)
    return S * 10 ** (own / 20)
