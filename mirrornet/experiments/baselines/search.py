"""What a search is, and the loop that runs many of them under one render budget.

A search proposes controls for one target, is told how far off each was, and proposes again. The
loop plays, hears and counts, so no search gets more renders than another. The searches of all
targets go in step, so that a pool always has enough to play.
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

Seed = tuple[int, int]  # of the comparison, and the number of the target

STREAM = 5  # `random_melodies` has the streams (seed, 1..4): no target may be drawn here again
BATCH = 32  # what a search asks at once that learns nothing from the answers
CHUNK = 4  # rows a worker takes at once: few, as all wait for the last at the end of each turn
FAILED = 1e9  # the error of controls that the plant failed on; finite, as searches do sums with it


class Search(ABC):
    """A way to look for the controls that make the plant sound like one target."""

    name: str
    seed: Seed | None = None
    """Where chance starts. With the same seed and errors, a search asks the same."""

    @abstractmethod
    def ask(self) -> Float[np.ndarray, "row control note"]:
        """What to play next, 0..1; no rows if there is nothing left to try."""

    @abstractmethod
    def tell(
        self, controls: Float[np.ndarray, "row control note"], errors: Float[np.ndarray, " row"]
    ) -> None:
        """How far off each of the rows just asked was. Not called after the last ones."""


@dataclass(frozen=True)
class Course:
    """The best that was found for each target with as many renders as each mark says."""

    marks: tuple[int, ...]
    errors: Float[np.ndarray, "mark target"]
    """`metrics.spectrogram_error` of each melody by itself; 0 is perfect."""
    controls: Float[np.ndarray, "mark target control note"]


def search(
    make: Callable[[int], Search],
    pool: Pool,
    targets: Float[np.ndarray, "target channel=128 frame"],
    renders: int,
    marks: Sequence[int],
    folder: Path | None = None,
) -> Course:
    """Spend `renders` renders on each target, fewer if its search runs out of ideas.

    `make(i)` is the search for target number i; `targets` are loudness-compressed auditory
    spectrograms. Controls that the plant fails on count as a render, with the error `FAILED`.

    With a `folder`, what was played is kept there, and a search that was stopped goes on where it
    was: it asks again and is told from the folder, as far as that goes.

    Raises MirrorNetError for marks that are not numbers of renders in rising order, OutputError
    for a folder that cannot be used or holds another search.
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
    """The search for one target, and all it has played."""

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
    """How far off each row is: those in the ledger first, then the others as they are heard."""
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
    """The random numbers of one search."""
    return np.random.default_rng((*seed, STREAM))


def bench_module(name: str) -> Any:
    """A module of a package that only comparisons need; MirrorNetError if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MirrorNetError(
            f"{name.partition('.')[0]} is needed to compare and to score; install it with: "
            'pip install "mirrornet[bench]"'
        ) from error
