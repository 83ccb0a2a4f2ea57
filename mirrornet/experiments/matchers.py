"""What answers without a render: ours, and the learned peers, from the same babble.

All learn for about the same CPU time. Ours then also listens to targets, which come without
controls, so that only ours can.
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

# Passes over so much babble. On one core a melody costs MirrorNet about 10 ms in a pass, the CNN
# 5.1 ms and the AST 26 ms (bfloat16): all three learn for about the same CPU time.
EPOCHS = {
    300: {"mirror": 60, "cnn": 118, "ast": 23},
    2000: {"mirror": 24, "cnn": 47, "ast": 9},
    6000: {"mirror": 12, "cnn": 24, "ast": 5},
    20000: {"mirror": 16, "cnn": 31, "ast": 6},
}
LISTENED = "encoder, listened"
TIMED = 15  # how often an answer is timed
PEERS = {
    "cnn": ("CNN", cnn.CnnRegressor, cnn.RECIPE),
    "ast": ("AST", ast.AstRegressor, ast.RECIPE),
}
DEMO = Path(__file__).parents[1] / "data" / "demo-melody.flac"


class Babble(NamedTuple):
    controls: Controls
    heard: Heard

    def first(self, count: int) -> "Babble":
        return Babble(self.controls[:count], self.heard[:count])


@dataclass(frozen=True)
class Learner:
    """How a matcher comes about: `babble` is what it hears, `renders` all that is played."""

    method: str
    family: str
    babble: int
    renders: int
    epochs: float
    learn: Callable[[], tuple[Matcher, float]]
    """The matcher, and the CPU seconds of learning; what was learned before is not again."""

    def answer(self, heard: Heard, folder: Path) -> Answer:
        """What it answers, kept in `folder`: as long as that is there, nothing is learned."""

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
    """Ours from the babble alone, ours after listening to `targets`, and the learned peers: of each
    one for each size of babble.

    What knows only the babble stands in `folder`, what listened in `listened`.
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
    """The model that a plan leads to, and the CPU seconds on the way."""
    babble = babble.first(plan.babble)
    model = learn(plan, pool, targets, folder, seed, True, "cpu", "", start, babble)
    return model, _cpu_s(folder)


def _cpu_s(folder: Path) -> float:
    return load_checkpoint(folder / "model.json")[1]["learning_cpu_s"]


def ms_per_melody(model: Matcher) -> float:
    """CPU time from the samples of a melody to its controls, on one thread, once warm."""
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
