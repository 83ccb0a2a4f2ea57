"""How strongly each pitch sounds, by its harmonics, whatever the instrument.

On the cochlea's logarithmic frequency axis the harmonics of all pitches lie in the same pattern,
moved up or down. So for each semitone the spectrogram is read at the places of its harmonics (and
of the pitches an octave, a twelfth and two octaves lower, whose harmonic it may be), and one small
network, the same for all pitches, judges what it reads, knowing which of the places the cochlea can
hear. What it learns of one pitch it knows of all; that is what lets it hear pitches of instruments
that it has never heard. (Harmonic stacking: R. Bittner et al., "Deep salience representations for
F0 estimation in polyphonic music", ISMIR 2017.)
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS

LOWEST_MIDI, PITCHES = 24, 73
POOLED = 4  # frames that are read as one: 32 ms
HARMONICS = (1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
BESIDE = (-1, 0, 1)  # channels, a quarter tone each
A3_MIDI, A3_CHANNEL = 57, 31  # 220 Hz at 8 kHz; 24 channels are an octave


class Salience(nn.Module):
    """`(batch, channel=128, frame)` to the salience of each pitch and how far it is out of tune,
    both `(batch, pitch=73, frame)`."""

    places: Tensor
    audible: Tensor

    def __init__(self, width: int = 48):
        super().__init__()
        places = harmonic_places()
        self.register_buffer("places", places, persistent=False)
        audible = (places.sum(-1) > 0).float().unflatten(0, (-1, PITCHES))
        self.register_buffer("audible", audible[None, :, :, None], persistent=False)
        self.layers = nn.Sequential(
            nn.Conv2d(2 * len(HARMONICS) * len(BESIDE), width, 1),
            nn.SiLU(),
            nn.Conv2d(width, width, (1, 5), padding=(0, 2)),
            nn.SiLU(),
            nn.Conv2d(width, width, (3, 3), padding=(1, 2), dilation=(1, 2)),
            nn.SiLU(),
            nn.Conv2d(width, 2, 1),
        )

    def forward(
        self, heard: Float[Tensor, "batch channel=128 frame"]
    ) -> tuple[Float[Tensor, "batch pitch=73 frame"], Float[Tensor, "batch pitch=73 frame"]]:
        frames = heard.shape[-1]
        pooled = F.avg_pool1d(heard, POOLED, ceil_mode=True)
        read = (self.places @ pooled).unflatten(1, (-1, PITCHES))
        read = torch.cat([read, self.audible.expand(len(read), -1, -1, read.shape[-1])], 1)
        judged = self.layers(read.contiguous(memory_format=torch.channels_last)).float()
        both = judged.repeat_interleave(POOLED, -1)[..., :frames]
        return both[:, 0], both[:, 1]


def harmonic_places() -> Float[Tensor, "place channel=128"]:
    """Which channels to read, and by what shares: for every harmonic and place beside it, for
    every pitch."""
    places = torch.zeros(len(HARMONICS), len(BESIDE), PITCHES, CHANNELS + 1)
    for h, harmonic in enumerate(HARMONICS):
        for b, beside in enumerate(BESIDE):
            for pitch in range(PITCHES):
                semitones = LOWEST_MIDI + pitch - A3_MIDI
                channel = A3_CHANNEL + 2 * semitones + 24 * math.log2(harmonic) + beside
                below = math.floor(channel)
                if 0 <= below < CHANNELS:
                    places[h, b, pitch, below] = 1 - (channel - below)
                    places[h, b, pitch, below + 1] = channel - below
    return places[..., :CHANNELS].reshape(-1, CHANNELS)
