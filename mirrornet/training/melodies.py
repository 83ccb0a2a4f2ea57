"""How a MirrorNet learns: two recipes, each readable from top to bottom.

`paper`, its authors': rounds in which the plant plays the encoder's guesses, the decoder learns
from what was heard (e_d), and then the encoder learns through the frozen decoder (e_c).

`mirror`, ours: the plant babbles; the decoder learns to foresee its sound (e_d), and the encoder to
read the babble back and to play it through the decoder (e_c). Then it listens to the targets: round
after round the plant plays the encoder's guesses at them, a little changed; both learn from what is
heard, and the encoder learns to play the targets through the decoder (e_c).

No target ever comes with its controls.
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
# Controls and what was heard, as `listen` gives them.
Babble = tuple[
    Float[np.ndarray, "melody control note"], Float[np.ndarray, "melody channel=128 frame"]
]

LISTENING_BABBLE = 1000  # melodies
ATTEMPTS = 9  # random numbers of their own, apart from those of melodies


@dataclass(frozen=True)
class MirrorRecipe:
    """Babble first; then listen to the targets, and to one's own attempts at them."""

    babble: int = 6000  # melodies the plant babbles
    epochs: float = 12.0  # passes over the babble before any target is heard
    batch: int = 32  # labelled melodies a step: babble, later babble and attempts in equal parts
    batch_e_c: int = 16  # melodies a step that are played through the decoder
    weight_e_c: float = 100.0
    alone: float = 0.3  # share of the babbling steps before e_c joins in: the decoder is too bad
    rounds: int = 4  # of playing the encoder's guesses at the targets, and learning from them
    round_steps: int = 100
    spread: float = 0.08  # standard deviation of what is added to guesses, to explore around them
    encoder_lr: float = 1e-3  # peaks; see `one_cycle`
    decoder_lr: float = 2e-3
    listening_lr: float = 0.5  # share of these peaks while listening to targets
    architecture: Literal["melody"] = "melody"

    def listening(self) -> "MirrorRecipe":
        """What is left to do for a model that knows the plant: to listen to targets. It babbles a
        little, so as not to forget."""
        return replace(self, babble=LISTENING_BABBLE, epochs=0)

    @property
    def babbling_steps(self) -> int:
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
    """The recipe by its name and budget, and the model to begin as: none, where `start` is None,
    what ships for the control set, where it is "shipped", or else the model at this path.

    Raises MirrorNetError for a recipe that starts from nothing, CheckpointError for a bad model.
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
    """Learn to play `targets` on the pool's plant; log, state and model go into `folder`.

    `targets` are auditory spectrograms of five-note melodies, heard the way the recipe's
    architecture hears (`MirrorNet.hearing`). `start` is a model to begin as. `babble` is what this
    plant was heard to babble before; without it, the mirror recipe lets it babble.

    Interrupted, it goes on with `resume=True` and ends with the same weights, bit for bit on a CPU
    with as many threads.
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
    """Babble, read it back and foresee it; then play the targets, and learn from what is heard.

    Without targets there is only babble: the model then knows the plant, and no sound from
    elsewhere.
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
            # Babble last: the end of a batch is augmented.
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
        if step == babbling - 1:  # it knows the plant, and no target yet
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
    """The encoder's guesses at the targets, a little changed, as controls and as heard."""
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
    """Rounds of: listen to the plant play the guesses, e_d on that, e_c on the targets."""
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
            # The encoder rests, so its guesses are played once and then remembered.
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
        if (step + 1) % round_steps == 0:  # so that the course of learning can be scored later
            rounds = (step + 1) // round_steps
            card = {"learning_renders": rounds * len(targets), "learning_cpu_s": run.cpu_s}
            model.save(run.part(f"round-{rounds - 1:02d}") / "model.json", card)
