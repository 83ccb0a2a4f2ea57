"""The interface of search methods (ask and tell), and the loop that runs them on a render budget.

A search proposes controls for one target, is told their errors, and proposes again. The loop
renders, computes errors and counts renders, so every search has the same budget. The searches of
all targets advance together, so that all workers of a pool are busy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ...errors import MirrorNetError, PlantError
from ...events import Stage
from ...metrics import spectrogram_error
from ...models.checkpoints import fingerprint
from ...plants.pool import Pool
from .ledger import Ledger

Seed = tuple[int, int]  # the seed of the benchmark, and the number of the target

STREAM = 5  # differs from `random_melodies`' streams (seed, 1..4), from which targets are drawn
BATCH = 32  # rows per `ask` of searches that do not depend on errors
CHUNK = 4  # rows per task of a worker: few, as each turn waits for the slowest worker
FAILED = 1e9  # error of controls whose render failed; finite, as searches compute with it


class Search(ABC):
    """A search for the controls with which the plant sounds like one target."""

    name: str
    seed: Seed | None = None
    """Random seed. With the same seed and errors, a search asks for the same controls."""

    @abstractmethod
    def ask(self) -> Float[np.ndarray, "row control note"]:
        """Return the controls to render next, 0..1; no rows if no candidates are left."""

    @abstractmethod
    def tell(
        self, controls: Float[np.ndarray, "row control note"], errors: Float[np.ndarray, " row"]
    ) -> None:
        """Take the errors of the rows that `ask` returned last. Not called once the budget is
        spent."""


@dataclass(frozen=True)
class Course:
    """The best answer to each target after each number of renders in `marks`."""

    marks: tuple[int, ...]
    errors: Float[np.ndarray, "mark target"]
    """`metrics.spectrogram_error` of each melody; 0 is perfect."""
    controls: Float[np.ndarray, "mark target control note"]


def search(
    make: Callable[[int], Search],
    pool: Pool,
    targets: Float[np.ndarray, "target channel=128 frame"],
    renders: int,
    marks: Sequence[int],
    folder: Path | None = None,
) -> Course:
    """Run a search for each target, with a budget of `renders` renders each.

    Args:
        make: `make(i)` returns the search for target number i.
        pool: renders the candidates. A failed render counts as one, with the error `FAILED`.
        targets: loudness-compressed auditory spectrograms.
        renders: budget for each target; a search without further candidates ends earlier.
        marks: numbers of renders, rising, after which the best answers are returned.
        folder: keeps all candidates and errors; a search that was stopped is resumed from it.

    Raises:
        MirrorNetError: when `marks` are not rising numbers from 1 to `renders`.
        OutputError: when the folder cannot be used or holds another search.
    """
    if not marks or list(marks) != sorted(set(marks)) or not 1 <= marks[0] <= marks[-1] <= renders:
        raise MirrorNetError(
            f"marks must be numbers of renders in rising order, from 1 to {renders}; got "
            f"{', '.join(map(str, marks)) or 'none'}."
        )
    trails = [_Trail(make(number), target) for number, target in enumerate(targets)]
    name = trails[0].search.name
    about = {
        "search": name,
        "seeds": [trail.search.seed for trail in trails],
        "plant": pool.name,
        "controls": pool.controls.name,
        "renders": renders,
        "targets": fingerprint(targets),
    }
    total = renders * len(trails)
    with Ledger(folder, about) as ledger, pool.progress.stage(name, total) as stage:
        done = 0
        while asked := [(trail, row) for trail in trails for row in trail.ask(renders)]:
            errors = _errors(asked, pool, ledger, stage)
            for (trail, row), error in zip(asked, errors, strict=True):
                trail.controls.append(row)
                trail.errors.append(error)
                stage.at(done := done + 1)
            for trail in trails:
                trail.tell(renders)
    best = [[int(np.argmin(trail.errors[:mark])) for trail in trails] for mark in marks]
    return Course(
        tuple(marks),
        np.array([[t.errors[i] for t, i in zip(trails, at, strict=True)] for at in best]),
        np.array([[t.controls[i] for t, i in zip(trails, at, strict=True)] for at in best]),
    )


@dataclass(eq=False)
class _Trail:
    """The search for one target, with its rendered controls and their errors."""

    search: Search
    target: Float[np.ndarray, "channel=128 frame"]
    controls: list[np.ndarray] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    told: int = 0

    def ask(self, renders: int) -> list[np.ndarray]:
        left = renders - len(self.errors)
        return list(self.search.ask()[:left]) if left else []

    def tell(self, renders: int) -> None:
        if self.told < len(self.errors) < renders:
            new = slice(self.told, None)
            self.search.tell(np.stack(self.controls[new]), np.array(self.errors[new]))
            self.told = len(self.errors)


def _errors(
    asked: list[tuple[_Trail, np.ndarray]], pool: Pool, ledger: Ledger, stage: Stage
) -> Iterator[float]:
    """The error of each row: first of those in the ledger, then of the others, once rendered."""
    rows = np.stack([row for _, row in asked])
    known = ledger.recall(rows)
    yield from known.tolist()
    heard = pool.hear(rows[len(known) :], chunk=CHUNK)
    for (trail, row), outcome in zip(asked[len(known) :], heard, strict=True):
        if isinstance(outcome, PlantError):
            stage.say(f"counted as a miss: {outcome}")
            error = FAILED
        else:
            error = spectrogram_error(trail.target[None], outcome[None])
        ledger.add(row, error)
        yield error


def generator(seed: Seed) -> np.random.Generator:
    """Return the random generator of one search."""
    return np.random.default_rng((*seed, STREAM))


def bench_module(name: str) -> Any:
    """Import a module of an optional package of mirrornet[bench].

    Raises MirrorNetError if it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MirrorNetError(
            f"{name.partition('.')[0]} is needed to compare and to score; install it with: "
            'pip install "mirrornet[bench]"'
        ) from error
