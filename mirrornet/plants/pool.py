"""A pool of workers that render with one plant in parallel, on this machine or on a cluster.

A plant is third-party code: it may crash, hang, take all memory or return invalid sound. Here that
costs only the row of controls that caused it; one that failed three times is not played again.
Every worker is a process of its own and has one task at a time, so a worker that dies affects no
other task. Results come in row order and do not depend on where the workers are, on their number,
or on the size of the chunks.

A script that starts a pool must do so under `if __name__ == "__main__":`, because each worker
imports the script again.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace
from ..errors import ControlError, PlantError
from ..events import Progress
from ..features import Hearing, hear, hear_wide
from ..score import Score
from .base import Plant, PlantSpec
from .registry import make_plant
from .worker import Processes, Task, Worker, Workers, start

LOCAL = "local"
INSTALL = "pip install 'ray[client]>=2.60'"
WAITING_S = 30.0  # for the first worker, after which the user is told
STRIKES = 3  # failures after which a row is not played again

Seed = Sequence[int]
# Melodies as arrays of controls, scores, random seeds of scores, or what else some work takes.
Rows = Float[np.ndarray, "row control note"] | Sequence[Any]


class Pool:
    """Workers that render with one plant; use it in a `with` block.

    Args:
        plant: a name for `make_plant`, a spec, or a function that makes a plant. It is made in the
            workers only, so that a plant that crashes on loading does not end the caller.
        workers: their number; by default that of the cores which this process or the cluster may
            use.
        timeout_s: the longest time for one chunk, or one row on its own.
        progress: receives the reports of work that is done with these workers.
        where: "local" for processes of this machine, or a Ray cluster: "ray" or "ray://HOST:PORT".
        options: of the plant.

    Raises PlantError if the plant cannot be made or the cluster not be reached.
    """

    def __init__(
        self,
        plant: str | PlantSpec | Callable[..., Plant] = "vital",
        workers: int | None = None,
        timeout_s: float = 60.0,
        progress: Progress | None = None,
        where: str = LOCAL,
        **options: Any,
    ):
        self._source = _workers_at(where)
        self.workers = workers or self._source.cores
        self.progress = progress or Progress()
        """Receives the reports of work that is done with these workers."""
        if isinstance(plant, PlantSpec):
            plant, options = plant.name, {**plant.options, **options}
        make = partial(make_plant, plant) if isinstance(plant, str) else plant
        self._make = partial(make, **options)
        self._timeout_s = timeout_s
        self._waiting: deque[Task] = deque()
        self._fresh = False
        self._strikes: dict[bytes, int] = {}  # failures of rows that were played alone
        self._crew: list[Worker] = []
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            for _ in range(self.workers):
                self._crew.append(self._source.start(self._make))
            facts = self._answer(self._ask(_facts, np.empty(0)))
            if isinstance(facts, PlantError):
                raise PlantError(f"the plant could not be loaded: {facts}") from facts
            on_failure.pop_all()
        self.name: str
        self.controls: ControlSpace
        self.sample_rate_hz: int
        self.transposition: int
        self.spec: PlantSpec
        self.name, self.controls, self.sample_rate_hz, self.transposition = facts[:4]
        self.spec, self._fresh = facts[4:]

    def render(
        self, controls: Float[np.ndarray, "row control note"], chunk: int = 16
    ) -> Iterator[np.ndarray | PlantError]:
        """Yield the sound of each row, `(sample,)` float32, in order.

        A row that failed twice, the second time alone, yields a PlantError that names its
        controls. Raises ControlError immediately where `ControlSpace.check` does.
        """
        return self.map(_render, self._rows(controls), chunk)

    def hear(
        self,
        controls: Float[np.ndarray, "row control note"],
        hearing: Hearing = "loudness",
        chunk: int = 16,
    ) -> Iterator[np.ndarray | PlantError]:
        """Yield the auditory spectrogram of each row, `(128, frame)` float32, in order.

        Errors are as in `render`.
        """
        return self.map(partial(_hear, hearing), self._rows(controls), chunk)

    def hear_scores(
        self, scores: Sequence[Score], chunk: int = 4
    ) -> Iterator[np.ndarray | PlantError]:
        """Yield the `hear_wide` spectrogram of each score, `(176, frame)` float32, in order.

        A score that failed twice, the second time alone, yields a PlantError.
        """
        return self.map(_hear_scores, scores, chunk)

    def sample(self, seeds: Sequence[Seed], chunk: int = 16) -> Iterator[Score | PlantError]:
        """Yield the score that the plant draws with each seed; a PlantError if it is invalid."""
        return self.map(_sample, seeds, chunk)

    def map(self, work: Callable, rows: Rows, chunk: int) -> Iterator[Any]:
        """What `work(plant, rows)`, a function of some module, gives for each row, in order.

        A row that failed twice, the second time alone, yields a PlantError that names it. If the
        same row comes again and fails a third time, it is quarantined: its PlantError comes at
        once, and it is not played.
        """
        chunk = 1 if self._fresh else chunk
        asking = (self._ask(work, rows[i : i + chunk]) for i in range(0, len(rows), chunk))
        asked = deque(islice(asking, 2 * self.workers))
        while asked:
            task = asked.popleft()
            answer = self._answer(task)
            asked.extend(islice(asking, 1))
            if isinstance(answer, PlantError):
                for n in range(len(task.rows)):
                    yield self._alone(work, task.rows[n : n + 1], played=len(task.rows) == 1)
            else:
                for row in task.rows if self._strikes else ():
                    self._strikes.pop(_key(work, row), None)
                yield from answer

    def close(self) -> None:
        """Stop every worker immediately, busy or not."""
        while self._crew:
            self._crew.pop().stop()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(
        self, controls: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "row control note"]:
        controls = self.controls.check(controls)
        return controls.reshape(-1, *controls.shape[-2:])

    def _alone(self, work: Callable, row: Rows, played: bool) -> Any:
        """Try a row again that failed: it was `played` alone, or perhaps others in its chunk are at
        fault."""
        key, what = _key(work, row[0]), self._listing(row[0])
        strikes = self._strikes.get(key, 0)
        if strikes < STRIKES:
            self._strikes[key] = strikes = strikes + played
        if strikes < STRIKES:
            failure = self._answer(self._ask(work, row, first=True))
            if not isinstance(failure, PlantError):
                self._strikes.pop(key)
                return failure[0]
            self._strikes[key] += 1
            return PlantError(f"{self.name} failed twice on {what}: {failure}")
        return PlantError(f"{self.name} failed {STRIKES} times on {what}: not played again.")

    def _quarantined(self, work: Callable, rows: Rows) -> bool:
        return bool(self._strikes) and any(
            self._strikes.get(_key(work, row), 0) >= STRIKES for row in rows
        )

    def _listing(self, row: Float[np.ndarray, "control note"] | Score | Seed) -> str:
        if isinstance(row, Score):
            return f"{'; '.join(map(str, row.notes))}; patch {dict(row.patch)}"
        if isinstance(row, bytes):
            return f"a file of {len(row)} bytes"
        if not isinstance(row, np.ndarray):
            return f"{row}"
        return "the controls " + "; ".join(
            f"{control.name} {np.array2string(values, precision=4, separator=', ')}"
            for control, values in zip(self.controls.rows, row, strict=True)
        )

    def _ask(self, work: Callable, rows: Rows, first: bool = False) -> Task:
        task = Task(work, rows)
        if self._quarantined(work, rows):  # the others are played one by one
            task.answer = PlantError("it holds a row that is not played again.")
            return task
        self._waiting.insert(0 if first else len(self._waiting), task)
        return task

    def _answer(self, task: Task) -> Any:
        """Run the workers until `task` is answered."""
        patient_until_s = time.monotonic() + WAITING_S
        while task.answer is None:
            if time.monotonic() > patient_until_s and not any(w.used for w in self._crew):
                self.progress.say("Waiting for workers to start; is a core free for them?")
                patient_until_s = math.inf
            if not self._crew:
                raise PlantError("the pool is closed; use it inside its `with` block.")
            for n, worker in enumerate(self._crew):
                if self._fresh and worker.used and worker.task is None:
                    worker.stop()
                    self._crew[n] = self._source.start(self._make)
            for worker in self._crew:
                if worker.task is None and self._waiting:
                    worker.take(self._waiting.popleft(), self._timeout_s)
            self._source.wait([worker for worker in self._crew if worker.task], 0.1)
            for n, worker in enumerate(self._crew):
                doing = worker.task
                if not worker.listen():
                    if doing and doing.work is not start and doing.answer is None:
                        self._waiting.appendleft(doing)  # its machine failed, not the plant
                    self._crew[n] = self._source.start(self._make)
        return task.answer


def _workers_at(where: str) -> Workers:
    if where == LOCAL:
        return Processes()
    if where != "ray" and not where.startswith("ray://"):
        raise PlantError(f"a pool is local, ray or ray://HOST:PORT, not {where}.")
    try:
        from .cluster import Cluster  # takes a second, and Ray is an extra
    except ImportError as error:
        raise PlantError(f"a cluster needs Ray ({error}): {INSTALL}") from error
    return Cluster(where)


def _key(work: Callable, row: Any) -> bytes:
    """What stands for the same work on the same row."""
    content = row if isinstance(row, bytes) else repr(row).encode()
    content = row.tobytes() if isinstance(row, np.ndarray) else content
    return sha256(repr(work).encode() + content).digest()


# Everything below runs in the workers.


def _facts(plant: Plant, rows: np.ndarray) -> tuple[str, ControlSpace, int, int, PlantSpec, bool]:
    rate_hz, transposition = plant.sample_rate_hz, plant.transposition
    return plant.name, plant.controls, rate_hz, transposition, plant.spec, plant.fresh


def _render(plant: Plant, rows: Float[np.ndarray, "row control note"]) -> list[np.ndarray]:
    return [plant.render(row) for row in rows]


def _hear(
    hearing: Hearing, plant: Plant, rows: Float[np.ndarray, "row control note"]
) -> list[np.ndarray]:
    # One by one: a spectrogram must not depend on which rows share a chunk.
    return [hear(plant.render(row), plant.sample_rate_hz, hearing) for row in rows]


def _hear_scores(plant: Plant, scores: Sequence[Score]) -> list[np.ndarray]:
    return [hear_wide(plant.render(score), plant.sample_rate_hz) for score in scores]


def _sample(plant: Plant, seeds: Sequence[Seed]) -> list[Score]:
    scores = [plant.sample(np.random.default_rng(tuple(seed))) for seed in seeds]
    for score in scores:
        try:
            plant.check(score)
        except ControlError as error:
            raise PlantError(f"{plant.name} drew a score that it must not play: {error}") from error
    return scores
