"""Training on babble: random phrases that the plant renders, so notes and patches are known.

No recordings and no labelled music are used.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..cochlea import CHANNELS
from ..features import FRAME_S
from ..models.mirrornet import MirrorNet
from ..plants.pool import Pool
from .dataset import Phrases, babble_phrases
from .steps import batch_rows, fast_arithmetic, on, one_cycle, set_lr
from .trainer import STEP_SEEDS, Losses, Run, fit, train

JUDGED, TOGETHER = 512, 32  # phrases, in all and at once, on which the decoder's error is measured


class Part(NamedTuple):
    """One stage of the training."""

    name: str
    weights: list[nn.Parameter]
    epochs: float
    weight_decay: float


@dataclass(frozen=True)
class PhraseRecipe:
    """Training in two stages: reading of patches, and the decoder. They share no weights. Each step
    uses `batch` random phrases."""

    phrases: int = 8064
    patch_epochs: float = 40.0
    sound_epochs: float = 24.0
    batch: int = 32
    lr: float = 1.5e-3  # peak of each stage; see `one_cycle`
    weight_decay: float = 1e-4
    patch_weight_decay: float = 0.05
    clip: float = 1.0  # largest norm of a gradient
    gain_db: float = 8.0  # standard deviation of a random gain; recordings have no fixed level


PHRASE_RECIPES = {"quick": PhraseRecipe(phrases=2000), "full": PhraseRecipe()}


def train_on_babble(
    recipe: PhraseRecipe,
    pool: Pool,
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
) -> MirrorNet:
    """Train a model for recordings on random phrases of the pool's plant.

    Args:
        recipe: see `PHRASE_RECIPES`.
        pool: workers that render; their plant and controls become the model's.
        folder: for babble, log, state and model.
        seed: of phrases, initial weights, batches and augmentation.
        resume: continue an interrupted run, which gives the same weights, bit for bit on a CPU with
            as many threads (except that phrases rendered again may differ in the last bit).
        device: see `pick_device`.

    Raises OutputError if the folder cannot be used.
    """
    about = {
        "recipe": type(recipe).__name__,
        **asdict(recipe),
        "plant": pool.name,
        "control_set": pool.controls.name,
        "seed": seed,
    }

    def by_recipe(run: Run, model: MirrorNet) -> None:
        phrases = babble_phrases(pool, recipe.phrases, seed, run.part("babble"))
        _learn(run, recipe, model, phrases, seed)

    def make() -> MirrorNet:
        return MirrorNet(pool.name, pool.controls, "recording")

    how = {"seed": seed, "resume": resume, "device": device, "progress": pool.progress}
    return train(folder, about, make, by_recipe, **how)


def _learn(run: Run, recipe: PhraseRecipe, model: MirrorNet, phrases: Phrases, seed: int) -> None:
    """Train the stages one after the other."""
    encoder, to = model.encoder, next(model.parameters()).device
    parts = [
        Part("patch", encoder.patch_weights(), recipe.patch_epochs, recipe.patch_weight_decay),
        Part("sound", [*model.decoder.parameters()], recipe.sound_epochs, recipe.weight_decay),
    ]
    if not encoder.reads_patches:
        parts = [part for part in parts if part.name != "patch"]
    adams = {p.name: torch.optim.AdamW(p.weights, weight_decay=p.weight_decay) for p in parts}
    plan = [
        (part, at, steps)
        for part in parts
        for steps in [math.ceil(part.epochs * len(phrases) / recipe.batch)]
        for at in range(steps)
    ]
    chance = torch.Generator()

    def losses(step: int) -> Losses:
        part, at, steps = plan[step]
        set_lr(adams[part.name], one_cycle(at / steps) * recipe.lr)
        rows = batch_rows(at, recipe.batch, len(phrases), seed)
        S, notes, patches = (
            on(to, a[rows]) for a in (phrases.heard, phrases.notes, phrases.patches)
        )
        chance.manual_seed(seed * STEP_SEEDS + at)
        torch.manual_seed(seed * STEP_SEEDS + at)  # for dropout: steps count from 0 in each stage
        louder = 10 ** (recipe.gain_db / 20 * torch.randn(len(S), 1, 1, generator=chance).to(to))
        with fast_arithmetic(to):
            if part.name == "patch":
                heard = compressed(S[:, :CHANNELS] * louder)
                loss = encoder.patch_loss(heard, notes, patches, FRAME_S, chance)
            else:
                loss = model.e_d((notes, patches), S, chance)
        return Losses(loss, {part.name: loss}, [part.name])

    for _ in fit(run, "Learning", len(plan), model, adams, losses, seed, recipe.clip):
        pass
    _remember(model, phrases, chance)


@torch.no_grad()
def _remember(model: MirrorNet, phrases: Phrases, chance: torch.Generator) -> None:
    """Remember all phrases in the encoder's memory, and the decoder's error on some."""
    model.eval()
    to = next(model.parameters()).device
    chance.manual_seed(0)
    errors = []
    for start in range(0, min(len(phrases), JUDGED), TOGETHER):
        some = slice(start, start + TOGETHER)
        S, notes, patches = (
            on(to, a[some]) for a in (phrases.heard, phrases.notes, phrases.patches)
        )
        errors.append(float(model.e_d((notes, patches), S, chance)))
    sounds = (torch.from_numpy(a) for a in (phrases.heard, phrases.notes, phrases.patches))
    model.encoder.memory.remember(*sounds, sum(errors) / len(errors))


def compressed(S: Float[Tensor, "*batch channel frame"]) -> Float[Tensor, "*batch channel frame"]:
    """Loudness-compress as `features.hear_recording` does, but without estimating the mean."""
    return torch.log1p(4 * S) / 4
