"""MirrorNet against baselines, under one budget of renders.

The sounds to match are an experiment's held-out melodies. Learned methods train on the same babble
for about the same CPU time and then answer without a render. Search methods may render a fixed
number of candidates for each melody. MirrorNet does both: its encoder's answer is refined with a
few renders.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..events import Progress
from ..export.plots import png
from ..models.checkpoints import provenance
from ..models.mirrornet import MirrorNet, shipped, ships
from ..plants.pool import LOCAL, Pool
from ..runtime import usable_cores
from ..storage import check_place, write_atomically
from ..training.dataset import listen, seed_targets
from ..training.sampling import random_melodies
from ..training.trainer import Run
from . import settings
from .answers import Answer, kept, score_all
from .baselines.cma_es import CmaEs
from .baselines.genetic import Genetic
from .baselines.nearest import Nearest, babble_distances
from .baselines.random_search import RandomSearch
from .baselines.search import Search, bench_module, search
from .curves import benchmark_curves
from .evaluation import Heard, Melodies, optimise_all, refine_all
from .matchers import EPOCHS, Babble, Learner, learners
from .settings import Setting

TOGETHER = 4  # melodies that are searched at the same time and whose answers are saved together
FROM_NOTES = "CMA-ES from our notes"
SEARCHED = 12  # the first held-out melodies, which the search methods match
MARKS = (1, 10, 50, 200, 1000, 2000, 20000)  # renders per melody after which a search is scored


@dataclass(frozen=True)
class Budget:
    """How much the methods may train and render."""

    babbles: tuple[int, ...]  # sizes of the training sets of the learned methods, in melodies
    renders: int  # per melody, of a search
    cma_es_elsewhere: int  # the same for CMA-ES, if another instrument plays the targets
    refined: tuple[int, ...]  # renders per melody, of MirrorNet's refinement


BUDGETS = {
    "quick": Budget((300, 2000), 200, 200, (10, 50)),
    "full": Budget((300, 2000, 6000, 20000), 2000, 20000, (10, 50, 200, 1000)),
}


def run_benchmark(
    setting: Setting,
    budget: str = "quick",
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    resume: bool = False,
    progress: Progress | None = None,
    where: str = LOCAL,
) -> Path:
    """Run the benchmark; write `results/bench-EXPERIMENT-BUDGET-seed-SEED.json` and a plot (PNG).

    Models and scores are kept in `runs`, where `resume` continues; models trained on babble alone
    are shared by all experiments. Answers are kept in a folder beside the results and are not
    computed again: delete the folder to start anew. The plants play `where` a `Pool` lets them.

    Returns:
        The path of the JSON file.

    Raises:
        OutputError: when the run exists and `resume` is false.
        MirrorNetError: when a package of mirrornet[bench] is missing.
    """
    progress = progress or Progress()
    for package in ("cma", "pymoo", "librosa"):  # needed late, so checked early
        bench_module(package)
    plan = BUDGETS[budget]
    name = f"bench-{setting.name}-{budget}-seed-{seed}"
    check_place(results / name)
    epochs = {str(babble): EPOCHS[babble] for babble in plan.babbles}
    about = {
        "benchmark": setting.name,
        **asdict(plan),
        "epochs": epochs,
        "targets": settings.TARGETS,
        "held_out": settings.HELD_OUT,
        "searched": SEARCHED,
        "seed": seed,
    }
    papers = paper_records(setting, seed, results)
    kept_in = results / name
    if kept_in.is_dir():
        progress.say(f"Answers in {kept_in} are not looked for again; delete it to begin afresh.")
    torch.set_num_threads(usable_cores())
    how: Any = {"progress": progress, "where": where}
    with setting.target_pool(**how) as players:  # first, as it may not be installed
        run = Run(runs / name, about, resume)
        about = {"controls": setting.controls, "epochs": epochs, "seed": seed}
        place = f"bench-babble-{setting.plant}-{setting.controls}-{budget}-seed-{seed}"
        babbled = Run(runs / place, about, True)
        draw = {"seed": seed, "ranges": setting.ranges}
        targets = seed_targets(
            players, "targets", settings.TARGETS, **draw, folder=run.part("targets")
        )[1]
        held_out = seed_targets(
            players, "held-out", settings.HELD_OUT, **draw, folder=run.part("held-out")
        )
        true = Melodies(players.controls, *held_out)
    few = Melodies(true.space, true.controls[:SEARCHED], true.heard[:SEARCHED])
    with Pool(setting.plant, controls=setting.controls, **how) as pool:
        controls = random_melodies(pool.controls, "babble", max(plan.babbles), seed)
        babble = Babble(*listen(pool, controls, name="Babbling", folder=babbled.part("babble")))
        places = babbled.folder, run.folder
        methods = learners(plan.babbles, pool, babble, targets, *places, seed)
        learned = [one.answer(true.heard, kept_in) for one in methods]
        answers = trivial(pool, few)
        for one, learner in zip(learned, methods, strict=True):
            if learner.babble == max(plan.babbles):
                one = replace(one, controls=one.controls[:SEARCHED])
                answers.append(one)
                if learner.family == "ours":
                    answers += refined(one, learner, pool, few.heard, plan.refined, kept_in, seed)
        answers += searched(setting, plan, pool, babble, few.heard, kept_in, run.folder, seed)
        first = score_all(setting, pool, true, learned, run)
        found = score_all(setting, pool, true, answers, run)
    result = {
        "benchmark": setting.name,
        "what": setting.what,
        "budget": budget,
        "seed": seed,
        "budgets": {**asdict(plan), "epochs": epochs},
        "learned": first + papers,
        "matched": found,
        **provenance(),
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=2) + "\n"))
    picture = png(lambda: benchmark_curves(result), dpi=150)
    write_atomically(path.with_suffix(".png"), lambda file: file.write_bytes(picture))
    return path


def trivial(pool: Pool, true: Melodies) -> list[Answer]:
    """Return the reference answers: all controls at 0.5, and the true controls if the targets have
    all of the pool's controls."""
    middle = np.full((len(true.controls), len(pool.controls), true.controls.shape[-1]), 0.5)
    answers = [Answer("constant guess", "trivial", 0, middle)]
    if set(pool.controls) <= set(true.space):
        same = true.controls[:, [true.space.row(name) for name in pool.controls.names]]
        answers.append(Answer("true controls, played again", "trivial", 0, same))
    return answers


def refined(
    guessed: Answer,
    learner: Learner,
    pool: Pool,
    heard: Heard,
    marks: Sequence[int],
    answers: Path,
    seed: int,
) -> list[Answer]:
    """Refine MirrorNet's answers: with the decoder alone, then with each number of renders in
    `marks`, each from the decoder's answer. The results are kept in the folder `answers`."""
    method = guessed.method.replace("encoder", "MirrorNet")

    def optimised() -> dict[str, np.ndarray]:
        return {"controls": optimise_all(ours(), heard, guessed.controls, pool.progress)}

    def refined_with(renders: int) -> dict[str, np.ndarray]:
        return {"controls": refine_all(ours(), pool, heard, found[0].controls, renders, seed)}

    def ours() -> MirrorNet:
        model = learner.learn()[0]
        assert isinstance(model, MirrorNet)
        return model

    cost = {key: n for key, n in guessed.cost.items() if key != "ms_per_melody"}
    found: list[Answer] = []
    for renders in (0, *marks):
        file = f"{method}, {renders} renders, {guessed.digest}.safetensors"
        make = partial(refined_with, renders) if renders else optimised
        question = {"sounds": heard.mean((1, 2))}
        controls = kept(answers / file, make, question)["controls"]
        found.append(Answer(method, "ours", renders, controls, cost))
    return found


def searched(
    setting: Setting,
    budget: Budget,
    pool: Pool,
    babble: Babble,
    heard: Heard,
    answers: Path,
    folder: Path,
    seed: int,
) -> list[Answer]:
    """Run all search methods and return their best answers after each of `MARKS`.

    If weights ship for the plant, one of them starts from the pitches and durations that their
    encoder estimates. The best answers are kept in the folder `answers`, all rendered candidates in
    `folder`.
    """
    space = pool.controls
    distances = babble_distances(babble.heard, heard)
    heard_before = float(len(babble.controls))
    babbled = {"babble": heard_before, "learning_renders": heard_before}
    makers: dict[str, tuple[Callable[[int], Search], dict[str, float]]] = {
        "random search": (lambda i: RandomSearch(space, (seed, i)), {}),
        "nearest in the babble": (lambda i: Nearest(babble.controls, distances[i]), babbled),
        "genetic algorithm": (lambda i: Genetic(space, (seed, i)), {}),
        "CMA-ES": (lambda i: CmaEs(space, (seed, i)), {}),
    }
    starts = np.full((len(heard), *babble.controls.shape[1:]), 0.5)
    if ships(space, pool.name):
        guesses = MirrorNet.load(shipped(space.name, pool.name)).guess(torch.from_numpy(heard))
        notes = [space.row_of_role("pitch"), space.row_of_role("duration")]
        starts[:, notes] = guesses.numpy()[:, notes]
        makers[FROM_NOTES] = lambda i: CmaEs(space, (seed, i), start=starts[i]), {}
    found = []
    for method, (make, cost) in makers.items():
        elsewhere = setting.target_plant != "vital" and method.startswith("CMA-ES")
        renders = budget.cma_es_elsewhere if elsewhere else budget.renders
        marks = [mark for mark in MARKS if mark <= renders]
        parts = []
        for first in range(0, len(heard), TOGETHER):
            some = heard[first : first + TOGETHER]
            name = f"{method}, {renders} renders, melodies {first + 1}-{first + len(some)}"

            def course(make=make, first=first, some=some, renders=renders, marks=marks, name=name):
                ledger = folder / "searches" / name
                found = search(lambda i: make(first + i), pool, some, renders, marks, ledger)
                return {"controls": found.controls}

            question = {"sounds": some.mean((1, 2))}
            if method == FROM_NOTES:
                question["starts"] = starts[first : first + TOGETHER]
            file = answers / f"{name}.safetensors"
            parts.append(kept(file, course, question)["controls"])
        found += [
            Answer(method, "search", mark, controls, cost)
            for mark, controls in zip(marks, np.concatenate(parts, 1), strict=True)
        ]
    return found


def paper_records(setting: Setting, seed: int, results: Path) -> list[dict[str, Any]]:
    """Records of the paper's recipe, from results of earlier experiment runs, if there are any."""
    files = (results / f"{setting.name}-paper-{budget}-seed-{seed}.json" for budget in BUDGETS)
    found = [json.loads(file.read_bytes()) for file in files if file.is_file()]
    return [
        {
            "method": f"the paper's encoder, {result['budget']}",
            "family": "paper",
            "renders": 0,
            "melodies": result["held_out"],
            "learning_renders": result["plant_renders"],
            "learning_cpu_s": result["course"][-1]["learning_cpu_s"],
            "course": result["course"],
            "scores": result["scores"]["encoder"],
        }
        for result in found
    ]
