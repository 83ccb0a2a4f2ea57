"""Training for melodies: two recipes.

`paper`, the authors': rounds in which the plant renders the encoder's guesses for the targets, the
decoder learns from the renders (e_d), and then the encoder learns through the frozen decoder (e_c).

`mirror`, this project's: the plant renders babble (random melodies); the decoder learns to predict
its sound (e_d), and the encoder to read its controls and to reproduce it through the decoder (e_c).
Then come rounds on the targets: the plant renders attempts (the encoder's guesses, with small
random changes); both networks learn from these, and the encoder learns to reproduce the targets
through the decoder (e_c).

No target comes with its controls.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from ..errors import CheckpointError, MirrorNetError
from ..models.checkpoints import fingerprint
from ..models.mirrornet import MirrorNet, load_model
from ..plants.pool import Pool
from .augment import partly_augmented
from .dataset import listen
from .sampling import random_melodies
from .steps import batch_rows, fast_arithmetic, on, one_cycle, set_lr
from .trainer import STEP_SEEDS, Losses, Run, fit, train

Targets = Float[np.ndarray, "target channel=128 frame"]
# Controls and spectrograms, as from `listen`.
Babble = tuple[
    Float[np.ndarray, "melody control note"], Float[np.ndarray, "melody channel=128 frame"]
]

LISTENING_BABBLE = 1000  # melodies of babble in fine-tuning on targets
ATTEMPTS = 9  # random stream of attempts, distinct from those of melodies


@dataclass(frozen=True)
class MirrorRecipe:
    """Training on babble, then on the targets and the attempts at them."""

    babble: int = 6000  # random melodies
    epochs: float = 12.0  # passes over the babble before any target is used
    batch: int = 32  # labelled melodies per step: babble, later half babble and half attempts
    batch_e_c: int = 16  # melodies per step for e_c
    weight_e_c: float = 100.0
    alone: float = 0.3  # share of the steps on babble without e_c: the decoder is too bad at first
    rounds: int = 4  # of rendering attempts at the targets, and training on them
    round_steps: int = 100
    spread: float = 0.08  # standard deviation of random changes of guesses, for exploration
    encoder_lr: float = 1e-3  # peaks; see `one_cycle`
    decoder_lr: float = 2e-3
    listening_lr: float = 0.5  # share of these peaks in the rounds on targets
    architecture: Literal["melody"] = "melody"

    def listening(self) -> "MirrorRecipe":
        """The recipe for fine-tuning a trained model on targets: the rounds only, with a little
        babble against forgetting."""
        return replace(self, babble=LISTENING_BABBLE, epochs=0)

    @property
    def babbling_steps(self) -> int:
        """The number of steps before any target is used."""
        return int(self.epochs * self.babble / self.batch)


@dataclass(frozen=True)
class PaperRecipe:
    """The paper's schedule and learning rates."""

    rounds: int = 15
    decoder_epochs: int = 18
    encoder_epochs: int = 25
    batch: int = 64
    encoder_lr: float = 1e-2
    decoder_lr: float = 1e-3
    architecture: Literal["paper"] = "paper"


Recipe = MirrorRecipe | PaperRecipe
RECIPES: dict[str, dict[str, Recipe]] = {
    "mirror": {"quick": MirrorRecipe(), "full": MirrorRecipe(babble=20000, epochs=16)},
    "paper": {
        "quick": PaperRecipe(rounds=5, decoder_epochs=8, encoder_epochs=11),
        "full": PaperRecipe(),
    },
}


def plan_from(
    recipe: str, budget: str, start: str | None, controls: str
) -> tuple[Recipe, MirrorNet | None]:
    """The recipe by name and budget, and the model to start from.

    Args:
        recipe, budget: keys of `RECIPES`.
        start: None: no model; "shipped": the model that ships for the control set; else the path of
            a model. With a model the recipe is that for fine-tuning (`MirrorRecipe.listening`).
        controls: name of the control set.

    Raises MirrorNetError for a recipe without a start model, CheckpointError for a bad model.
    """
    plan = RECIPES[recipe][budget]
    if start is None:
        return plan, None
    if isinstance(plan, PaperRecipe):
        raise MirrorNetError(f"the recipe {recipe} starts from nothing; leave out --start.")
    model = load_model(None if start == "shipped" else start, controls)
    if model.architecture != plan.architecture:
        raise CheckpointError(f"{start} is no model of the paper's melodies; name another --start.")
    return plan.listening(), model


def learn(
    recipe: Recipe,
    pool: Pool,
    targets: Targets,
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    about_targets: str = "",
    start: MirrorNet | None = None,
    babble: Babble | None = None,
) -> MirrorNet:
    """Train a model to reproduce `targets` on the pool's plant.

    Args:
        recipe: see `RECIPES`.
        pool: workers that render; their plant and controls become the model's.
        targets: spectrograms of five-note melodies, with the features of the recipe's architecture
            (`MirrorNet.hearing`).
        folder: for log, state, renders and model.
        seed: of babble, initial weights, batches and attempts.
        resume: continue an interrupted run, which gives the same weights, bit for bit on a CPU with
            as many threads.
        device: see `pick_device`.
        about_targets: a description of the targets, for the model's card.
        start: a model whose weights training starts from.
        babble: renders of this plant to use as babble; None: the mirror recipe makes its own.

    Raises OutputError if the folder cannot be used.
    """
    about = {
        "recipe": type(recipe).__name__,
        **asdict(recipe),
        "plant": pool.name,
        "controls": list(pool.controls.names),
        "targets": about_targets or f"{len(targets)} sounds",
        "targets_sha256": fingerprint(targets),
        "seed": seed,
    }
    if start:
        about["start_sha256"] = start.fingerprint
    if babble:
        about["babble_sha256"] = fingerprint(*babble)

    def make() -> MirrorNet:
        model = MirrorNet(pool.name, pool.controls, recipe.architecture)
        if start:
            model.load_state_dict(start.state_dict())
        return model

    def by_recipe(run: Run, model: MirrorNet) -> None:
        if isinstance(recipe, MirrorRecipe):
            train_mirror(run, recipe, model, pool, targets, seed, babble)
        else:
            train_paper(run, recipe, model, pool, targets, seed)

    how = {"seed": seed, "resume": resume, "device": device, "progress": pool.progress}
    return train(folder, about, make, by_recipe, **how)


def train_mirror(
    run: Run,
    recipe: MirrorRecipe,
    model: MirrorNet,
    pool: Pool,
    targets: Targets,
    seed: int,
    babble: Babble | None = None,
) -> None:
    """Run the mirror recipe: train on babble, then on targets and attempts.

    Without targets the model is trained on babble only.
    """
    if babble is None:
        controls = random_melodies(pool.controls, "babble", recipe.babble, seed)
        babble = listen(pool, controls, model.hearing, "Babbling", run.part("babble"))
    controls, heard = babble
    networks = {"encoder_adam": model.encoder, "decoder_adam": model.decoder}
    adams = {
        name: torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
        for name, network in networks.items()
    }
    babbling = recipe.babbling_steps
    listening = recipe.rounds * recipe.round_steps if len(targets) else 0
    device = next(model.parameters()).device
    chance = torch.Generator()
    attempts: list[Babble] = []
    tried = tried_sound = np.empty(0)

    def losses(step: int) -> Losses:
        nonlocal tried, tried_sound
        chance.manual_seed(seed * STEP_SEEDS + step)
        own = batch_rows(step, recipe.batch, len(controls), seed)
        labelled, sound = controls[own], heard[own]
        if step < babbling:
            rate = one_cycle(step / babbling)
            rows = batch_rows(step, recipe.batch_e_c, len(heard), seed + 1)
            to_play = heard[rows] if step >= recipe.alone * babbling else None
        else:
            step_listening = step - babbling
            rate = recipe.listening_lr * one_cycle(step_listening / listening)
            while len(attempts) <= step_listening // recipe.round_steps:
                attempts.append(_attempt(run, recipe, model, pool, targets, len(attempts), seed))
                tried, tried_sound = (np.concatenate(part) for part in zip(*attempts, strict=True))
            half = recipe.batch // 2
            rows = batch_rows(step_listening, recipe.batch - half, len(tried), seed + 2)
            # Babble last, because the end of a batch is augmented.
            labelled = np.concatenate([tried[rows], labelled[:half]])
            sound = np.concatenate([tried_sound[rows], sound[:half]])
            rows = batch_rows(step_listening, recipe.batch_e_c, len(targets), seed + 1)
            to_play = targets[rows]

        set_lr(adams["encoder_adam"], rate * recipe.encoder_lr)
        set_lr(adams["decoder_adam"], rate * recipe.decoder_lr)
        labelled, sound = on(device, labelled), on(device, sound)
        with fast_arithmetic(device):
            parts = {"e_d": model.e_d(labelled, sound)}
            augmented, plain = partly_augmented(sound, chance)
            parts["read_back"] = model.encoder.babble_loss(augmented, labelled, plain, chance)
            total = parts["e_d"] + parts["read_back"]
            if to_play is not None:
                parts["e_c"] = model.e_c(on(device, to_play))
                total = total + recipe.weight_e_c * parts["e_c"]
        return Losses(total, parts)

    steps = babbling + listening
    for step in fit(run, "Learning", steps, model, adams, losses, seed, clip=1.0):
        if step == babbling - 1:  # trained on the plant, not on any target
            model.save(run.part("babbled") / "model.json", {"spent_s": run.spent_s})


def _attempt(
    run: Run,
    recipe: MirrorRecipe,
    model: MirrorNet,
    pool: Pool,
    targets: Targets,
    round_number: int,
    seed: int,
) -> Babble:
    """Render the encoder's guesses for the targets, with random changes of all but pitch."""
    device = next(model.parameters()).device
    guesses = model.guess(torch.from_numpy(targets).to(device)).cpu().numpy()
    if not np.isfinite(guesses).all():
        raise MirrorNetError("learning went astray: the guesses are not finite; try another seed.")
    chance = np.random.default_rng((seed, round_number, ATTEMPTS))
    changes = chance.normal(0, recipe.spread, guesses.shape)
    changes[:, pool.controls.row_of_role("pitch")] = 0
    tries = np.clip(guesses + changes, 0, 1)
    folder = run.part(f"round-{round_number:02d}")
    return listen(pool, tries, model.hearing, f"Round {round_number + 1}", folder)


def train_paper(
    run: Run, recipe: PaperRecipe, model: MirrorNet, pool: Pool, targets: Targets, seed: int
) -> None:
    """Run the paper's recipe: rounds of rendering the guesses, e_d on these, e_c on the targets."""
    encoder_adam = torch.optim.Adam(model.encoder.parameters(), lr=recipe.encoder_lr)
    decoder_adam = torch.optim.Adam(model.decoder.parameters(), lr=recipe.decoder_lr)
    per_epoch = math.ceil(len(targets) / recipe.batch)
    decoder_steps = recipe.decoder_epochs * per_epoch
    round_steps = decoder_steps + recipe.encoder_epochs * per_epoch
    device = next(model.parameters()).device
    adams = {"encoder_adam": encoder_adam, "decoder_adam": decoder_adam}
    guesses = np.empty(0)
    heard = np.empty(0)

    def losses(step: int) -> Losses:
        nonlocal guesses, heard
        round_number, in_round = divmod(step, round_steps)
        if in_round < decoder_steps:
            # The encoder is not trained in this phase, so its guesses are rendered once.
            if in_round == 0 or len(guesses) == 0:
                guesses = model.guess(torch.from_numpy(targets).to(device)).cpu().numpy()
                folder = run.part(f"round-{round_number:02d}")
                guesses, heard = listen(pool, guesses, model.hearing, "Listening", folder)
            rows = batch_rows(in_round, recipe.batch, len(guesses), seed + round_number)
            with fast_arithmetic(device):
                loss = model.e_d(on(device, guesses[rows]), on(device, heard[rows]))
            return Losses(loss, {"e_d": loss}, ["decoder_adam"])
        rows = batch_rows(in_round, recipe.batch, len(targets), seed + round_number)
        with fast_arithmetic(device):
            loss = model.e_c(on(device, targets[rows]))
        return Losses(loss, {"e_c": loss}, ["encoder_adam"])

    steps = recipe.rounds * round_steps
    for step in fit(run, "Learning", steps, model, adams, losses, seed, log_every=1):
        if (step + 1) % round_steps == 0:  # for learning curves
            rounds = (step + 1) // round_steps
            card = {"learning_renders": rounds * len(targets), "learning_cpu_s": run.cpu_s}
            model.save(run.part(f"round-{rounds - 1:02d}") / "model.json", card)
