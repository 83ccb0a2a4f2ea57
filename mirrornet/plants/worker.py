"""A worker: a process of its own that does one task with a plant at a time, for a pool.

A worker that dies affects no other: each has its own process and its own pipe. `Processes` starts
them on this machine; `cluster.py` starts workers that do the same on the machines of a cluster.
"""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import ControlError, PlantError
from ..runtime import Shared, usable_cores
from .base import Plant

MEMORY_BYTES = 4 << 30  # that a plant may take; what goes beyond fails (Linux only)

# Spawned, not forked: a fork does not copy the parent's torch threads.
SPAWN = multiprocessing.get_context("spawn")


@dataclass(eq=False)
class Task:
    """A function `work(plant, rows)` of some module, and the rows."""

    work: Callable
    rows: Any
    answer: Any = None
    """What `work` returned, or a PlantError; None until then."""
    lost: int = 0
    """How many machines failed while they did it."""


class Worker(Protocol):
    """The pool's side of one worker."""

    task: Task | None
    """What it does now; None if it is free. A new worker is not free until it has started."""
    used: bool
    """Whether it has been given a task."""

    def take(self, task: Task, timeout_s: float) -> None:
        """Begin a task."""
        ...

    def listen(self) -> bool:
        """Receive an answer, if any. False if the worker crashed or hung, or its machine did: it is
        stopped. Its task is answered by a PlantError, unless the machine is to blame."""
        ...

    def stop(self) -> None:
        """End it at once, busy or not."""
        ...


class Workers(Protocol):
    """Starts workers somewhere."""

    cores: int
    """How many can work at once."""

    def start(self, make: Callable[..., Plant]) -> Worker:
        """A new worker with the plant that `make` returns."""
        ...

    def wait(self, workers: Sequence[Any], timeout_s: float) -> None:
        """Wait until one of these busy workers has something to say."""
        ...


class Processes:
    """Starts worker processes on this machine."""

    def __init__(self) -> None:
        self.cores = usable_cores()

    def start(self, make: Callable[..., Plant]) -> "Process":
        return Process(make)

    def wait(self, workers: Sequence["Process"], timeout_s: float) -> None:
        connection.wait([worker.pipe for worker in workers], timeout_s)


class Process:
    """The pool's side of a worker process on this machine; see `Worker`."""

    def __init__(self, make: Callable[..., Plant]):
        self.pipe, theirs = SPAWN.Pipe()
        self.task: Task | None = Task(start, ())
        self.used = False
        self._timeout_s = self._deadline_s = math.inf  # the machine may be slow to start a process
        self._process = SPAWN.Process(target=_serve, args=(theirs, make), daemon=True)
        with SAFE_PATH, interrupts_held():
            self._process.start()
        theirs.close()

    def take(self, task: Task, timeout_s: float) -> None:
        self.task, self._timeout_s, self.used = task, timeout_s, True
        self._deadline_s = time.monotonic() + timeout_s
        with suppress(OSError):  # the worker died idle: `listen` reports it
            self.pipe.send((task.work, task.rows))

    def listen(self) -> bool:
        """Receive an answer, if any. False if the worker crashed or hung: it is stopped."""
        if (task := self.task) is None:
            return True
        try:
            if self.pipe.poll():
                task.answer, self.task = self.pipe.recv(), None
                return True
            if time.monotonic() < self._deadline_s:
                return True
            reason = f"no answer within {self._timeout_s:g} s."
        except (EOFError, OSError):
            self._process.join(1)
            reason = f"its process ended with exit code {self._process.exitcode}."
        self.stop()
        if task.work is start:
            raise PlantError(
                "a worker could not start; see its error above. A script must start a pool under "
                '`if __name__ == "__main__":`.'
            )
        task.answer = PlantError(reason)
        return False

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


@contextmanager
def _safe_path() -> Iterator[None]:
    """A Python process started within imports nothing from the current folder; otherwise it would,
    until it receives the pool's `sys.path`. Processes that a plant starts inherit this."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before


SAFE_PATH = Shared(_safe_path)  # the environment belongs to the process


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A process started within never receives SIGINT (Ctrl-C), which the pool handles."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# Everything below runs in the workers.


class Player:
    """Does tasks with the plant that `make` returns, in a process that serves a pool."""

    def __init__(self, make: Callable[..., Plant]):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool handles Ctrl-C
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # standard output is the caller's
        torch.set_num_threads(1)
        limit_memory()
        self._make = make
        self._plant: Plant | None = None

    def do(self, work: Callable, rows: Any) -> Any:
        """What `work(plant, rows)` returns; a PlantError if the plant fails."""
        try:
            self._plant = self._plant or self._make()
            if self._plant.foreign:  # whatever it prints
                os.dup2(1, 2)
            return work(self._plant, rows)
        except ControlError as error:  # the plant must not play this row
            return PlantError(str(error))
        except PlantError as error:
            self._plant = None  # after a failure, the plant is made anew
            return error


def _serve(pipe: connection.Connection, make: Callable[..., Plant]) -> None:
    """The main loop of a worker process: tasks until the pool closes the pipe."""
    player = Player(make)
    threading.Thread(target=_end_with_the_pool, daemon=True).start()
    with suppress(EOFError, BrokenPipeError):
        pipe.send("ready")
        while True:
            pipe.send(player.do(*pipe.recv()))


def limit_memory() -> None:
    """Let allocations of more than `MEMORY_BYTES` from here on fail, where the system can."""
    used = Path("/proc/self/statm")
    if not used.is_file():
        return
    import resource  # not on Windows

    data_bytes = int(used.read_text().split()[5]) * resource.getpagesize()
    soft, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = data_bytes + MEMORY_BYTES
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _end_with_the_pool() -> None:
    """End the worker when the pool's process ends, even if the plant hangs."""
    if pool := multiprocessing.parent_process():
        pool.join()
        os._exit(1)


def start(plant: Plant, rows: Any) -> None:
    """Stands for the start of a worker, its first task; never called."""
