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

from ..errors import MirrorNetError
from ..models.checkpoints import fingerprint, provenance
from ..models.mirrornet import MirrorNet, load_model
from ..plants.pool import Farm, usable_cores
from .sampling import listen, random_melodies
from .steps import batch_rows, descend, fast_arithmetic, on, one_cycle, pick_device, set_lr
from .trainer import Run

Targets = Float[np.ndarray, "target channel=128 frame"]
# Controls and what was heard, as `babbling.listen` gives them.
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
    architecture: Literal["notewise"] = "notewise"

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
    return plan.listening(), load_model(None if start == "shipped" else start, controls)


def learn(
    recipe: Recipe,
    farm: Farm,
    targets: Targets,
    folder: str | Path,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    about_targets: str = "",
    start: MirrorNet | None = None,
    babble: Babble | None = None,
) -> MirrorNet:
    """Learn to play `targets` on the farm's plant; log, state and model go into `folder`.

    `targets` are auditory spectrograms of five-note melodies, heard the way the recipe's
    architecture hears (`mirror.HEARING`). `start` is a model to begin as. `babble` is what this
    plant was heard to babble before; without it, the mirror recipe lets it babble.

    Interrupted, it goes on with `resume=True` and ends with the same weights, bit for bit on a CPU
    with as many threads.
    Raises OutputError if the folder cannot be used.
    """
    about = {
        "recipe": type(recipe).__name__,
        **asdict(recipe),
        "plant": farm.name,
        "controls": list(farm.controls.names),
        "targets": about_targets or f"{len(targets)} sounds",
        "targets_sha256": fingerprint(targets),
        "seed": seed,
    }
    if start:
        weights = (value.cpu().numpy() for value in start.state_dict().values())
        about["start_sha256"] = fingerprint(*weights)
    if babble:
        about["babble_sha256"] = fingerprint(*babble)
    run = Run(Path(folder), about, resume, farm.progress)
    done = run.folder / "model.json"
    if done.is_file():
        return MirrorNet.load(done)
    torch.set_num_threads(usable_cores())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MirrorNet(farm.name, farm.controls, recipe.architecture)
    if start:
        model.load_state_dict(start.state_dict())
    on_device = pick_device(device)
    model.to(on_device).train()
    if isinstance(recipe, MirrorRecipe):
        learn_mirror(run, recipe, model, farm, targets, seed, babble)
    else:
        learn_paper(run, recipe, model, farm, targets, seed)
    model.to("cpu").eval()
    card = {"learned": about, "device": on_device.type, **run.took, **provenance()}
    model.save(done, card)
    return model


def learn_mirror(
    run: Run,
    recipe: MirrorRecipe,
    model: MirrorNet,
    farm: Farm,
    targets: Targets,
    seed: int,
    babble: Babble | None = None,
) -> None:
    """Babble, read it back and foresee it; then play the targets, and learn from what is heard.

    Without targets there is only babble: the model then knows the plant, and no sound from
    elsewhere.
    """
    if babble is None:
        controls = random_melodies(farm.controls, "babble", recipe.babble, seed)
        babble = listen(farm, controls, model.hearing, "Babbling", run.part("babble"))
    controls, heard = babble
    encoder_adam = torch.optim.AdamW(model.encoder.parameters(), weight_decay=1e-4)
    decoder_adam = torch.optim.AdamW(model.decoder.parameters(), weight_decay=1e-4)
    adams = {"encoder_adam": encoder_adam, "decoder_adam": decoder_adam}
    babbling = recipe.babbling_steps
    listening = recipe.rounds * recipe.round_steps if len(targets) else 0
    device = next(model.parameters()).device
    chance = torch.Generator()
    attempts: list[Babble] = []
    tried = tried_sound = np.empty(0)
    for step in run.steps("Learning", babbling + listening, model, adams):
        chance.manual_seed(seed * 1_000_003 + step)
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
                attempts.append(_attempt(run, recipe, model, farm, targets, len(attempts), seed))
                tried, tried_sound = (np.concatenate(part) for part in zip(*attempts, strict=True))
            half = recipe.batch // 2
            rows = batch_rows(step_listening, recipe.batch - half, len(tried), seed + 2)
            # Babble last: the end of a batch is read in disguise.
            labelled = np.concatenate([tried[rows], labelled[:half]])
            sound = np.concatenate([tried_sound[rows], sound[:half]])
            rows = batch_rows(step_listening, recipe.batch_e_c, len(targets), seed + 1)
            to_play = targets[rows]

        set_lr(encoder_adam, rate * recipe.encoder_lr)
        set_lr(decoder_adam, rate * recipe.decoder_lr)
        labelled, sound = on(device, labelled), on(device, sound)
        with fast_arithmetic(device):
            e_d = model.e_d(labelled, sound)
            read_back = model.encoder.babble_loss(sound, labelled, chance)  # type: ignore[operator]
            losses = {"e_d": e_d, "read_back": read_back}
            loss = e_d + read_back
            if to_play is not None:
                losses["e_c"] = model.e_c(on(device, to_play))
                loss = loss + recipe.weight_e_c * losses["e_c"]

        descend(loss, step, *adams.values(), clip=1.0)
        if step % 20 == 0 or step == babbling + listening - 1:
            run.log(step, **{name: value.item() for name, value in losses.items()})
        if step == babbling - 1:  # it knows the plant, and no target yet
            model.save(run.part("babbled") / "model.json", {"spent_s": run.spent_s})


def _attempt(
    run: Run,
    recipe: MirrorRecipe,
    model: MirrorNet,
    farm: Farm,
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
    changes[:, farm.controls.row("pitch")] = 0
    tries = np.clip(guesses + changes, 0, 1)
    folder = run.part(f"round-{round_number:02d}")
    return listen(farm, tries, model.hearing, f"Round {round_number + 1}", folder)


def learn_paper(
    run: Run, recipe: PaperRecipe, model: MirrorNet, farm: Farm, targets: Targets, seed: int
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
    for step in run.steps("Learning", recipe.rounds * round_steps, model, adams):
        round_number, in_round = divmod(step, round_steps)
        if in_round < decoder_steps:
            # The encoder rests, so its guesses are played once and then remembered.
            if in_round == 0 or len(guesses) == 0:
                guesses = model.guess(torch.from_numpy(targets).to(device)).cpu().numpy()
                folder = run.part(f"round-{round_number:02d}")
                guesses, heard = listen(farm, guesses, model.hearing, "Listening", folder)
            rows = batch_rows(in_round, recipe.batch, len(guesses), seed + round_number)
            name, adam = "e_d", decoder_adam
            with fast_arithmetic(device):
                loss = model.e_d(on(device, guesses[rows]), on(device, heard[rows]))
        else:
            rows = batch_rows(in_round, recipe.batch, len(targets), seed + round_number)
            name, adam = "e_c", encoder_adam
            with fast_arithmetic(device):
                loss = model.e_c(on(device, targets[rows]))
        descend(loss, step, adam)
        run.log(step, **{name: loss.item()})
        if in_round == round_steps - 1:  # so that the course of learning can be scored later
            card = {
                "learning_renders": (round_number + 1) * len(targets),
                "learning_cpu_s": run.cpu_s,
            }
            model.save(run.part(f"round-{round_number:02d}") / "model.json", card)
