"""Equal tuning of all learned methods: three learning rates each.

MirrorNet, the CNN and the AST train on 2,000 babbled melodies, for the benchmark's time, and are
scored on tuning melodies, which are not the benchmark's held-out ones. The baselines' recipes have
their best rates; MirrorNet's rate is one that is also stable in longer runs.

    python bench/tuning.py        # writes results/tuning-seed-0.json; resumes by itself

Models are kept in runs/tuning-seed-0. About an hour and a half on one core.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mirrornet.app.console import Console, print_table
from mirrornet.experiments.baselines.supervised import train_supervised
from mirrornet.experiments.evaluation import Melodies, encoder_errors
from mirrornet.experiments.matchers import EPOCHS, PEERS
from mirrornet.experiments.tables.experiments import tuning_table
from mirrornet.models.checkpoints import provenance
from mirrornet.plants.pool import Pool
from mirrornet.storage import write_atomically
from mirrornet.training.dataset import listen, seed_targets
from mirrornet.training.melodies import Babble, MirrorRecipe, learn
from mirrornet.training.sampling import random_melodies

SEED, BABBLE, SCORED = 0, 2000, 80
FACTORS = (0.3, 1.0, 3.0)  # multiples of the recipes' learning rates
NAME = f"tuning-seed-{SEED}"
RESULT = Path(__file__).parent.parent / "results" / f"{NAME}.json"
RUNS = Path("runs") / NAME


def main() -> None:
    (RUNS / "babble").mkdir(parents=True, exist_ok=True)
    with Pool("vital", controls="set1", progress=Console().progress) as pool:
        controls = random_melodies(pool.controls, "babble", BABBLE, SEED)
        babble = listen(pool, controls, name="Babbling", folder=RUNS / "babble")
        true = Melodies(pool.controls, *seed_targets(pool, "tuning", SCORED, SEED))
        rows = [
            measure(method, factor, pool, babble, true)
            for method in ("mirror", *PEERS)
            for factor in FACTORS
        ]
    result = {"seed": SEED, "babble": BABBLE, "scored": SCORED, "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(tuning_table(result))
    print(f"Written to {RESULT}.")


def measure(
    method: str, factor: float, pool: Pool, babble: Babble, true: Melodies
) -> dict[str, Any]:
    """Train with one learning rate and score, unless the row is kept; return the row."""
    folder = RUNS / f"{method}-{factor}"
    kept = RUNS / f"{method}-{factor}.json"
    if kept.is_file():
        return json.loads(kept.read_bytes())
    resume, epochs = folder.exists(), EPOCHS[BABBLE][method]
    if method == "mirror":
        ours = MirrorRecipe(babble=BABBLE, epochs=epochs)
        rates = {"encoder_lr": factor * ours.encoder_lr, "decoder_lr": factor * ours.decoder_lr}
        nothing = np.empty((0, 128, 250), np.float32)
        model = learn(
            replace(ours, **rates), pool, nothing, folder, SEED, resume, "cpu", babble=babble
        )
        label = "MirrorNet"
    else:
        label, kind, recipe = PEERS[method]
        rates = {"lr": factor * recipe.lr}
        plan = replace(recipe, epochs=epochs, **rates)
        model = train_supervised(kind, plan, *babble, folder, SEED, resume, "cpu")
    (error,) = encoder_errors([model], pool, true, true.heard)
    row = {"method": label, "factor": factor, "rates": rates, "spectrogram_error": error}
    write_atomically(kept, lambda path: path.write_text(json.dumps(row)))
    return row


if __name__ == "__main__":
    main()
