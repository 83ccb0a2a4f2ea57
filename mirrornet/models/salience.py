"""Pitch salience from harmonics, independent of the instrument.

On the cochlea's logarithmic frequency axis the harmonics of all pitches form the same pattern,
shifted. So for each semitone the spectrogram is sampled at its harmonics (and at the fundamentals
an octave, a twelfth and two octaves lower, of which it may be a harmonic), and one small network,
shared by all pitches, computes the salience from these samples and from which of them lie in the
cochlea's range. What it learns of one pitch applies to all, so it generalises to instruments that
were not in the training data. (Harmonic stacking: R. Bittner et al., "Deep salience representations
for F0 estimation in polyphonic music", ISMIR 2017.)
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..features import RECORDING_CHANNELS

LOWEST_MIDI, PITCHES = 21, 88
POOLED = 4  # frames averaged into one: 32 ms
HARMONICS = (1 / 4, 1 / 3, 1 / 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
BESIDE = (-1, 0, 1)  # channels, a quarter tone each
BELOW = 12  # channels below a note's fundamental that `from_fundamental` keeps
A3_MIDI, A3_CHANNEL = 57, 31  # 220 Hz at 8 kHz; 24 channels are an octave


class Salience(nn.Module):
    """`(batch, channel=176, frame)` to the salience of each pitch (logits) and its tune (as in
    `notes.Frames`), both `(batch, pitch=88, frame)`."""

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
        self, heard: Float[Tensor, "batch channel=176 frame"]
    ) -> tuple[Float[Tensor, "batch pitch=88 frame"], Float[Tensor, "batch pitch=88 frame"]]:
        frames = heard.shape[-1]
        pooled = F.avg_pool1d(heard, POOLED, ceil_mode=True)
        read = (self.places @ pooled).unflatten(1, (-1, PITCHES))
        read = torch.cat([read, self.audible.expand(len(read), -1, -1, read.shape[-1])], 1)
        judged = self.layers(read.contiguous(memory_format=torch.channels_last)).float()
        both = judged.repeat_interleave(POOLED, -1)[..., :frames]
        return both[:, 0], both[:, 1]


def harmonic_places() -> Float[Tensor, "place channel=176"]:
    """Interpolation weights of the channels for every harmonic, offset beside it and pitch, in this
    order; zero where a harmonic lies outside the cochlea's range."""
    places = torch.zeros(len(HARMONICS), len(BESIDE), PITCHES, RECORDING_CHANNELS + 1)
    for h, harmonic in enumerate(HARMONICS):
        for b, beside in enumerate(BESIDE):
            for pitch in range(PITCHES):
                semitones = LOWEST_MIDI + pitch - A3_MIDI
                channel = A3_CHANNEL + 2 * semitones + 24 * math.log2(harmonic) + beside
                below = math.floor(channel)
                if 0 <= below < RECORDING_CHANNELS:
                    places[h, b, pitch, below] = 1 - (channel - below)
                    places[h, b, pitch, below + 1] = channel - below
    return places[..., :RECORDING_CHANNELS].reshape(-1, RECORDING_CHANNELS)


def from_fundamental(
    windows: Float[Tensor, "note channel window"], pitches: Float[Tensor, " note"]
) -> Float[Tensor, "note channel window"]:
    """Windows shifted along frequency so that the harmonics of all notes (MIDI `pitches`) lie in
    the same channels; the last channel, the mask of the note, is unchanged."""
    lowest = A3_CHANNEL + 2 * (pitches.round().long() - A3_MIDI) - BELOW
    count = windows.shape[1] - 1
    channels = lowest[:, None] + torch.arange(count, device=windows.device)
    inside = (channels >= 0) & (channels < count)
    index = channels.clamp(0, count - 1)[..., None].expand(-1, -1, windows.shape[-1])
    moved = windows[:, :-1].gather(1, index) * inside[..., None]
    return torch.cat([moved, windows[:, -1:]], 1)
