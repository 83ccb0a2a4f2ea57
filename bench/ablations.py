"""Ablations of the training: train again with one part left out or changed at a time.

Small runs that differ only in what is named: training on babble, then four short rounds on targets:
400 melodies of the plant itself, and 400 of the Rhodes of experiment 3. Without babble there are
more rounds, for the same number of steps. The score is the match error of the encoder's answers. It
is on the tuning melodies, since these results decided which parts to keep.

    python bench/ablations.py        # writes results/ablations-seed-0.json; resumes by itself

Models are kept in runs/ablations-seed-0. Finished rows are kept beside the results and not measured
again. About two hours on one core.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from mirrornet.app.console import Console, print_table
from mirrornet.experiments.evaluation import Melodies, encoder_errors
from mirrornet.experiments.settings import TARGETS, Setting, find_setting
from mirrornet.experiments.tables.experiments import ablation_table
from mirrornet.models.checkpoints import provenance
from mirrornet.models.melody import Paper
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.models.paper import PaperEncoder
from mirrornet.plants.pool import Pool
from mirrornet.storage import write_atomically
from mirrornet.training import melodies
from mirrornet.training.dataset import listen, seed_targets
from mirrornet.training.melodies import MirrorRecipe, learn
from mirrornet.training.sampling import random_melodies

SEED, SCORED = 0, 80
NAME = f"ablations-seed-{SEED}"
RESULT = Path(__file__).parent.parent / "results" / f"{NAME}.json"
RUNS = Path("runs") / NAME
WHOLE = MirrorRecipe(babble=2000, epochs=12, round_steps=50)
SOUNDS = {"own": find_setting(1), "rhodes": find_setting(3)}


@contextmanager
def no_change() -> Iterator[None]:
    """Change nothing."""
    yield


@contextmanager
def random_attempts() -> Iterator[None]:
    """In every round, render as many random controls instead of the encoder's estimates."""

    def attempt(
        run: Any,
        recipe: Any,
        model: MirrorNet,
        pool: Pool,
        targets: np.ndarray,
        number: int,
        seed: int,
    ) -> melodies.Babble:
        tries = random_melodies(pool.controls, "babble", len(targets), seed + 1 + number)
        folder = run.part(f"round-{number:02d}")
        return listen(pool, tries, model.hearing, f"Round {number + 1}", folder)

    with patch.object(melodies, "_attempt", attempt):
        yield


@contextmanager
def paper_networks() -> Iterator[None]:
    """Train the paper's networks with our features and, for the encoder on babble, a regression
    loss without augmentation."""

    def babble_loss(self: PaperEncoder, heard: Tensor, controls: Tensor, *_: object) -> Tensor:
        return 10 * F.mse_loss(self(heard), controls)

    def not_disguised(heard: Tensor, _: object) -> tuple[Tensor, int]:
        return heard, len(heard)

    with (
        patch.object(PaperEncoder, "babble_loss", babble_loss, create=True),
        patch.object(melodies, "partly_augmented", not_disguised),
        patch.object(Paper, "hearing", "loudness"),
    ):
        yield


@dataclass(frozen=True)
class Ablation:
    """A row of the table: a recipe, and a change of the code while it is trained."""

    what: str
    recipe: MirrorRecipe
    change: Callable[[], Any] = no_change

    @property
    def name(self) -> str:
        return self.what.replace(" ", "-").replace("'", "")

    @property
    def row(self) -> Path:
        return RESULT.parent / NAME / f"{self.name}.json"


ABLATIONS = (
    Ablation("all of it", WHOLE),
    Ablation("no e_c on the babble", replace(WHOLE, alone=1.0)),
    Ablation("no e_c at all", replace(WHOLE, weight_e_c=0.0)),
    Ablation("attempts at random", WHOLE, random_attempts),
    Ablation("attempts not changed", replace(WHOLE, spread=0.0)),
    Ablation("no babble but 64 melodies", replace(WHOLE, babble=64, epochs=0.5, rounds=19)),
    Ablation("half the babble, as many steps", replace(WHOLE, babble=1000, epochs=24)),
    Ablation("twice the babble, as many steps", replace(WHOLE, babble=4000, epochs=6)),
    Ablation(
        "the paper's networks",
        replace(WHOLE, architecture="paper"),  # type: ignore[arg-type]
        paper_networks,
    ),
)


def main() -> None:
    missing = [ablation for ablation in ABLATIONS if not ablation.row.is_file()]
    if missing:
        measure_all(missing)
    rows = [json.loads(ablation.row.read_bytes()) for ablation in ABLATIONS]
    result = {
        "seed": SEED,
        "targets": TARGETS,
        "scored": SCORED,
        "rows": rows,
        **provenance(),
    }
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(ablation_table(result))
    print(f"Written to {RESULT}.")


def measure_all(ablations: Sequence[Ablation]) -> None:
    sounds = {name: targets_and_tuning(setting) for name, setting in SOUNDS.items()}
    with Pool("vital", controls="set1", progress=Console().progress) as pool:
        most = max(ablation.recipe.babble for ablation in ABLATIONS)  # so that rows share shards
        controls = random_melodies(pool.controls, "babble", most, SEED)
        (RUNS / "babble").mkdir(parents=True, exist_ok=True)
        babble = listen(pool, controls, name="Babbling", folder=RUNS / "babble")
        for ablation in ablations:
            with ablation.change():
                measure(ablation, pool, babble, sounds)


def targets_and_tuning(setting: Setting) -> tuple[np.ndarray, Melodies]:
    with setting.target_pool() as players:
        targets = seed_targets(players, "targets", TARGETS, SEED)[1]
        tuning = seed_targets(players, "tuning", SCORED, SEED)
        return targets, Melodies(players.controls, *tuning)


def measure(
    ablation: Ablation,
    pool: Pool,
    babble: melodies.Babble,
    sounds: Mapping[str, tuple[np.ndarray, Melodies]],
) -> None:
    """Train and score one row, and save it."""
    recipe = ablation.recipe
    folder = RUNS / ablation.name
    folder.mkdir(exist_ok=True)

    def learned(
        what: str, recipe: MirrorRecipe, targets: np.ndarray, start: MirrorNet | None = None
    ) -> MirrorNet:
        place = folder / what
        heard = babble[0][: recipe.babble], babble[1][: recipe.babble]
        return learn(recipe, pool, targets, place, SEED, place.exists(), start=start, babble=heard)

    errors = {}
    before = learned("babble", recipe, sounds["own"][0][:0])
    listening = replace(recipe, babble=min(recipe.babble, melodies.LISTENING_BABBLE), epochs=0)
    for name, (targets, true) in sounds.items():
        after = learned(name, listening, targets, before)
        errors[name] = encoder_errors([before, after], pool, true, true.heard)
    row = {
        "what": ablation.what,
        "renders": recipe.babble + recipe.rounds * TARGETS,
        "before_and_after": errors,
    }
    ablation.row.parent.mkdir(exist_ok=True)
    write_atomically(ablation.row, lambda path: path.write_text(json.dumps(row) + "\n"))


if __name__ == "__main__":
    main()
