"""Peers that learn: regression from a spectrogram to controls, supervised by the plant's babble.

The amortised matchers of the field answer in one pass: InverSynth (Barkan et al. 2019), SpiegeLib
(Shier et al. 2020), the AST baseline of Hayes et al. 2025. What they share is here: how answers
are read off, the loss and the training. They get the same babble as ours, the same augmentation,
and losses of the same kinds, so what differs is the network.
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
    """Steps are of `batch` babbled melodies."""

    epochs: float  # passes over the babble
    batch: int
    lr: float  # peak; see `one_cycle`
    weight_decay: float = 0.05
    clip: float = 1.0  # largest norm of the gradient


class Reading(NamedTuple):
    """What a regressor reads from a melody."""

    pitch_logits: Float[Tensor, "batch note semitone"]
    duration: Float[Tensor, "batch note"]
    knobs: Float[Tensor, "batch knob note"]


class Regressor(nn.Module):
    """`(batch, channel=128, frame) -> (batch, control, note)`: a `body` and its last layer, `head`.

    The head gives `outputs(controls)` numbers for each note, one note after another. The rows of
    the controls are pitch, duration and the knobs, as in the plant's control space.
    """

    hearing: Hearing = "loudness"

    def __init__(self, body: nn.Module, head: nn.Module, controls: int, notes: int, frames: int):
        super().__init__()
        self.controls, self.notes, self.frames = controls, notes, frames
        self.body, self.head = body, head

    def forward(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]:
        """Controls of the melody in 0..1, its pitches the likeliest.

        Raises ControlError for other notes or frames than built for.
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
        """Controls to play, as `MirrorNet.guess`; the regressor must be in eval mode."""
        return torch.cat([self(some, notes) for some in heard.split(64)])

    def save(self, path: str | Path, card: dict[str, Any]) -> Path:
        """Write the card `path` (.json) and the weights beside it."""
        built = {"controls": self.controls, "notes": self.notes, "frames": self.frames}
        return save_checkpoint(path, self.state_dict(), built | card)

    def read(self, heard: Float[Tensor, "batch channel=128 frame"]) -> Reading:
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
        """How badly babbled controls are read back: durations, pitches and knobs, each as a share
        of what the best constant answer scores.

        As with `NoteReader`, beyond the first, `plain` sounds only notes are read. Of durations
        only the ratios can be heard, so the best answer is a mean over all that have
        them, and it has them too.
        """
        reading = self.read(heard)
        duration = F.mse_loss(reading.duration, controls[:, 1])
        semitones = (controls[:, 0] * PITCH_SPAN).round().long()
        pitch = F.cross_entropy(reading.pitch_logits.mT, semitones)
        knobs = F.mse_loss(reading.knobs[:plain], controls[:plain, 2:])
        return 12 * duration + pitch / math.log(PITCH_SPAN + 1) + 12 * knobs


def outputs(controls: int) -> int:
    """How many numbers a regressor gives for each note: pitch is one of 13, the rest a number."""
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
    """Learn to read babbled `controls` from what was `heard`; log, state and model go to `folder`.

    `heard` is as `dataset.listen` gives it, with the hearing `loudness`. Interrupted, it goes on
    with `resume=True` and ends with the same weights, bit for bit on a CPU with as many threads.
    Raises OutputError if the folder cannot be used.
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
    """What `train_supervised` learned in `folder`, in eval mode.

    Raises CheckpointError if it is missing, damaged or another peer's.
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
