"""The architectures for melodies of the paper: a score is one tensor, `(batch, control, note)`.

`Melody` is this project's, `Paper` the paper's; they differ in networks and input features.
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
    """The default architecture for melodies; for its members see `mirrornet.Architecture`."""

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
        """The whole spectrogram and its number of frames."""
        return S, S.shape[-1]

    @staticmethod
    def distance(expected: Tensor, heard: Tensor) -> Float[Tensor, ""]:
        return F.mse_loss(expected, heard)


class Paper(Melody):
    """The networks of the paper's Figure 3; see `paper.py`."""

    hearing = "unit-sequence"

    @staticmethod
    def networks(space: ControlSpace) -> tuple[nn.Module, nn.Module]:
        return PaperEncoder(len(space.rows)), PaperDecoder(len(space.rows))
