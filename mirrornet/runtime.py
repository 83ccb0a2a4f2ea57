"""The process we work in: the cores and the memory it may use, and settings that are its own.

In a container both may be less than the machine has. Of torch, numpy and warnings the program
around us has settings of its own; while we work, ours hold.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Generic, TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

MEMORY = Path("/proc/meminfo")
CGROUP = Path("/proc/self/cgroup")  # in which control groups this process is
CGROUPS = Path("/sys/fs/cgroup")  # where these are described

Thing = TypeVar("Thing")


def usable_cores() -> int:
    """How many cores this process may use: those it may run on, and no more than the share of time
    that its container has."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min([cores, *_quotas()])))


def free_memory() -> float:
    """How many bytes this process may still take, from the machine and from its container;
    infinite where it cannot be told."""
    words = _words(MEMORY)
    free = [1024 * int(words[words.index("MemAvailable:") + 1])] if words else []
    return min([math.inf, *free, *_left()])


def _quotas() -> Iterator[float]:
    """Of each group, how many cores' time it may take; as cgroup v2 says it, or v1."""
    for group in _groups("cpu"):
        names = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
        match [word for name in names for word in _words(group / name)]:
            case [quota, period] if quota.isdecimal():
                yield int(quota) / int(period)


def _left() -> Iterator[int]:
    """Of each group, the memory it has left. What it keeps of files can be had back."""
    for group in _groups("memory"):
        names = ("memory.max", "memory.limit_in_bytes", "memory.current", "memory.usage_in_bytes")
        match [word for name in names for word in _words(group / name)]:
            case [limit, used] if limit.isdecimal():
                words = _words(group / "memory.stat")
                kept = dict(zip(words[::2], words[1::2], strict=False))
                files = kept.get("total_inactive_file", kept.get("inactive_file", 0))
                yield int(limit) - int(used) + int(files)


def _groups(controller: str) -> Iterator[Path]:
    """The groups that hold this process, the inmost first. Inside a container only the outer ones
    of those may be there to see."""
    for line in _read(CGROUP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):  # of v2, of v1
            top = CGROUPS / controller if controllers else CGROUPS
            group = top / path.lstrip("/")
            yield group
            yield from (parent for parent in group.parents if parent.is_relative_to(top))


def _words(file: Path) -> list[str]:
    return _read(file).split()


def _read(file: Path) -> str:
    """Nothing, where there is no such file here, or it is not for everyone."""
    try:
        return file.read_text()
    except OSError:
        return ""


class Shared(Generic[Thing]):
    """A context manager that any number of threads may be inside of: the first to come in enters
    what `make` makes, and the last to go out leaves it."""

    def __init__(self, make: Callable[[], AbstractContextManager[Thing]]):
        self._make, self._lock, self._inside = make, RLock(), 0

    def __enter__(self) -> Thing:
        with self._lock:
            if not self._inside:
                self._context = self._make()
                self._thing = self._context.__enter__()
            self._inside += 1
            return self._thing

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._context.__exit__(None, None, None)


@contextmanager
def own_settings() -> Iterator[None]:
    """Inside, all behaves as where nothing was set: float32 tensors on the CPU, gradients where
    they are asked for, no word on numbers that are too small, and warnings that are no errors. What
    the caller had set holds again outside.

    The default dtype and what becomes of warnings belong to the process: where they are others,
    they change for all its threads.
    """
    with ExitStack() as ours:
        ours.enter_context(np.errstate(all="ignore"))
        ours.enter_context(torch.inference_mode(False))  # and with it, gradients
        ours.enter_context(torch.autocast("cpu", enabled=False))
        if torch.get_default_device().type != "cpu":
            ours.enter_context(torch.device("cpu"))
        ours.enter_context(_FLOAT32)
        ours.enter_context(_WARNINGS)
        yield


@contextmanager
def _float32() -> Iterator[None]:
    theirs = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(theirs)


def _warnings() -> AbstractContextManager[object]:
    errors = any(action == "error" for action, *_ in warnings.filters)
    return warnings.catch_warnings(action="default") if errors else nullcontext()


_FLOAT32, _WARNINGS = Shared(_float32), Shared(_warnings)
# The products in refinement are too small for more threads, which would wait for each other.
ONE_THREAD = Shared(lambda: threadpool_limits(1, "blas"))
