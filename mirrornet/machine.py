"""What this process may use of the machine: cores and memory, in a container too."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/proc/meminfo")
CGROUP = Path("/proc/self/cgroup")  # in which control groups this process is
CGROUPS = Path("/sys/fs/cgroup")  # where these are described


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
