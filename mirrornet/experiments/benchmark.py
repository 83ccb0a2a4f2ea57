"""MirrorNet against its peers, under one budget of renders.

The sounds are an experiment's held-out melodies. Whoever learns does so from the same babble, for
about the same CPU time, and then answers without a render; whoever searches may play each melody's
candidates so many times. Ours does both: what its encoder answers is refined with a few renders.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import load_file, save_file
from torch import Tensor

from ..audio import load_audio
from ..babbling import listen, random_melodies
from ..checkpoints import load_checkpoint, provenance
from ..errors import PlantError
from ..files import write_atomically
from ..hearing import hear
from ..learning import MirrorRecipe, learn
from ..metrics import SOUND_RATE_HZ
from ..mirror import MirrorNet
from ..peers import ast, cnn
from ..peers.cma_es import CmaEs
from ..peers.genetic import Genetic
from ..peers.nearest import Nearest, babble_distances
from ..peers.random_search import RandomSearch
from ..peers.search import Search, bench_module, search
from ..peers.supervised import learn_supervised, load_supervised
from ..plants.farm import Farm, usable_cores
from ..runs import Run
from ..targets import seed_targets
from . import settings
from .curves import benchmark_curves
from .evaluation import Controls, Heard, Melodies, imagine_all, played, refine_all, score, sound_scores
from .run import LISTENING_BABBLE, SOUNDS
from .settings import Setting
from .tables import learned_table, print_table, renders_table

# Passes over so much babble. On one core a melody costs MirrorNet about 10 ms in a pass, the CNN
# 5.1 ms and the AST 26 ms (bfloat16): all three learn for about the same CPU time.
EPOCHS = {
    2000: {"mirror": 24, "cnn": 47, "ast": 9},
    6000: {"mirror": 12, "cnn": 24, "ast": 5},
    20000: {"mirror": 16, "cnn": 31, "ast": 6},
}
SEARCHED = 12  # held-out melodies, the first, that searches look for
MARKS = (1, 10, 50, 200, 1000, 2000, 20000)  # renders of each melody after which answers are scored
PEERS = {
    "cnn": ("CNN", cnn.CnnRegressor, cnn.RECIPE),
    "ast": ("AST", ast.AstRegressor, ast.RECIPE),
}
DEMO = Path(__file__).parents[1] / "data" / "demo-melody.flac"


@dataclass(frozen=True)
class Budget:
    babbles: tuple[int, ...]  # melodies that the learned methods hear
    renders: int  # of each melody, for a search
    cma_es_elsewhere: int  # the same for CMA-ES, where the sounds are another instrument's
    refined: tuple[int, ...]  # renders of each melody, for ours


BUDGETS = {
    "quick": Budget((2000,), 200, 200, (10, 50)),
    "full": Budget((2000, 6000, 20000), 2000, 20000, (10, 50, 200, 1000)),
}


class Babble(NamedTuple):
    controls: Controls
    heard: Heard

    def first(self, count: int) -> "Babble":
        return Babble(self.controls[:count], self.heard[:count])


class Matcher(Protocol):
    """What answers without a render: a MirrorNet, or a learned peer."""

    def guess(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]: ...


@dataclass(frozen=True)
class Learned:
    """A matcher, and what it took: `babble` is what it heard, `renders` all that was played."""

    method: str
    family: str
    model: Matcher
    babble: int
    renders: int
    cpu_s: float

    @property
    def cost(self) -> dict[str, float]:
        return {
            "babble": self.babble,
            "learning_renders": self.renders,
            "learning_cpu_s": self.cpu_s,
        }

    def answer(self, heard: Heard) -> "Answer":
        controls = self.model.guess(torch.from_numpy(heard)).numpy().astype(float)
        return Answer(self.method, self.family, 0, controls, self.cost)


@dataclass(frozen=True)
class Answer:
    """Controls found for the first held-out melodies, with `renders` of each."""

    method: str
    family: str  # ours, learned, search or trivial
    renders: int
    controls: Controls
    cost: Mapping[str, float] = field(default_factory=dict)  # of learning, before any melody


@dataclass(frozen=True)
class Bench:
    """What all methods share."""

    farm: Farm
    budget: Budget
    seed: int
    folder: Path


def run_benchmark(
    setting: Setting,
    budget: str = "quick",
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    resume: bool = False,
) -> Path:
    """Compare, and write `results/bench-EXPERIMENT-BUDGET-seed-SEED.json` with a picture (PNG)
    beside it. What is learned, found and scored is kept in `runs`; with `resume` nothing of it is
    done again.

    Raises OutputError if there is such a run and `resume` is not asked for, MirrorNetError if a
    package of mirrornet[bench] is missing.
    """
    for package in ("cma", "pymoo", "librosa"):  # needed late, so asked for early
        bench_module(package)
    plan = BUDGETS[budget]
    name = f"bench-{setting.name}-{budget}-seed-{seed}"
    about = {
        "benchmark": setting.name,
        **asdict(plan),
        "epochs": {str(babble): EPOCHS[babble] for babble in plan.babbles},
        "targets": settings.TARGETS,
        "held_out": settings.HELD_OUT,
        "searched": SEARCHED,
        "seed": seed,
    }
    run = Run(runs / name, about, resume)
    torch.set_num_threads(usable_cores())
    with setting.target_farm() as players:
        targets, true = (
            Melodies(
                players.controls,
                *seed_targets(
                    players, kind, count, seed, ranges=setting.ranges, folder=run.part(kind)
                ),
            )
            for kind, count in (("targets", settings.TARGETS), ("held-out", settings.HELD_OUT))
        )
    few = Melodies(true.space, true.controls[:SEARCHED], true.heard[:SEARCHED])
    with Farm("vital", controls=setting.controls) as farm:
        bench = Bench(farm, plan, seed, run.folder)
        controls = random_melodies(farm.controls, "babble", max(plan.babbles), seed)
        babble = Babble(*listen(farm, controls, what="Babbling", folder=run.part("babble")))
        learned = learn_all(bench, babble, targets.heard)
        best = [one for one in learned if one.babble == max(plan.babbles)]
        answers = [one.answer(few.heard) for one in best] + trivial(farm, few)
        for one in best:
            if isinstance(one.model, MirrorNet):
                answers += refined(bench, one, one.model, few.heard)
        answers += searched(bench, setting, babble, best[0], few.heard)
        first = score_all(setting, farm, true, [o.answer(true.heard) for o in learned], run)
        found = score_all(setting, farm, true, answers, run)
    for record, one in zip(first, learned, strict=True):
        record["ms_per_melody"] = ms_per_melody(one.model)
    result = {
        "benchmark": setting.name,
        "what": setting.what,
        "budget": budget,
        "seed": seed,
        "budgets": {**asdict(plan), "epochs": about["epochs"]},
        "learned": first + papers(setting, seed, results),
        "matched": found,
        **provenance(),
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=2) + "\n"))
    figure = benchmark_curves(result)
    write_atomically(path.with_suffix(".png"), lambda file: figure.savefig(file, dpi=150))
    print_table(learned_table(result))
    print_table(renders_table(result))
    return path


def learn_all(bench: Bench, babble: Babble, targets: Heard) -> list[Learned]:
    """Ours from the babble alone, ours after listening to `targets`, and the learned peers: of each
    as many as there are sizes of babble, one inside the next."""
    learned = []
    listening = MirrorRecipe(babble=LISTENING_BABBLE, epochs=0)
    for size in bench.budget.babbles:
        heard = babble.first(size)
        plan = MirrorRecipe(babble=size, epochs=EPOCHS[size]["mirror"])
        ours = _learn_ours(bench, plan, f"mirror-{size}", heard, targets[:0])
        learned.append(Learned("encoder, babble only", "ours", ours[0], size, size, ours[1]))
        again = _learn_ours(bench, listening, f"mirror-{size}-listened", heard, targets, ours[0])
        renders = size + listening.rounds * len(targets)
        cpu_s = ours[1] + again[1]
        learned.append(Learned("encoder, listened", "ours", again[0], size, renders, cpu_s))
        for key, (label, kind, recipe) in PEERS.items():
            folder = bench.folder / f"{key}-{size}"
            if not (folder / "model.json").is_file():
                recipe = replace(recipe, epochs=EPOCHS[size][key])
                learn_supervised(kind, recipe, *heard, folder, bench.seed, True, "cpu")
            model = load_supervised(kind, folder)
            learned.append(Learned(label, "learned", model, size, size, _cpu_s(folder)))
    return learned


def _learn_ours(
    bench: Bench,
    plan: MirrorRecipe,
    name: str,
    babble: Babble,
    targets: Heard,
    start: MirrorNet | None = None,
) -> tuple[MirrorNet, float]:
    """The model that a plan leads to, and the CPU seconds on the way."""
    folder = bench.folder / name
    if not (folder / "model.json").is_file():
        babble = babble.first(plan.babble)
        learn(plan, bench.farm, targets, folder, bench.seed, True, "cpu", "", start, babble)
    return MirrorNet.load(folder / "model.json"), _cpu_s(folder)


def _cpu_s(folder: Path) -> float:
    return load_checkpoint(folder / "model.json")[1]["learning_cpu_s"]


def trivial(farm: Farm, true: Melodies) -> list[Answer]:
    """Every control in the middle and, where the plant is the same, the true controls."""
    middle = np.full((len(true.controls), len(farm.controls), true.controls.shape[-1]), 0.5)
    answers = [Answer("constant guess", "trivial", 0, middle)]
    if set(farm.controls) <= set(true.space):
        same = true.controls[:, [true.space.row(name) for name in farm.controls.names]]
        answers.append(Answer("true controls, played again", "trivial", 0, same))
    return answers


def refined(bench: Bench, learned: Learned, model: MirrorNet, heard: Heard) -> list[Answer]:
    """Ours with the decoder, and with ever more renders."""
    method = learned.method.replace("encoder", "MirrorNet")
    folder = bench.folder / "refined"
    imagined = kept(
        folder / f"{method} 0.safetensors",
        lambda: imagine_all(model, heard, learned.answer(heard).controls),
    )
    answers = [Answer(method, "ours", 0, imagined, learned.cost)]
    for renders in bench.budget.refined:
        controls = kept(
            folder / f"{method} {renders}.safetensors",
            lambda n=renders: refine_all(model, bench.farm, heard, imagined, n, bench.seed),
        )
        answers.append(Answer(method, "ours", renders, controls, learned.cost))
    return answers


def searched(
    bench: Bench, setting: Setting, babble: Babble, learned: Learned, heard: Heard
) -> list[Answer]:
    """The searches' best after every mark; `learned` lends one of them the notes it hears."""
    space, seed = bench.farm.controls, bench.seed
    notes = [space.row("pitch"), space.row("duration")]
    guesses = learned.answer(heard).controls
    starts = np.full_like(guesses, 0.5)
    starts[:, notes] = guesses[:, notes]
    distances = babble_distances(babble.heard, heard)
    makers: dict[str, tuple[Callable[[int], Search], dict[str, float]]] = {
        "random search": (lambda i: RandomSearch(space, (seed, i)), {}),
        "nearest in the babble": (
            lambda i: Nearest(babble.controls, distances[i]),
            {"babble": len(babble.controls), "learning_renders": len(babble.controls)},
        ),
        "genetic algorithm": (lambda i: Genetic(space, (seed, i)), {}),
        "CMA-ES": (lambda i: CmaEs(space, (seed, i)), {}),
        "CMA-ES from our notes": (lambda i: CmaEs(space, (seed, i), start=starts[i]), learned.cost),
    }
    answers = []
    for method, (make, cost) in makers.items():
        elsewhere = setting.target_plant != "vital" and method.startswith("CMA-ES")
        renders = bench.budget.cma_es_elsewhere if elsewhere else bench.budget.renders
        marks = [mark for mark in MARKS if mark <= renders]
        folder = bench.folder / "searches" / method
        course = kept(
            folder.with_suffix(".safetensors"),
            lambda make=make, renders=renders, marks=marks, folder=folder: (
                search(make, bench.farm, heard, renders, marks, folder).controls
            ),
        )
        answers += [
            Answer(method, "search", mark, controls, cost)
            for mark, controls in zip(marks, course, strict=True)
        ]
    return answers


def kept(file: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The controls in `file`, made first if there are none."""
    if not file.is_file():
        controls = make()
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, lambda path: save_file({"controls": controls}, path))
    return load_file(file)["controls"]


def score_all(
    setting: Setting, farm: Farm, true: Melodies, answers: list[Answer], run: Run
) -> list[dict[str, Any]]:
    """A record for each answer. Scores are kept, and nothing is played for those that are."""
    folder = run.part("scores")
    files = [folder / f"{a.method} {a.renders} {len(a.controls)} {a.cost.get('babble', 0)}.json" for a in answers]
    missing = [pair for pair in zip(answers, files, strict=True) if not pair[1].is_file()]
    if missing:
        rate = {"sample_rate_hz": SOUND_RATE_HZ}
        with setting.target_farm(**rate) as players:
            sounds = _sounds(players, true.controls[:SOUNDS])
        with Farm("vital", controls=setting.controls, **rate) as recorder:
            for answer, file in missing:
                count = len(answer.controls)
                heard = played(farm, answer.controls, f"Playing {answer.method}")
                scores = score(
                    Melodies(true.space, true.controls[:count], true.heard[:count]),
                    Melodies(farm.controls, answer.controls, heard),
                )
                recorded = _sounds(recorder, answer.controls[:SOUNDS])
                scores |= sound_scores(sounds[: len(recorded)], recorded)
                text = json.dumps(scores)
                write_atomically(file, lambda path, text=text: path.write_text(text))
    return [
        {
            "method": answer.method,
            "family": answer.family,
            "renders": answer.renders,
            "melodies": len(answer.controls),
            **answer.cost,
            "scores": json.loads(file.read_text()),
        }
        for answer, file in zip(answers, files, strict=True)
    ]


def _sounds(farm: Farm, controls: Controls) -> Float[np.ndarray, "melody sample"]:
    sounds = []
    for outcome in farm.render(controls):
        if isinstance(outcome, PlantError):
            raise outcome
        sounds.append(outcome)
    return np.stack(sounds)


def ms_per_melody(model: Matcher, times: int = 15) -> float:
    """CPU time from the samples of a melody to its controls, on one thread, once warm."""
    sound = load_audio(DEMO, SOUND_RATE_HZ)[: 2 * SOUND_RATE_HZ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took_s = []
    for _ in range(1 + times):
        began_s = time.process_time()
        model.guess(torch.from_numpy(hear(sound, SOUND_RATE_HZ))[None])
        took_s.append(time.process_time() - began_s)
    torch.set_num_threads(threads)
    return 1e3 * statistics.median(took_s[1:])


def papers(setting: Setting, seed: int, results: Path) -> list[dict[str, Any]]:
    """The encoders of the paper's recipe that ran as experiments before, if any."""
    found = [
        json.loads(file.read_bytes())
        for file in sorted(results.glob(f"{setting.name}-paper-*-seed-{seed}.json"))
    ]
    return [
        {
            "method": f"the paper's encoder, {result['budget']}",
            "family": "learned",
            "renders": 0,
            "melodies": result["held_out"],
            "learning_renders": result["plant_renders"],
            "scores": result["scores"]["encoder"],
        }
        for result in found
    ]
