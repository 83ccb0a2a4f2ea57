"""Supervised baselines: regression from a spectrogram to controls, trained on the plant's babble.

Such amortised methods estimate controls in one pass: InverSynth (Barkan et al. 2019), SpiegeLib
(Shier et al. 2020), the AST baseline of Hayes et al. 2025. This module holds what they share:
outputs, loss and training. Babble, augmentation and kinds of losses are the same as MirrorNet's, so
that only the network differs.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import CheckpointError, ControlError
from ...events import Progress
from ...features import Hearing
from ...models.checkpoints import fingerprint, load_checkpoint, save_checkpoint
from ...score import PITCH_SPAN
from ...training.augment import partly_augmented
from ...training.steps import batch_rows, fast_arithmetic, on, one_cycle, set_lr
from ...training.trainer import Losses, Run, fit, train


@dataclass(frozen=True)
class SupervisedRecipe:
    """Training of a supervised baseline; each step is on `batch` babbled melodies or phrases."""

    epochs: float
    batch: int
    lr: float  # peak; see `one_cycle`
    weight_decay: float = 0.05
    clip: float = 1.0  # maximal norm of the gradient


class Reading(NamedTuple):
    """The outputs of a regressor for a batch of melodies."""

    pitch_logits: Float[Tensor, "batch note semitone"]
    duration: Float[Tensor, "batch note"]
    knobs: Float[Tensor, "batch knob note"]


class Regressor(nn.Module):
    """Regressor of controls: a `body` and its last layer, `head`.

    Maps `(batch, channel=128, frame)` to `(batch, control, note)`. The head gives
    `outputs(controls)` numbers for each note, one note after another. The rows of the controls are
    pitch, duration and the knobs, as in the plant's control space.
    """

    hearing: Hearing = "loudness"

    def __init__(self, body: nn.Module, head: nn.Module, controls: int, notes: int, frames: int):
        super().__init__()
        self.controls, self.notes, self.frames = controls, notes, frames
        self.body, self.head = body, head

    def forward(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]:
        """Estimate the controls in 0..1, with the most probable pitches.

        Raises ControlError for another number of notes or frames than the network was built for.
        """
        if (asked := (notes, heard.shape[-1])) != (self.notes, self.frames):
            raise ControlError(
                f"this network was built for {self.notes} notes in {self.frames} frames, not "
                f"{asked[0]} in {asked[1]}; build and train another with notes={asked[0]}, "
                f"frames={asked[1]}."
            )
        reading = self.read(heard)
        pitch = reading.pitch_logits.argmax(-1).to(reading.duration) / PITCH_SPAN
        return torch.cat([torch.stack([pitch, reading.duration], 1), reading.knobs], 1)

    @torch.no_grad()
    def guess(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]:
        """Estimate the controls, as `MirrorNet.guess`; the regressor must be in eval mode."""
        return torch.cat([self(some, notes) for some in heard.split(64)])

    def save(self, path: str | Path, card: dict[str, Any]) -> Path:
        """Write a checkpoint: the card at `path` (.json) and the weights beside it."""
        built = {"controls": self.controls, "notes": self.notes, "frames": self.frames}
        return save_checkpoint(path, self.state_dict(), built | card)

    def read(self, heard: Float[Tensor, "batch channel=128 frame"]) -> Reading:
        """Compute pitch logits, and durations and knobs in 0..1; the head in full precision."""
        features = self.body(heard[:, None])
        with torch.autocast(heard.device.type, enabled=False):
            read = self.head(features.float()).reshape(len(heard), self.notes, -1)
        others = read[..., PITCH_SPAN + 1 :].sigmoid()
        return Reading(read[..., : PITCH_SPAN + 1], others[..., 0], others[..., 1:].mT)

    def babble_loss(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        controls: Float[Tensor, "batch control note"],
        plain: int,
    ) -> Float[Tensor, ""]:
        """Loss of the estimates of babbled controls: the sum of those of durations, pitches and
        knobs, each as a share of the loss of the best constant answer.

        As with `NoteReader`, knobs count only for the first `plain` sounds; the others are
        augmented. Only ratios of durations are audible, so the best estimate is the mean of all
        durations with the same ratios, and it has these ratios, too.
        """
        reading = self.read(heard)
        duration = F.mse_loss(reading.duration, controls[:, 1])
        semitones = (controls[:, 0] * PITCH_SPAN).round().long()
        pitch = F.cross_entropy(reading.pitch_logits.mT, semitones)
        knobs = F.mse_loss(reading.knobs[:plain], controls[:plain, 2:])
        return 12 * duration + pitch / math.log(PITCH_SPAN + 1) + 12 * knobs


def outputs(controls: int) -> int:
    """Number of outputs of a regressor per note: 13 semitones, and one for each other control."""
    return PITCH_SPAN + 1 + controls - 1


def train_supervised(
    peer: type[Regressor],
    recipe: SupervisedRecipe,
    controls: Float[np.ndarray, "melody control note"],
    heard: Float[np.ndarray, "melody channel=128 frame"],
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Regressor:
    """Train a baseline to estimate babbled controls; log, state and model go into `folder`.

    Args:
        peer: the regressor's class.
        recipe: its hyperparameters.
        controls, heard: babble, as `dataset.listen` returns it with the hearing "loudness".
        folder: the run's folder.
        seed: random seed of weights and batches.
        resume: whether to continue an interrupted run in `folder`. It ends with the same weights,
            bit for bit on a CPU with the same number of threads.
        device: "auto", "cpu" or "cuda".
        progress: receives progress events and can cancel the training.

    Returns:
        The trained regressor.

    Raises:
        OutputError: when the folder cannot be used.
        CancelledError: when `progress` is cancelled.
    """
    shape = {
        "controls": controls.shape[1],
        "notes": controls.shape[2],
        "frames": heard.shape[2],
    }
    about = {
        "peer": peer.__name__,
        **shape,
        **asdict(recipe),
        "babble": len(controls),
        "babble_sha256": fingerprint(controls, heard),
        "seed": seed,
    }
    steps = int(recipe.epochs * len(controls) / recipe.batch)

    def by_recipe(run: Run, model: Regressor) -> None:
        device = next(model.parameters()).device
        adam = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)

        def losses(step: int) -> Losses:
            set_lr(adam, one_cycle(step / steps) * recipe.lr)
            rows = batch_rows(step, recipe.batch, len(controls), seed)
            with fast_arithmetic(device):
                sound, plain = partly_augmented(on(device, heard[rows]))
                loss = model.babble_loss(sound, on(device, controls[rows]), plain)
            return Losses(loss, {"read_back": loss})

        for _ in fit(run, "Learning", steps, model, {"adam": adam}, losses, seed, recipe.clip):
            pass

    return train(
        folder,
        about,
        lambda: peer(**shape),
        by_recipe,
        lambda done: load_supervised(peer, done.parent),
        seed,
        resume,
        device,
        progress,
    )


def load_supervised(peer: type[Regressor], folder: str | Path) -> Regressor:
    """Load the regressor that `train_supervised` trained in `folder`, in eval mode.

    Raises CheckpointError if it is missing, damaged or of another class.
    """
    path = Path(folder) / "model.json"
    tensors, card = load_checkpoint(path)
    try:
        model = peer(**{name: card[name] for name in ("controls", "notes", "frames")})
        model.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is a checkpoint, but not of a {peer.__name__}; learn one into another folder."
        ) from error
    return model.eval()
