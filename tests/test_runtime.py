"""What a process may use, as the machine and its containers tell."""

from pathlib import Path

import pytest

from mirrornet import runtime
from mirrornet.runtime import free_memory, usable_cores

CORES = 8
GB = 10**9


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch) -> Path:
    """A machine with 8 cores and 16 GB free, and no container."""
    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda _: set(range(CORES)), raising=False)
    for name in ("MEMORY", "CGROUP", "CGROUPS"):
        monkeypatch.setattr(runtime, name, tmp_path / name)
    (tmp_path / "MEMORY").write_text(
        f"MemTotal: 99999999 kB\nMemFree: 1 kB\nMemAvailable: {16 * GB // 1024} kB\n"
    )
    return tmp_path


def contain(here: Path, groups: str, files: dict[str, str]) -> None:
    """What the kernel tells of containers; v1 has a folder for each kind, `cpu/` and `memory/`."""
    (here / "CGROUP").write_text(groups)
    for name, text in files.items():
        file = here / "CGROUPS" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")


def test_without_a_container(here):
    assert usable_cores() == CORES
    assert free_memory() == pytest.approx(16 * GB, rel=1e-6)


def test_where_nothing_can_be_told(here, monkeypatch):
    (here / "MEMORY").unlink()
    monkeypatch.delattr(runtime.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(runtime.os, "cpu_count", lambda: None)
    assert (usable_cores(), free_memory()) == (1, float("inf"))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", CORES),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("9900000 100000", CORES),
        ("", CORES),
    ],
)
def test_cores_of_a_container(here, quota, cores):
    contain(here, "0::/\n", {"cpu.max": quota})
    assert usable_cores() == cores


def test_the_least_of_the_groups_around_counts(here):
    contain(here, "0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"})
    assert usable_cores() == 3


@pytest.mark.parametrize(("path", "place"), [("/", ""), ("/docker/1", ""), ("/x", "x/")])
def test_cgroup_v1(here, path, place):
    """Inside a container its own group may stand at the top, whatever it is called outside."""
    groups = f"4:memory:{path}\n3:cpu,cpuacct:{path}\n1:name=systemd:{path}\n0::{path}\n"
    contain(
        here,
        groups,
        {
            f"cpu/{place}cpu.cfs_quota_us": "250000",
            f"cpu/{place}cpu.cfs_period_us": "100000",
            f"memory/{place}memory.limit_in_bytes": str(3 * GB),
            f"memory/{place}memory.usage_in_bytes": str(2 * GB),
            f"memory/{place}memory.stat": "cache 5\ntotal_inactive_file 500000000",
        },
    )
    assert usable_cores() == 3
    assert free_memory() == 1.5 * GB


def test_no_limits_of_cgroup_v1(here):
    contain(
        here,
        "4:memory:/\n3:cpu:/\n",
        {
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/memory.usage_in_bytes": "1000",
        },
    )
    assert usable_cores() == CORES
    assert free_memory() == pytest.approx(16 * GB, rel=1e-6)


def test_files_that_a_container_keeps_in_memory_are_free(here):
    contain(
        here,
        "0::/\n",
        {
            "memory.max": str(4 * GB),
            "memory.current": str(4 * GB),
            "memory.stat": "anon 1\ninactive_file 3000000000\nactive_file 5",
        },
    )
    assert free_memory() == 3 * GB


def test_what_may_not_be_read_says_nothing(tmp_path, monkeypatch):
    (tmp_path / "cgroup").mkdir()  # as unreadable as a file can be, for every user
    monkeypatch.setattr(runtime, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(runtime, "MEMORY", tmp_path / "cgroup")
    assert usable_cores() >= 1
    assert free_memory() == float("inf")
