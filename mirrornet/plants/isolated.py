"""A plant of foreign native code, played in a process of its own.

If it crashes, hangs or exits, only the score that it played is lost: it is tried once more in a
fresh process, then a PlantError names it.
"""

import weakref
from typing import Any

import numpy as np
from jaxtyping import Float

from ..controls import Value
from ..errors import PlantError
from ..score import Note, Score
from .base import Artifact, Plant
from .pool import Pool
from .registry import find_plant

TIMEOUT_S = 60.0  # for one score


class Isolated(Plant):
    """The plant `name` with its options, in a worker process. Raises PlantError as it does."""

    def __init__(self, name: str, **options: Any):
        kind = find_plant(name)
        self._pool = Pool(name, workers=1, timeout_s=TIMEOUT_S, **options)
        weakref.finalize(self, self._pool.close)
        self.spec = self._pool.spec
        self.name, self.controls = self._pool.name, self._pool.controls
        self.sample_rate_hz, self.transposition = self._pool.sample_rate_hz, kind.transposition
        self.control_sets, self.level_is_gain = kind.control_sets, kind.level_is_gain
        self.tail_s, self.own_rate_hz = kind.tail_s, kind.own_rate_hz
        self.timbre_set = kind.timbre_set

    def _render_score(self, score: Score, duration_s: float) -> Float[np.ndarray, " sample"]:
        return self._ask(_render, Score(score.notes, score.patch, duration_s))

    def note_tail_s(self, note: Note) -> float:
        return self._ask(_tail_s, note)

    def sample(self, generator: np.random.Generator) -> Score:
        return self._ask(_sample, int(generator.integers(2**62)))

    def artifacts(self, score: Score) -> list[Artifact]:
        made = self._ask(_artifacts, score)
        return [Artifact(path, lambda data=data: data, *rest) for path, data, *rest in made]

    def read_preset(self, data: bytes) -> dict[str, Value]:
        return self._ask(_read_preset, data)

    def guide(self, score: Score) -> str:
        return self._ask(_guide, score)

    def automation(self, score: Score) -> list[dict[str, float]]:
        return self._ask(_automation, score)

    def at_rate(self, sample_rate_hz: int) -> "Isolated":
        return Isolated(self.spec.name, **{**self.spec.options, "sample_rate_hz": sample_rate_hz})

    def _ask(self, work: Any, subject: Any) -> Any:
        answer = next(self._pool.map(work, [subject], 1))
        if isinstance(answer, PlantError):
            raise answer
        return answer


# Everything below runs in the worker.


def _render(plant: Plant, scores: list[Score]) -> list[np.ndarray]:
    return [plant.render(score) for score in scores]


def _tail_s(plant: Plant, notes: list[Note]) -> list[float]:
    return [plant.note_tail_s(note) for note in notes]


def _sample(plant: Plant, seeds: list[int]) -> list[Score]:
    return [plant.sample(np.random.default_rng(seed)) for seed in seeds]


def _artifacts(plant: Plant, scores: list[Score]) -> list[list[tuple]]:
    return [
        [(one.path, one.make(), one.what, one.note) for one in plant.artifacts(score)]
        for score in scores
    ]


def _read_preset(plant: Plant, presets: list[bytes]) -> list[dict[str, Value] | PlantError]:
    try:
        return [plant.read_preset(data) for data in presets]
    except PlantError as refusal:  # no failure: it need not be tried again
        return [refusal]


def _guide(plant: Plant, scores: list[Score]) -> list[str]:
    return [plant.guide(score) for score in scores]


def _automation(plant: Plant, scores: list[Score]) -> list[list[dict[str, float]]]:
    return [plant.automation(score) for score in scores]
