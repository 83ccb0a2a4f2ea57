"""Experiment 1 of the seed: learn the plant's controls from melodies the plant itself made.

400 unlabelled melodies to learn from, 80 held out, the first seven controls. Since the plant made
the melodies, their true controls are known, and serve to score the answers; learning never sees
them.
"""

import json
from pathlib import Path

import torch

from ..audio import save_audio
from ..checkpoints import provenance
from ..files import write_atomically
from ..hearing import hear
from ..learning import RECIPES, PaperRecipe, learn
from ..mirror import HEARING, MirrorNet
from ..plants import load_plant
from ..plants.farm import Farm
from ..plots import panels
from ..runs import check_folder
from ..targets import seed_targets
from .evaluation import Answers, evaluate
from .tables import control_table, experiment_table, print_table

TARGETS, HELD_OUT = 400, 80
SHOWN = 3  # melodies in the figure and as audio
SHOWN_RATE_HZ = 22050


def run_experiment(
    recipe: str = "mirror",
    budget: str = "quick",
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Learn from nothing, score, and write `results/experiment-1-RECIPE-BUDGET-seed-SEED.json`,
    with the poster's panels (PNG) and the sounds (WAV) of some held-out melodies beside it.

    Results of an earlier run of the same name are replaced. Raises OutputError at once if there is
    such a run in `runs` and `resume` is not asked for.
    """
    plan = RECIPES[recipe][budget]
    name = f"experiment-1-{recipe}-{budget}-seed-{seed}"
    check_folder(runs / name, resume)
    (results / name).mkdir(parents=True, exist_ok=True)
    with Farm("vital", controls="set1") as farm:
        hearing = HEARING[plan.architecture]
        targets = seed_targets(farm, "targets", TARGETS, seed, hearing)[1]
        about = f"{TARGETS} melodies of the plant, seed {seed}"
        model = learn(plan, farm, targets, runs / name, seed, resume, device, about)

        true = Answers(*seed_targets(farm, "held-out", HELD_OUT, seed))
        scores, answers = evaluate(model, farm, true, seed)
    card = json.loads((runs / name / "model.json").read_bytes())
    result = {
        "experiment": 1,
        "recipe": recipe,
        "budget": budget,
        "seed": seed,
        "targets": TARGETS,
        "held_out": HELD_OUT,
        "plant_renders": TARGETS
        + (TARGETS * plan.rounds if isinstance(plan, PaperRecipe) else plan.babble),
        "learning_minutes": card["learning_minutes"],
        "weights": sum(p.numel() for p in model.parameters()),
        "units": model.controls.units,
        "scores": scores,
        **provenance(),
    }
    path = results / f"{name}.json"
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=2) + "\n"))
    _show(model, true, answers, results / name)
    print_table(experiment_table([result]))
    print_table(control_table(result))
    return path


def _show(model: MirrorNet, true: Answers, answers: Answers, folder: Path) -> None:
    """The poster's four panels, and the input and output sounds, of the first held-out melodies."""
    plant = load_plant("vital", controls="set1", sample_rate_hz=SHOWN_RATE_HZ)
    rows = []
    for number in range(SHOWN):
        heard = []
        for what, one in (("input", true), ("output", answers)):
            sound = plant.render(one.controls[number])
            save_audio(folder / f"{what}-{number + 1}.wav", sound, SHOWN_RATE_HZ)
            heard.append(torch.from_numpy(hear(sound, SHOWN_RATE_HZ, model.hearing)))
        with torch.no_grad():
            from_true = model.decoder(torch.from_numpy(true.controls[number])[None].float())
            final = model.decoder(model.encoder(heard[0][None]))
        rows.append((heard[0], from_true[0], final[0], heard[1]))
    figure = panels(rows, [f"melody {n + 1}" for n in range(SHOWN)])
    write_atomically(folder / "panels.png", lambda file: figure.savefig(file, dpi=150))
