"""Tables of speed, of files in `bench/`."""

from typing import Any

from .cells import Rows


def cochlea_table(bench: dict[str, Any]) -> Rows:
    """Table of front ends: time for a melody on one thread, and its ratio to mirrornet's."""
    rows = [["front end, one thread", "rate (Hz)", "batch", "ms per 2 s melody", "times ours"]]
    for row in bench["rows"]:
        cells = (row[key] for key in ("front_end", "sample_rate_hz", "batch"))
        rows.append([*map(str, cells), f"{row['ms_per_melody']:.1f}", f"{row['times_ours']:.1f}"])
    return rows


def plant_table(bench: dict[str, Any]) -> Rows:
    """Table of the speed of rendering and of spectrograms, with and without worker processes."""
    rows = [["the synthesizer", "workers", "melodies per s", "times real time", "times one worker"]]
    for row in bench["rows"]:
        workers = str(row["workers"] or "none")
        numbers = (row[k] for k in ("melodies_per_s", "times_real_time", "times_one_worker"))
        rows.append([row["work"], workers, *map(str, numbers)])
    return rows


def matching_table(bench: dict[str, Any]) -> Rows:
    """Table of the time and memory that `mirrornet match` takes, by length of the recording."""
    rows = [["recording (s)", "notes", "heard (s)", "written (s)", "all CPU (s)"]]
    rows[0] += ["matching (CPU s)", "memory (MB)"]
    for row in bench["rows"]:
        keys = ("length_s", "notes", "heard_s", "took_s", "cpu_s", "matching_cpu_s", "memory_mb")
        rows.append([f"{row[key]:,}" for key in keys])
    return rows


def studio_table(bench: dict[str, Any]) -> Rows:
    """Table of the studio's times: median and 95th percentile."""
    rows = [["from", "p50", "p95", "times"]]
    for row in bench["rows"]:
        rows.append([row["what"], f"{row['p50']:.3g}", f"{row['p95']:.3g}", str(row["moves"])])
    return rows


def cluster_table(bench: dict[str, Any]) -> Rows:
    """Table of the throughput of a pool on a cluster, beside that of the local pool."""
    rows = [["rows per s", "local", "cluster", "cluster / local"]]
    for key, ratio in bench["ray_to_local"].items():
        both = (bench["rows_per_s"][f"{where}, {key}"] for where in ("local", "ray"))
        what = key.replace("1 workers", "1 worker")
        rows.append([what, *(f"{rate:,.0f}" for rate in both), f"{ratio:.2f}"])
    return rows
