"""The process: cores and memory it may use, and library settings that apply during our work.

A container may have fewer cores and less memory than the machine. The calling program has its own
settings of torch, numpy and warnings; ours apply while this package works.
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
CGROUP = Path("/proc/self/cgroup")  # the control groups of this process
CGROUPS = Path("/sys/fs/cgroup")  # their files

Thing = TypeVar("Thing")


def usable_cores() -> int:
    """The number of cores this process may use: its CPU affinity, limited by the CPU quota of its
    container (rounded up)."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min([cores, *_quotas()])))


def free_memory() -> float:
    """The bytes that this process may still allocate, limited by the machine and its container;
    infinite where that is unknown."""
    words = _words(MEMORY)
    free = [1024 * int(words[words.index("MemAvailable:") + 1])] if words else []
    return min([math.inf, *free, *_left()])


def _quotas() -> Iterator[float]:
    """The CPU quota of each control group in cores, in the form of cgroup v2 or v1."""
    for group in _groups("cpu"):
        names = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")
        match [word for name in names for word in _words(group / name)]:
            case [quota, period] if quota.isdecimal():
                yield int(quota) / int(period)


def _left() -> Iterator[int]:
    """The bytes left to each control group. Its inactive file cache counts as free."""
    for group in _groups("memory"):
        names = ("memory.max", "memory.limit_in_bytes", "memory.current", "memory.usage_in_bytes")
        match [word for name in names for word in _words(group / name)]:
            case [limit, used] if limit.isdecimal():
                words = _words(group / "memory.stat")
                kept = dict(zip(words[::2], words[1::2], strict=False))
                files = kept.get("total_inactive_file", kept.get("inactive_file", 0))
                yield int(limit) - int(used) + int(files)


def _groups(controller: str) -> Iterator[Path]:
    """The control groups of this process, innermost first. In a container only the outer ones may
    be visible."""
    for line in _read(CGROUP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):  # cgroup v2, v1
            top = CGROUPS / controller if controllers else CGROUPS
            group = top / path.lstrip("/")
            yield group
            yield from (parent for parent in group.parents if parent.is_relative_to(top))


def _words(file: Path) -> list[str]:
    return _read(file).split()


def _read(file: Path) -> str:
    """The text of a file; empty if there is none, or it is not readable."""
    try:
        return file.read_text()
    except OSError:
        return ""


class Shared(Generic[Thing]):
    """A context manager shared by any number of threads: the first thread in enters the context
    that `make` returns, and the last one out exits it."""

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
    """Apply default library settings within the context: float32 tensors on the CPU, no autocast,
    gradients where requested, numpy floating-point errors ignored, warnings that do not raise.
    The caller's settings are restored at the end.

    The default dtype and the warning filters belong to the process: where they differ from ours,
    they change for all its threads.
    """
    with ExitStack() as ours:
        ours.enter_context(np.errstate(all="ignore"))
        ours.enter_context(torch.inference_mode(False))  # also enables gradients
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
# The matrix products in refinement are small: more threads would only wait for each other.
ONE_THREAD = Shared(lambda: threadpool_limits(1, "blas"))
