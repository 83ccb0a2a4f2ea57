"""MirrorNet: an encoder and a decoder with the plant's controls between them, and two losses.

    e_d = d(D(h), S(plant(h)))   the decoder learns to predict the plant's sound
    e_c = d(D(E(S)), S)          the encoder learns to reproduce S through the frozen decoder

(Paper, "MirrorNet Model Architecture".) `D` is the decoder, `E` the encoder, `h` controls, `S` an
auditory spectrogram, `d` a mean squared distance. The architecture defines `D`, `E` and `d`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..controls import MOST_ENTRIES, Control, ControlSpace
from ..errors import CheckpointError, ControlError, PlantError
from ..plants import find_plant, is_file
from ..runtime import own_settings
from .checkpoints import fingerprint, from_bytes, in_bytes, load_checkpoint, save_checkpoint
from .melody import Melody, Paper
from .recording import Recording


class Architecture(Protocol):
    """A pair of networks with their input features and distance.

    A score is a tuple of tensors; the decoder is called as `decoder(*score, at)`.
    """

    hearing: str
    """Input features: "loudness" or "unit-sequence" (`features.hear`), or "wide" (`hear_wide`)."""

    @staticmethod
    def networks(space: ControlSpace) -> tuple[nn.Module, nn.Module]:
        """Make the encoder and the decoder."""
        ...

    @staticmethod
    def encode(encoder: Any, decoder: Any, S: Any, notes: Any) -> tuple[Tensor, ...]:
        """The encoder's score for `S`; `notes` is the number of notes, or what is known of them."""
        ...

    @staticmethod
    def view(S: Any, ends: Any, chance: Any) -> tuple[Tensor, Any]:
        """The part of `S` that the decoder is to predict, and its `at`: a length, or times."""
        ...

    @staticmethod
    def distance(expected: Tensor, heard: Tensor) -> Float[Tensor, ""]:
        """The distance `d` between the decoder's prediction and the actual spectrogram."""
        ...


ARCHITECTURES: dict[str, type[Architecture]] = {
    "melody": Melody,
    "paper": Paper,
    "recording": Recording,
}
COARSE = "encoder.note."  # the beginning of the names of weights that 8 bits do for
# The beginnings of the names of networks that earlier versions had: now the note finder's.
DROPPED = ("encoder.salience.", "encoder.frames.")
# Names of architectures in cards of earlier versions.
RENAMED = {"notewise": "melody", "transcriber": "recording"}


class MirrorNet(nn.Module):
    """Encoder (inverse model) and decoder (forward model) for one plant and control space.

    Raises ControlError if the architecture does not support these controls.
    """

    def __init__(self, plant: str, controls: ControlSpace, architecture: str = "melody"):
        super().__init__()
        if (architecture != "recording") != controls.is_melody:
            raise ControlError(
                f"the architecture {architecture} does not play the control set {controls.name}: "
                "controls with pitch and duration are a melody's, others a recording's."
            )
        self.plant, self.controls, self.architecture = plant, controls, architecture
        self.kind = ARCHITECTURES[architecture]
        self.hearing: Any = self.kind.hearing
        self.encoder: Any
        self.decoder: Any
        self.encoder, self.decoder = self.kind.networks(controls)

    def e_d(
        self,
        score: Tensor | tuple[Tensor, ...],
        S: Float[Tensor, "batch channel frame"],
        chance: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Decoder loss: distance from the prediction for `score` to the spectrogram of its render.

        `chance` draws the frames that are compared, for recordings.
        """
        score = score if isinstance(score, tuple) else (score,)
        heard, at = self.kind.view(S, None, chance)
        return self.kind.distance(self.decoder(*score, at), heard)

    def e_c(
        self,
        S: Float[Tensor, "batch channel frame"],
        notes: int | Float[Tensor, "batch note value"] = 5,
        ends: Float[Tensor, " batch"] | None = None,
        chance: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Encoder loss: distance from the decoder's prediction for the encoder's score to `S`.

        The decoder is frozen: its weights get no gradient, its normalisation statistics stay.
        `notes` is their number (melodies) or their values (recordings), `ends` the end of each
        sound in frames; `chance` is as in `e_d`.
        """
        weights = {name: p.detach() for name, p in self.decoder.named_parameters()}
        learning = self.decoder.training
        self.decoder.eval()
        score = self.kind.encode(self.encoder, self.decoder, S, notes)
        heard, at = self.kind.view(S, ends, chance)
        expected = functional_call(self.decoder, weights, (*score, at))
        self.decoder.train(learning)
        return self.kind.distance(expected, heard)

    @own_settings()
    @torch.no_grad()
    def guess(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]:
        """The encoder's estimate of the controls of melodies, clipped to 0..1."""
        learning = self.training
        self.eval()
        controls = torch.cat([self.encoder(some, notes) for some in heard.split(64)])
        self.train(learning)
        return controls.clamp(0, 1)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the weights."""
        return fingerprint(*(tensor.cpu().numpy() for tensor in self.state_dict().values()))

    def save(
        self, path: str | Path, card: dict[str, Any], half: bool = False, coarse: bool = False
    ) -> Path:
        """Write the model and the entries `card` to a card at `path` (.json) and weights beside it.

        `half` stores the weights in half precision, `coarse` those of the network that reads
        patches in 8 bits, which leaves room for memories.
        """
        tensors = self.state_dict()
        bytes_do = {k: t for k, t in tensors.items() if coarse and k.startswith(COARSE)}
        if half:
            tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
        tensors |= in_bytes(bytes_do)
        about = {
            "plant": self.plant,
            "control_set": self.controls.name,
            "architecture": self.architecture,
            "controls": [control.as_json() for control in self.controls],
            "controls_sha256": self.controls.fingerprint,
        }
        return save_checkpoint(path, tensors, about | card)

    @classmethod
    @own_settings()
    def load(cls, path: str | Path) -> "MirrorNet":
        """Load the model whose card is at `path`, written by this version or an earlier one.

        Raises CheckpointError if it is missing, damaged, or not a model of this package.
        """
        tensors, card = load_checkpoint(path)
        try:
            architecture: Any = card["architecture"]
            architecture = RENAMED.get(architecture, architecture)
            model = cls(card["plant"], controls_of(card), architecture)
            named = {_renamed(key): tensor for key, tensor in from_bytes(tensors).items()}
            tensors = {k: tensor for k, tensor in named.items() if not k.startswith(DROPPED)}
            model.load_state_dict(tensors)
        except (ControlError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} is a checkpoint, but not of a model this version knows; use the version "
                f"in its card, or learn it again."
            ) from error
        model.eval()
        return model


def controls_of(card: Mapping[str, Any]) -> ControlSpace:
    """The control space that a card describes; cards of earlier versions are converted.

    Raises ControlError, KeyError or TypeError if the card describes none.
    """
    listed = [dict(fields) for fields in card["controls"]]
    if not isinstance(card["plant"], str) or not isinstance(card["control_set"], str):
        raise ControlError("a card names a plant and a control set.")
    if "controls_sha256" in card:
        space = ControlSpace((Control.from_json(f) for f in listed), card["control_set"])
        if len(space.rows) > MOST_ENTRIES:
            raise ControlError("there are more controls than a model can have.")
        if space.fingerprint != card["controls_sha256"]:
            raise ControlError("the controls are not those that the card had.")
        return space
    return _of_version_1(listed, card["plant"], card["control_set"])


def _of_version_1(listed: list[dict[str, Any]], plant: str, name: str) -> ControlSpace:
    """The controls of a card without kinds and roles: the plant's own, if all else is equal. Those
    for recordings included pitch and duration, and had the scope "recording"."""
    for fields in listed:
        if fields.get("scope") not in (None, "note", "recording"):
            raise ControlError("a control belongs to a note or to a recording.")
        fields["scope"] = "patch" if fields.get("scope") == "recording" else "note"
    space = ControlSpace((Control.from_json(fields) for fields in listed), name)
    if any(control.scope == "patch" for control in space):
        space = ControlSpace((c for c in space if c.name not in ("pitch", "duration")), name)
    own = None
    if not is_file(plant):  # a file named by a card is not run
        try:
            own = find_plant(plant).control_sets.get(name)
        except PlantError:
            own = None

    def known(space: ControlSpace) -> list[tuple]:
        return [(c.name, c.low, c.high, c.curve, c.circular, c.scope) for c in space]

    if own is not None and known(own) == known(space):
        return own
    roles = {"pitch", "duration", "level", "tune"}
    return ControlSpace(
        (Control(**{**c.__dict__, "role": c.name if c.name in roles else None}) for c in space),
        name,
    )


def _renamed(key: str) -> str:
    head, _, rest = key.partition(".")
    return f"encoder.{rest}" if head == "transcriber" else key


def shipped(controls: str, plant: str = "vital") -> Path:
    """Path of the card of the shipped weights for a plant and a control set; there may be none."""
    return Path(__file__).parents[1] / "data" / f"{plant}-{controls}.json"


def ships(controls: ControlSpace, plant: str) -> bool:
    """Whether weights ship for a plant with just these controls. (A control map of the user's may
    have the name of one that ships.)"""
    card = shipped(controls.name, plant)
    if not card.is_file():
        return False
    return controls_of(json.loads(card.read_bytes())).fingerprint == controls.fingerprint


def card_of(path: str | Path | None, controls: str) -> Path:
    """Path of a model's card: `path` itself, or the card in `path` if that is a run's folder; for
    None, the card that ships for the default plant and the control set `controls`.

    Raises CheckpointError if no weights ship for the control set.
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
    """Load the model of `card_of`. Raises CheckpointError if it is missing, damaged or no model."""
    return MirrorNet.load(card_of(path, controls))
