"""Models that answer without a render: MirrorNet and the learned baselines, on the same babble.

All train for about the same CPU time. MirrorNet is then also trained on targets. These have no
known controls, so the supervised baselines cannot use them.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..audio import load_audio
from ..features import hear
from ..metrics import SOUND_RATE_HZ
from ..models.checkpoints import load_checkpoint
from ..models.mirrornet import MirrorNet
from ..plants.pool import Pool
from ..training.melodies import MirrorRecipe, learn
from .answers import Answer, kept
from .baselines import ast, cnn
from .baselines.supervised import train_supervised
from .evaluation import Controls, Heard, Matcher

# Epochs by the number of babbled melodies. On one core a melody costs MirrorNet about 10 ms per
# epoch, the CNN 5.1 ms and the AST 26 ms (bfloat16): all three train for about the same CPU time.
EPOCHS = {
    300: {"mirror": 60, "cnn": 118, "ast": 23},
    2000: {"mirror": 24, "cnn": 47, "ast": 9},
    6000: {"mirror": 12, "cnn": 24, "ast": 5},
    20000: {"mirror": 16, "cnn": 31, "ast": 6},
}
LISTENED = "encoder, listened"
TIMED = 15  # timed repetitions; the median counts
PEERS = {
    "cnn": ("CNN", cnn.CnnRegressor, cnn.RECIPE),
    "ast": ("AST", ast.AstRegressor, ast.RECIPE),
}
DEMO = Path(__file__).parents[1] / "data" / "demo-melody.flac"


class Babble(NamedTuple):
    """Random melodies (babble): controls in 0..1, and spectrograms of the plant playing them."""

    controls: Controls
    heard: Heard

    def first(self, count: int) -> "Babble":
        """Return the first `count` melodies."""
        return Babble(self.controls[:count], self.heard[:count])


@dataclass(frozen=True)
class Learner:
    """A method that trains a matcher: on `babble` melodies, with `renders` renders in all."""

    method: str
    family: str
    babble: int
    renders: int
    epochs: float
    learn: Callable[[], tuple[Matcher, float]]
    """Returns the matcher and the CPU time of its training in s; loads it if it is trained."""

    def answer(self, heard: Heard, folder: Path) -> Answer:
        """Estimate the controls of the melodies `heard`, and keep them in a file in `folder`; where
        that file exists, nothing is trained."""

        def ask() -> dict[str, np.ndarray]:
            model, cpu_s = self.learn()
            controls = model.guess(torch.from_numpy(heard)).numpy().astype(float)
            figures = {"learning_cpu_s": cpu_s, "ms_per_melody": ms_per_melody(model)}
            return {"controls": controls} | {key: np.array(n) for key, n in figures.items()}

        name = f"{self.method}, babble {self.babble}.safetensors"
        question = {"sounds": heard.mean((1, 2)), "epochs": np.array(self.epochs)}
        found = kept(folder / name, ask, question)
        figures = {key: float(n) for key, n in found.items() if key != "controls"}
        cost = {"babble": self.babble, "learning_renders": self.renders} | figures
        return Answer(self.method, self.family, 0, found["controls"], cost)


def learners(
    sizes: Sequence[int],
    pool: Pool,
    babble: Babble,
    targets: Heard,
    folder: Path,
    listened: Path,
    seed: int,
) -> list[Learner]:
    """List the learned methods, each for every size of babble: MirrorNet trained on babble alone,
    MirrorNet then trained on `targets`, and the supervised baselines.

    Models trained on babble alone are kept in `folder`, those trained on targets in `listened`.
    """
    listening = MirrorRecipe().listening()

    def ours(size: int) -> tuple[MirrorNet, float]:
        plan = MirrorRecipe(babble=size, epochs=EPOCHS[size]["mirror"])
        return _learn_ours(plan, pool, babble, targets[:0], folder / f"mirror-{size}", seed)

    def ours_listened(size: int) -> tuple[MirrorNet, float]:
        start, cpu_s = ours(size)
        place = listened / f"mirror-{size}"
        heard = babble.first(size)
        model, more_s = _learn_ours(listening, pool, heard, targets, place, seed, start)
        return model, cpu_s + more_s

    def peer(key: str, size: int) -> tuple[Matcher, float]:
        _, kind, recipe = PEERS[key]
        place = folder / f"{key}-{size}"
        recipe = replace(recipe, epochs=EPOCHS[size][key])
        how = {"resume": True, "device": "cpu", "progress": pool.progress}
        model = train_supervised(kind, recipe, *babble.first(size), place, seed, **how)
        return model, _cpu_s(place)

    found = []
    for size in sizes:
        epochs, renders = EPOCHS[size], size + listening.rounds * len(targets)
        found += [
            Learner(
                "encoder, babble only", "ours", size, size, epochs["mirror"], partial(ours, size)
            ),
            Learner(
                LISTENED, "ours", size, renders, epochs["mirror"], partial(ours_listened, size)
            ),
        ]
        for key, (label, _, _) in PEERS.items():
            make = partial(peer, key, size)
            found.append(Learner(label, "learned", size, size, epochs[key], make))
    return found


def _learn_ours(
    plan: MirrorRecipe,
    pool: Pool,
    babble: Babble,
    targets: Heard,
    folder: Path,
    seed: int,
    start: MirrorNet | None = None,
) -> tuple[MirrorNet, float]:
    """Train or resume a MirrorNet; return it and the CPU time in s."""
    babble = babble.first(plan.babble)
    model = learn(plan, pool, targets, folder, seed, True, "cpu", "", start, babble)
    return model, _cpu_s(folder)


def _cpu_s(folder: Path) -> float:
    return load_checkpoint(folder / "model.json")[1]["learning_cpu_s"]


def ms_per_melody(model: Matcher) -> float:
    """Measure the CPU time in ms from the samples of a melody to its controls: the median on one
    thread, after one call to warm up."""
    sound = load_audio(DEMO, SOUND_RATE_HZ)[: 2 * SOUND_RATE_HZ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took_s = []
    for _ in range(1 + TIMED):
        began_s = time.process_time()
        model.guess(torch.from_numpy(hear(sound, SOUND_RATE_HZ))[None])
        took_s.append(time.process_time() - began_s)
    torch.set_num_threads(threads)
    return 1e3 * statistics.median(took_s[1:])
