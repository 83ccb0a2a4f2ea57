"""A farm of workers that play one plant in parallel, each in a process of its own.

A plant is foreign code: it may crash, hang or give nonsense. Here that costs only the row of
controls that caused it. Results come in row order, a few chunks ahead of the reader, and do not
depend on the number of workers or the size of the chunks.

A script that starts a farm must do so under `if __name__ == "__main__":`, because each worker
imports the script again.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache, partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pebble import ProcessExpired, ProcessPool

from ..controls import ControlSpace
from ..errors import PlantError
from ..hearing import Hearing, hear
from . import load_plant
from .base import Plant

Outcome = np.ndarray | PlantError
Recipe = tuple[str | Callable[..., Plant], tuple[tuple[str, Any], ...]]


class Farm:
    """Workers that play the plant `plant`, made with `options`; use it in a `with` block.

    `plant` is a name for `load_plant`, or a function that makes a plant. It is made in the workers
    only, so that even a plant that crashes when loaded leaves the caller alive. `workers` defaults
    to the cores this process may use. `timeout_s` is the longest that one chunk, or one row on
    its own, may take.

    Raises PlantError if the plant cannot be made.
    """

    name: str
    controls: ControlSpace
    sample_rate_hz: int

    def __init__(
        self,
        plant: str | Callable[..., Plant] = "vital",
        workers: int | None = None,
        timeout_s: float = 60.0,
        **options: Any,
    ):
        self.workers = workers or usable_cores()
        self._recipe: Recipe = plant, tuple(options.items())
        self._timeout_s = timeout_s
        # Spawned, not forked: torch's threads in the parent do not survive a fork.
        self._pool = ProcessPool(
            self.workers, initializer=_start_worker, context=multiprocessing.get_context("spawn")
        )
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            facts = self._send(_facts)
            if error := facts.exception():
                raise PlantError(
                    f"the plant could not be loaded: {self._reason(error)}."
                ) from error
            self.name, self.controls, self.sample_rate_hz = facts.result()
            on_failure.pop_all()

    def render(
        self, controls: Float[np.ndarray, "row control note"], chunk: int = 16
    ) -> Iterator[Outcome]:
        """The sound of each row, `(sample,)` float32, in order.

        A row that failed twice, the second time alone and on a fresh plant, yields a PlantError
        that names its controls. Raises ControlError at once where `ControlSpace.check` does.
        """
        return self._stream(_render, controls, chunk)

    def hear(
        self,
        controls: Float[np.ndarray, "row control note"],
        hearing: Hearing = "loudness",
        chunk: int = 16,
    ) -> Iterator[Outcome]:
        """The auditory spectrogram of each row, `(128, frame)` float32, in order.

        Errors as in `render`.
        """
        return self._stream(partial(_hear, hearing), controls, chunk)

    def close(self) -> None:
        """Stop every worker now, busy or not."""
        self._pool.stop()
        self._pool.join()

    def __enter__(self) -> "Farm":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(self, work: Callable, controls: np.ndarray, chunk: int) -> Iterator[Outcome]:
        rows = self.controls.check(controls)
        rows = rows.reshape(-1, *rows.shape[-2:])
        chunks = (rows[start : start + chunk] for start in range(0, len(rows), chunk))
        return self._outcomes(work, ((part, self._send(work, part)) for part in chunks))

    def _outcomes(
        self, work: Callable, sending: Iterator[tuple[np.ndarray, Future]]
    ) -> Iterator[Outcome]:
        sent = deque(islice(sending, 2 * self.workers))
        while sent:
            part, task = sent.popleft()
            failed = task.exception() is not None
            sent.extend(islice(sending, 1))
            yield from (self._alone(work, row) for row in part) if failed else task.result()

    def _alone(self, work: Callable, row: Float[np.ndarray, "control note"]) -> Outcome:
        """The second chance of a row whose chunk failed."""
        task = self._send(work, row[None])
        if (error := task.exception()) is None:
            return task.result()[0]
        listing = "; ".join(
            f"{control.name} {np.array2string(values, precision=4, separator=', ')}"
            for control, values in zip(self.controls, row, strict=True)
        )
        return PlantError(f"{self.name} failed twice ({self._reason(error)}) on {listing}.")

    def _send(self, work: Callable, *arguments: Any) -> Future:
        return self._pool.schedule(work, args=(self._recipe, *arguments), timeout=self._timeout_s)

    def _reason(self, error: BaseException) -> str:
        match error:
            case TimeoutError():
                return f"no answer within {self._timeout_s:g} s"
            case ProcessExpired():
                return f"its process ended with exit code {error.exitcode}"
            case BrokenProcessPool():
                return (
                    "its process ended at the start; does the script start the farm under "
                    '`if __name__ == "__main__":`?'
                )
        return str(error).rstrip(".") or type(error).__name__


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# What follows runs in the workers.


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # end at once, even inside the plant's own code


@cache
def _plant(recipe: Recipe) -> Plant:
    make, options = recipe
    return load_plant(make, **dict(options)) if isinstance(make, str) else make(**dict(options))


def _facts(recipe: Recipe) -> tuple[str, ControlSpace, int]:
    plant = _plant(recipe)
    return plant.name, plant.controls, plant.sample_rate_hz


def _render(recipe: Recipe, rows: Float[np.ndarray, "row control note"]) -> list[np.ndarray]:
    with ExitStack() as on_failure:
        on_failure.callback(_plant.cache_clear)  # a plant that failed once is not trusted again
        sounds = [_plant(recipe).render(row) for row in rows]
        on_failure.pop_all()
    return sounds


def _hear(
    hearing: Hearing, recipe: Recipe, rows: Float[np.ndarray, "row control note"]
) -> list[np.ndarray]:
    # One by one: the result must not depend on which rows share a chunk.
    rate_hz = _plant(recipe).sample_rate_hz
    return [hear(sound, rate_hz, hearing) for sound in _render(recipe, rows)]
