"""The architectures for melodies of the paper: a score is one tensor, `(batch, control, note)`.

`Melody` is ours, `Paper` the paper's networks; they differ in networks and in what they hear.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..controls import ControlSpace
from .notewise import NotewiseDecoder
from .paper import PaperDecoder, PaperEncoder
from .reader import NoteReader
from .vibrato import Vibrato

Spectrogram = Float[Tensor, "batch channel=128 frame"]


class Melody:
    """See `mirrornet.Architecture`."""

    hearing = "loudness"

    @staticmethod
    def networks(space: ControlSpace) -> tuple[nn.Module, nn.Module]:
        vibrato = Vibrato.of(space.knobs)
        return NoteReader(len(space.rows), vibrato), NotewiseDecoder(len(space.rows), vibrato)

    @staticmethod
    def encode(
        encoder: nn.Module, decoder: nn.Module, S: Spectrogram, notes: int
    ) -> tuple[Float[Tensor, "batch control note"]]:
        return (encoder(S, notes),)

    @staticmethod
    def view(
        S: Spectrogram,
        ends: Float[Tensor, " batch"] | None = None,
        chance: torch.Generator | None = None,
    ) -> tuple[Spectrogram, int]:
        """All of it, and how many frames that is."""
        return S, S.shape[-1]

    @staticmethod
    def distance(expected: Tensor, heard: Tensor) -> Float[Tensor, ""]:
        return F.mse_loss(expected, heard)


class Paper(Melody):
    """The paper's networks; see `paper.py`."""

    hearing = "unit-sequence"

    @staticmethod
    def networks(space: ControlSpace) -> tuple[nn.Module, nn.Module]:
        return PaperEncoder(len(space.rows)), PaperDecoder(len(space.rows))
