"""Training of the note finder on random performances, under random recording conditions.

No plant, no recordings and no labelled music are used: performances are drawn, played by random
additive voices (`additive_voice.py`) and recorded (`conditions.py`), so their notes are known.
"""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import load_file

from ..events import Progress
from ..features import (
    FRAME_S,
    RECORDING_RATE_HZ,
    SOUNDING_MEAN,
    hear_wide,
    sounding_mean,
)
from ..models.notes import NoteFinder
from ..storage import write_arrays
from .additive_voice import play
from .augment import augment
from .conditions import random_conditions
from .dataset import PHRASE_SHARD
from .performance import MOST_NOTES, draw_performance
from .steps import batch_rows, fast_arithmetic, on, one_cycle, set_lr
from .trainer import STEP_SEEDS, Losses, Run, fit, train


@dataclass(frozen=True)
class NoteRecipe:
    """Training of the note finder. Each step uses `batch` random phrases; half are augmented."""

    phrases: int = 12800
    epochs: float = 11.0
    batch: int = 32
    lr: float = 1.5e-3  # at its peak; see `one_cycle`
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest norm of a gradient
    gain_db: float = 4.0  # standard deviation of a random gain


NOTE_RECIPES = {"quick": NoteRecipe(phrases=2048), "full": NoteRecipe()}


@dataclass(frozen=True)
class Heard:
    """Performances as they are heard."""

    heard: Float[np.ndarray, "phrase channel=176 frame=500"]
    """From `features.hear_wide`, scaled as `hear_recording` scales, not compressed; half
    precision."""
    onsets_s: Float[np.ndarray, "phrase note=40"]
    """NaN after the last one."""
    pitch: Float[np.ndarray, "phrase frame=500"]
    """As `additive_voice.Sounded.pitch`."""

    def __len__(self) -> int:
        return len(self.heard)


def train_notes(
    recipe: NoteRecipe,
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> NoteFinder:
    """Train a note finder.

    Args:
        recipe: see `NOTE_RECIPES`.
        folder: for performances, log, state and model.
        seed: of performances, initial weights, batches and augmentation.
        resume: continue an interrupted run, which gives the same weights, bit for bit on a CPU with
            as many threads.
        device: see `pick_device`.
        progress: receives reports and can cancel.

    Raises OutputError if the folder cannot be used.
    """
    about = {"recipe": type(recipe).__name__, **asdict(recipe), "seed": seed}

    def by_recipe(run: Run, model: NoteFinder) -> None:
        performed = hear_performances(recipe.phrases, seed, run.part("performances"), run.progress)
        _learn(run, recipe, model, performed, seed)

    how = {"seed": seed, "resume": resume, "device": device, "progress": progress}
    return train(folder, about, NoteFinder, by_recipe, NoteFinder.load, **how)


def hear_performances(count: int, seed: int, folder: Path, progress: Progress) -> Heard:
    """Draw, play, record and hear `count` performances. Shards are kept in `folder`, and not made
    again."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    with progress.stage("Performing", count) as stage:
        for start in range(0, count, PHRASE_SHARD):
            file = folder / f"{start:06d}.safetensors"
            if not file.is_file():
                made = []
                for number in range(start, min(start + PHRASE_SHARD, count)):
                    made.append(_perform(np.random.default_rng((seed, number))))
                    stage.at(number + 1)
                heard, onsets_s, pitch = (np.stack(part) for part in zip(*made, strict=True))
                write_arrays(file, {"heard": heard, "onsets_s": onsets_s, "pitch": pitch})
            shards.append(load_file(file))
            stage.at(min(start + PHRASE_SHARD, count))
    names = [field.name for field in fields(Heard)]
    return Heard(*(np.concatenate([shard.pop(name) for shard in shards]) for name in names))


def _perform(
    generator: np.random.Generator,
) -> tuple[
    Float[np.ndarray, "channel=176 frame=500"],
    Float[np.ndarray, "note=40"],
    Float[np.ndarray, "frame=500"],
]:
    """Draw, play, record and hear a performance."""
    performance = draw_performance(generator)
    sounded = play(performance, generator)
    sound = random_conditions(sounded.sound, RECORDING_RATE_HZ, generator)
    S = hear_wide(sound, RECORDING_RATE_HZ)
    S = np.minimum(S * (SOUNDING_MEAN / sounding_mean(S)), np.finfo(np.float16).max)
    onsets_s = np.full(MOST_NOTES, np.nan, np.float32)
    onsets_s[: len(sounded.onsets_s)] = sounded.onsets_s
    return S.astype(np.float16), onsets_s, sounded.pitch.astype(np.float32)


def _learn(run: Run, recipe: NoteRecipe, model: NoteFinder, performed: Heard, seed: int) -> None:
    adams = {"adam": torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)}
    steps = math.ceil(recipe.epochs * len(performed) / recipe.batch)
    to = next(model.parameters()).device
    chance = torch.Generator()

    def losses(step: int) -> Losses:
        set_lr(adams["adam"], one_cycle(step / steps) * recipe.lr)
        rows = batch_rows(step, recipe.batch, len(performed), seed)
        chance.manual_seed(seed * STEP_SEEDS + step)
        S = on(to, performed.heard[rows])
        S = S * 10 ** (recipe.gain_db / 20 * torch.randn(len(S), 1, 1, generator=chance).to(to))
        heard = torch.log1p(4 * S) / 4
        half = len(S) // 2
        with fast_arithmetic(to):
            heard = torch.cat([heard[:half], augment(heard[half:], chance)])
            onsets = on(to, performed.onsets_s[rows]) / FRAME_S
            loss = model.loss(heard, onsets, on(to, performed.pitch[rows]))
        return Losses(loss, {"notes": loss})

    for _ in fit(run, "Learning", steps, model, adams, losses, seed, recipe.clip):
        pass
