"""Peers that learn: regression from a spectrogram to controls, supervised by the plant's babble.

The amortised matchers of the field answer in one pass: InverSynth (Barkan et al. 2019), SpiegeLib
(Shier et al. 2020), the AST baseline of Hayes et al. 2025. What they share is here: how answers
are read off, the loss and the learning. They get the same babble as ours, the same disguises, and
losses of the same kinds, so what differs is the network.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import CheckpointError, ControlError
from ...events import Progress
from ...features import Hearing
from ...models.checkpoints import fingerprint, load_checkpoint, provenance, save_checkpoint
from ...score import PITCH_SPAN
from ...training.augment import disguise
from ...training.steps import (
    batch_rows,
    descend,
    fast_arithmetic,
    on,
    one_cycle,
    pick_device,
    set_lr,
)
from ...training.trainer import Run


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

    def __init__(self, body: nn.Module, head: nn.Module, notes: int, frames: int):
        super().__init__()
        self.notes, self.frames = notes, frames
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
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """How badly babbled controls are read back: durations, pitches and knobs, each as a share
        of what the best constant answer scores.

        As with `NoteReader`, the last quarter of the batch is read in disguise, its notes only. Of
        durations only the ratios can be heard, so the best answer is a mean over all that have
        them, and it has them too.
        """
        plain = len(heard) - len(heard) // 4
        reading = self.read(torch.cat([heard[:plain], disguise(heard[plain:], generator)]))
        duration = F.mse_loss(reading.duration, controls[:, 1])
        semitones = (controls[:, 0] * PITCH_SPAN).round().long()
        pitch = F.cross_entropy(reading.pitch_logits.mT, semitones)
        # A disguise hides the knobs.
        knobs = F.mse_loss(reading.knobs[:plain], controls[:plain, 2:])
        return 12 * duration + pitch / math.log(PITCH_SPAN + 1) + 12 * knobs


def outputs(controls: int) -> int:
    """How many numbers a regressor gives for each note: pitch is one of 13, the rest a number."""
    return PITCH_SPAN + 1 + controls - 1


def learn_supervised(
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

    `heard` is as `babbling.listen` gives it, with the hearing `loudness`. Interrupted, it goes on
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
    run = Run(Path(folder), about, resume, progress)
    done = run.folder / "model.json"
    if done.is_file():
        return load_supervised(peer, run.folder)
    to = pick_device(device)
    steps = int(recipe.epochs * len(controls) / recipe.batch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = peer(**shape).to(to).train()
        adam = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)
        for step in run.steps("Learning", steps, model, {"adam": adam}):
            set_lr(adam, one_cycle(step / steps) * recipe.lr)
            torch.manual_seed(seed * 1_000_003 + step)  # of dropout and disguises

            rows = batch_rows(step, recipe.batch, len(controls), seed)
            with fast_arithmetic(to):
                loss = model.babble_loss(on(to, heard[rows]), on(to, controls[rows]))
            descend(loss, step, adam, clip=recipe.clip)
            if step % 20 == 0 or step == steps - 1:
                run.log(step, read_back=loss.item())
    model.to("cpu").eval()
    card = {**shape, "learned": about, **run.took}
    save_checkpoint(done, model.state_dict(), card | provenance())
    return model


def load_supervised(peer: type[Regressor], folder: str | Path) -> Regressor:
    """What `learn_supervised` learned in `folder`, in eval mode.

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
