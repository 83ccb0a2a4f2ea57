"""The paper's encoder and decoder, after its Figure 3.

Siriwardena, Marion, Shamma: MirrorNet, Learning Audio Synthesizer Controls Inspired by
Sensorimotor Interactions (arXiv 2110.05695). Both networks are 1x1 convolutions C1-C12 around the
same dilated temporal convolutional network. The melody is divided into equal slots, one per note:
the encoder averages over each slot, the decoder repeats each note's controls over its slot.

The authors' code has `BatchNorm1d(256, 256, 1)` in C4-C9: by position, eps=256 and momentum=1 (and
eps=7 for the seven controls). Here eps=1e-5 and momentum=0.1, the usual values: eps=256 divides by
16 or more, which nearly disables the normalisation, and momentum=1 makes the running statistics
those of the last batch.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..errors import ControlError

WIDTH = 256
STACKS = 3
DILATIONS = (1, 4, 16)


class PaperEncoder(nn.Module):
    """`(batch, channel=128, frame) -> (batch, control, note)` in 0..1.

    Raises ControlError if `notes` does not divide `frames`.
    """

    def __init__(self, controls: int = 7, notes: int = 5, frames: int = 250):
        super().__init__()
        first, second, third = pooling_factors(frames, notes)
        self.notes, self.frames = notes, frames
        self.layers = nn.Sequential(
            nn.Conv1d(CHANNELS, CHANNELS, 1),  # C1
            nn.Conv1d(CHANNELS, WIDTH, 1),  # C2
            nn.GroupNorm(1, WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 1),  # C3
            DilatedNetwork(),
            *(normalised(WIDTH, WIDTH), nn.ReLU(), nn.AvgPool1d(first)),  # C4
            *(normalised(WIDTH, 128), nn.ReLU(), nn.AvgPool1d(second)),  # C5
            *(normalised(128, controls), nn.AvgPool1d(third), nn.Sigmoid()),  # C6
        )

    def forward(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int | None = None
    ) -> Float[Tensor, "batch control note"]:
        """Controls of melodies. Raises ControlError for `notes` or frames it was not built for."""
        asked = self.notes if notes is None else notes, heard.shape[-1]
        _refuse_others((self.notes, self.frames), asked)
        return self.layers(heard)


class PaperDecoder(nn.Module):
    """`(batch, control, note) -> (batch, channel=128, frame)`: the encoder mirrored.

    Raises ControlError if `notes` does not divide `frames`.
    """

    def __init__(self, controls: int = 7, notes: int = 5, frames: int = 250):
        super().__init__()
        third, second, first = pooling_factors(frames, notes)
        self.notes, self.frames = notes, frames
        self.layers = nn.Sequential(
            *(nn.Upsample(scale_factor=first), normalised(controls, 128), nn.ReLU()),  # C7
            *(nn.Upsample(scale_factor=second), normalised(128, WIDTH), nn.ReLU()),  # C8
            *(nn.Upsample(scale_factor=third), normalised(WIDTH, WIDTH), nn.ReLU()),  # C9
            DilatedNetwork(),
            nn.Conv1d(WIDTH, WIDTH, 1),  # C10
            nn.GroupNorm(1, WIDTH),
            nn.Conv1d(WIDTH, CHANNELS, 1),  # C11
            nn.Conv1d(CHANNELS, CHANNELS, 1),  # C12
        )

    def forward(
        self, controls: Float[Tensor, "batch control note"], frames: int | None = None
    ) -> Float[Tensor, "batch channel=128 frame"]:
        """Predicted spectrograms; values may be negative, unlike those of a real spectrogram.

        Raises ControlError for a number of notes or `frames` it was not built for.
        """
        asked = controls.shape[-1], self.frames if frames is None else frames
        _refuse_others((self.notes, self.frames), asked)
        return self.layers(controls)


class DilatedNetwork(nn.Sequential):
    """`(batch, 256, frame)` to the same shape: stacks of blocks with growing dilation.

    A block of dilation d reaches d and then 2 d frames to either side, so the receptive field is
    `3 * STACKS * sum(DILATIONS)` = 189 frames (1.5 s) on either side. Not causal.
    """

    def __init__(self):
        super().__init__(*(DilatedBlock(d) for _ in range(STACKS) for d in DILATIONS))


class DilatedBlock(nn.Module):
    """Two dilated convolutions, the second with twice the dilation, and a residual connection."""

    def __init__(self, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            normalised(WIDTH, WIDTH, 3, dilation),
            nn.ReLU(),
            normalised(WIDTH, WIDTH, 3, 2 * dilation),
        )

    def forward(self, x: Float[Tensor, "batch 256 frame"]) -> Float[Tensor, "batch 256 frame"]:
        return F.relu(x + self.layers(x))


def normalised(channels: int, width: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """A length-preserving convolution and BatchNorm, whose shift replaces the bias."""
    return nn.Sequential(
        nn.Conv1d(channels, width, kernel, padding="same", dilation=dilation, bias=False),
        nn.BatchNorm1d(width),
    )


def pooling_factors(frames: int, notes: int) -> tuple[int, int, int]:
    """Factor the frames per note into three factors, descending and as equal as possible.

    >>> pooling_factors(frames=250, notes=5)
    (5, 5, 2)
    >>> pooling_factors(frames=250, notes=10)
    (5, 5, 1)

    Raises ControlError if `notes` does not divide `frames`.
    """
    if notes < 1 or frames < 1 or frames % notes:
        raise ControlError(
            f"the paper's networks give each note as many frames, so {frames} frames cannot hold "
            f"{notes} notes; choose a number of notes that divides {frames}."
        )
    span = frames // notes
    divisors = [d for d in range(1, span + 1) if span % d == 0]
    triples = ((a, b, span // (a * b)) for a in divisors for b in divisors if span % (a * b) == 0)
    return min(triple for triple in triples if triple == tuple(sorted(triple, reverse=True)))


def _refuse_others(built: tuple[int, int], asked: tuple[int, int]) -> None:
    if asked != built:
        raise ControlError(
            f"this network was built for {built[0]} notes in {built[1]} frames, not {asked[0]} in "
            f"{asked[1]}; build and train another with notes={asked[0]}, frames={asked[1]}."
        )
