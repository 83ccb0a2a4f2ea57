"""Learned baselines that read a patch from the sound of a phrase: CNN, AST, and flow matching.

All see the first seconds of a sound as the babble has them, and train on the same babble. CNN and
AST regress the patch (`cnn.py`, `ast.py`); flow matching draws patches from the distribution of
those that fit (`flow.py`).
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...cochlea import CHANNELS
from ...controls import ControlSpace
from ...errors import CheckpointError
from ...events import Progress
from ...models.checkpoints import load_checkpoint, save_checkpoint
from ...models.rows import RowCode
from ...training.dataset import Phrases
from ...training.steps import batch_rows, fast_arithmetic, on, one_cycle, set_lr
from ...training.trainer import Losses, Run, fit, train
from . import ast, cnn
from .supervised import SupervisedRecipe

FRAMES = 500  # of a sound, 4 s

Seen = Float[Tensor, "batch channel=128 frame=500"]


class PatchReader(nn.Module):
    """A network that reads patches, rows 0..1, from spectrograms (`seen`)."""

    def __init__(self, space: ControlSpace):
        super().__init__()
        self.code = RowCode(space.patch.rows)

    def loss(self, seen: Seen, patches: Float[Tensor, "batch row"]) -> Float[Tensor, ""]:
        """The loss of a step on babble."""
        raise NotImplementedError

    def patches(self, seen: Seen, count: int, seed: int) -> Float[Tensor, "patch row"]:
        """Patches for one sound: one, or up to `count` from a reader that can draw more."""
        raise NotImplementedError

    def save(self, path: Path, card: dict[str, Any]) -> Path:
        """Write a checkpoint: the card at `path` (.json) and the weights beside it."""
        return save_checkpoint(path, self.state_dict(), card)


class Regressor(PatchReader):
    """Regression: numbers by mean squared error, choices and switches by cross entropy."""

    def __init__(self, space: ControlSpace, body: nn.Module, width: int):
        super().__init__(space)
        self.body = body
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.code.values))

    def forward(self, seen: Seen) -> Float[Tensor, "batch value"]:
        features = self.body(seen[:, None]).flatten(1)
        with torch.autocast(seen.device.type, enabled=False):
            return self.head(features.float())

    def loss(self, seen: Seen, patches: Float[Tensor, "batch row"]) -> Float[Tensor, ""]:
        values = self(seen)
        read = values[:, : self.code.measured].sigmoid()
        numbers = F.mse_loss(read, self.code.measures(patches), reduction="sum") / len(seen)
        return 12 * numbers + self.code.class_loss(values, patches)

    @torch.no_grad()
    def patches(self, seen: Seen, count: int, seed: int) -> Float[Tensor, "patch row"]:
        values = self(seen)
        values[:, : self.code.measured] = values[:, : self.code.measured].sigmoid()
        return self.code.rows_of(values)


def cnn_reader(space: ControlSpace) -> PatchReader:
    """The CNN."""
    return Regressor(space, cnn.layers(FRAMES), cnn.HIDDEN)


def ast_reader(space: ControlSpace) -> PatchReader:
    """The AST, with one class token."""
    return Regressor(space, ast.Transformer(1, FRAMES), ast.WIDTH)


def train_reader(
    name: str,
    make: Callable[[ControlSpace], PatchReader],
    recipe: SupervisedRecipe,
    space: ControlSpace,
    babble: Phrases,
    about: dict[str, Any],
    folder: Path,
    seed: int = 0,
    progress: Progress | None = None,
) -> PatchReader:
    """Train a reader on babble, or load it if it is trained; an interrupted run is resumed.

    `about` says what the babble is. Raises OutputError if the folder cannot be used.
    """
    about = {"reader": name, **asdict(recipe), **about, "babble": len(babble), "seed": seed}
    steps = int(recipe.epochs * len(babble) / recipe.batch)

    def by_recipe(run: Run, model: PatchReader) -> None:
        device = next(model.parameters()).device
        adam = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)

        def losses(step: int) -> Losses:
            set_lr(adam, one_cycle(step / steps) * recipe.lr)
            rows = batch_rows(step, recipe.batch, len(babble), seed)
            with fast_arithmetic(device):
                sounds = compressed(on(device, babble.heard[rows, :CHANNELS]))
                loss = model.loss(sounds, on(device, babble.patches[rows]))
            return Losses(loss, {"loss": loss})

        for _ in fit(
            run, f"Learning {name}", steps, model, {"adam": adam}, losses, seed, recipe.clip
        ):
            pass

    how = {"seed": seed, "resume": True, "device": "cpu", "progress": progress}
    load = partial(load_reader, make, space)
    return train(folder, about, lambda: make(space), by_recipe, load, **how)


def load_reader(
    make: Callable[[ControlSpace], PatchReader], space: ControlSpace, path: Path
) -> PatchReader:
    """Load a reader, in eval mode. Raises CheckpointError if it is missing or another one."""
    model = make(space)
    try:
        model.load_state_dict(load_checkpoint(path)[0])
    except RuntimeError as error:
        raise CheckpointError(f"{path} is no such reader of these controls.") from error
    return model.eval()


def seen(heard: Float[np.ndarray, "channel=176 frame"]) -> Seen:
    """The first 4 s of a spectrogram (`hear_recording`) as the readers know them from babble."""
    linear = np.expm1(4 * heard[:CHANNELS, :FRAMES].astype(np.float64)) / 4
    linear = np.pad(linear, ((0, 0), (0, FRAMES - linear.shape[1])))
    return compressed(torch.from_numpy(linear[None]).float())


def compressed(linear: Seen) -> Seen:
    """Loudness-compress spectrograms after division by their mean."""
    mean = linear.mean((1, 2), keepdim=True).clamp(min=1e-6)
    return torch.log1p(4 * linear / mean) / 4
