"""MirrorNet: an encoder and a decoder with the plant's controls between them, and two losses.

    e_d = MSE(D(h), S(plant(h)))   the decoder learns what the plant does
    e_c = MSE(D(E(S)), S)          the encoder learns to play S, through a frozen decoder

(Paper, "MirrorNet Model Architecture".) `D` is the decoder, `E` the encoder, `h` controls, `S` an
auditory spectrogram.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ..controls import ControlSpace, plant_and_controls
from ..errors import CheckpointError, ControlError
from ..features import Hearing
from ..runtime import own_settings
from .checkpoints import load_checkpoint, save_checkpoint
from .notewise import NotewiseDecoder
from .paper import PaperDecoder, PaperEncoder
from .reader import NoteReader
from .vibrato import Vibrato

Architecture = Literal["notewise", "paper"]
# What each pair of networks listens to: see `hearing.hear`.
HEARING: dict[Architecture, Hearing] = {"notewise": "loudness", "paper": "unit-sequence"}


class MirrorNet(nn.Module):
    """Encoder (inverse model) and decoder (forward model) of one plant and control space."""

    def __init__(self, plant: str, controls: ControlSpace, architecture: Architecture = "notewise"):
        super().__init__()
        self.plant, self.controls, self.architecture = plant, controls, architecture
        self.hearing: Hearing = HEARING[architecture]
        if architecture == "paper":
            self.encoder = PaperEncoder(len(controls))
            self.decoder = PaperDecoder(len(controls))
        else:
            self.encoder = NoteReader(len(controls), Vibrato.of(controls))
            self.decoder = NotewiseDecoder(len(controls), Vibrato.of(controls))

    def e_d(
        self,
        controls: Float[Tensor, "batch control note"],
        heard: Float[Tensor, "batch channel=128 frame"],
    ) -> Float[Tensor, ""]:
        """Decoder loss: what it expects of `controls` against what the plant was heard to do."""
        return F.mse_loss(self.decoder(controls, heard.shape[-1]), heard)

    def e_c(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, ""]:
        """Encoder loss: the target against what the decoder expects of the encoder's controls.

        The decoder is frozen: its weights get no gradient and its normalisation does not move.
        """
        weights = {name: p.detach() for name, p in self.decoder.named_parameters()}
        learning = self.decoder.training
        self.decoder.eval()
        expected = functional_call(
            self.decoder, weights, (self.encoder(heard, notes), heard.shape[-1])
        )
        self.decoder.train(learning)
        return F.mse_loss(expected, heard)

    @own_settings()
    @torch.no_grad()
    def guess(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]:
        """Controls to play: the encoder's, inside 0..1."""
        learning = self.training
        self.eval()
        controls = torch.cat([self.encoder(some, notes) for some in heard.split(64)])
        self.train(learning)
        return controls.clamp(0, 1)

    def save(self, path: str | Path, card: dict[str, Any], half: bool = False) -> Path:
        """Write the card `path` (.json) and the weights beside it, in half precision if asked."""
        tensors = self.state_dict()
        if half:
            tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
        about = {
            "plant": self.plant,
            "control_set": self.controls.name,
            "architecture": self.architecture,
            "controls": [control.__dict__ for control in self.controls],
        }
        return save_checkpoint(path, tensors, about | card)

    @classmethod
    @own_settings()
    def load(cls, path: str | Path) -> "MirrorNet":
        """The model at `path`, its card. Raises CheckpointError if it is not a sound model."""
        tensors, card = load_checkpoint(path)
        try:
            model = cls(*plant_and_controls(card), card["architecture"])
            model.load_state_dict(tensors)
        except (ControlError, KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} is a checkpoint, but not of a model this version knows; use the version "
                f"in its card, or learn it again."
            ) from error
        model.eval()
        return model


def shipped(controls: str) -> Path:
    """The card of the weights that ship for Vital with a control set."""
    return Path(__file__).parents[1] / "data" / f"vital-{controls}.json"


def card_of(path: str | Path | None, controls: str) -> Path:
    """The card of what ships for Vital with the control set `controls`; or of the model at `path`,
    which is a card or a run's folder.

    Raises CheckpointError if nothing ships for the control set.
    """
    if path is not None:
        path = Path(path)
        return path / "model.json" if path.is_dir() else path
    if not shipped(controls).is_file():
        cards = sorted(shipped("").parent.glob("vital-*.json"))
        sets = ", ".join(card.stem.removeprefix("vital-") for card in cards)
        raise CheckpointError(
            f"weights ship for the control sets {sets}, not for {controls}; learn some with "
            f"`mirrornet learn --controls {controls}`, and name them with --model."
        )
    return shipped(controls)


def load_model(path: str | Path | None = None, controls: str = "set1") -> MirrorNet:
    """The model of a `card_of`. Raises CheckpointError if it is missing, damaged or no model."""
    return MirrorNet.load(card_of(path, controls))
