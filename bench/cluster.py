"""A Ray cluster of two machines against the local pool: throughput, and a machine lost in mid-run.

Both machines of the cluster are this one, with a core each, so this measures what Ray costs, not
what a network does. Vital plays random melodies, 2 s and 5 notes each. Workers are warmed up before
the timing, in wall time; rounds alternate between the contestants, and each one's best time counts.
*Empty* rows cost the workers nothing: they show how many results the calling process can take.

    python bench/cluster.py        # needs mirrornet[ray]; writes results/bench-cluster.json
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

from mirrornet.models.checkpoints import provenance
from mirrornet.plants import Plant
from mirrornet.plants.pool import Pool
from mirrornet.storage import write_atomically
from mirrornet.training.dataset import listen
from mirrornet.training.sampling import random_melodies

RESULT = Path(__file__).parent.parent / "results" / "bench-cluster.json"
MELODIES, EMPTY = 256, 4000
ROUNDS, LOSSES = 3, 5
LOST_AFTER_S = 4.0
SEED = 0


def empty(plant: Plant, rows: np.ndarray) -> list[np.ndarray]:
    """Spectrograms of nothing, one for each row."""
    return [np.zeros((128, 250), np.float32) for _ in rows]


def seconds(work: Callable[[], object]) -> float:
    """Measure the wall time in s."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rates(controls: np.ndarray) -> dict[str, float]:
    """Rows per second of each contestant."""
    pools = {
        (where, workers): Pool("vital", workers, where=where)
        for where in ("local", "ray")
        for workers in (1, 2)
        if (where, workers) != ("ray", 1)  # a cluster of two cores has room for two workers
    }
    best: dict[str, float] = {}
    try:
        _race(pools, controls, best)
        pools.pop(("ray", 2)).close()
        pools["ray", 1] = Pool("vital", 1, where="ray")
        _race({key: pools[key] for key in [("ray", 1), ("local", 1)]}, controls, best)
    finally:
        for pool in pools.values():
            pool.close()
    return best


def _race(pools: dict[tuple[str, int], Pool], controls: np.ndarray, best: dict[str, float]) -> None:
    nothing = np.zeros(EMPTY)
    for pool in pools.values():
        list(pool.hear(controls[:64]))
    for _ in range(ROUNDS):
        for (where, workers), pool in pools.items():
            name = f"{where}, {workers} workers"
            contest: dict[str, tuple[int, Callable[[], Any]]] = {
                name: (MELODIES, lambda pool=pool: list(pool.hear(controls))),
                f"{name}, empty": (
                    EMPTY,
                    lambda pool=pool: sum(1 for _ in pool.map(empty, nothing, 16)),
                ),
            }
            for what, (rows, work) in contest.items():
                best[what] = max(best.get(what, 0.0), rows / seconds(work))


def lost(cluster: Cluster, controls: np.ndarray, wanted: list[bytes]) -> bool:
    """Whether a data set, made while a machine is killed, is the one that the local pool makes."""
    machine = cluster.add_node(num_cpus=1)
    with TemporaryDirectory() as folder, Pool("vital", 2, where="ray") as pool:
        list(pool.hear(controls[:8], chunk=1))
        killer = Timer(LOST_AFTER_S, lambda: cluster.remove_node(machine, allow_graceful=False))
        killer.start()
        listen(pool, controls, folder=Path(folder))
        assert not killer.is_alive(), "all was played before the machine was lost"
        return _shards(Path(folder)) == wanted


def _shards(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]


def main() -> None:
    load_before = os.getloadavg()[0]
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where the workers find `empty`
    with Pool("vital", 2) as pool, TemporaryDirectory() as folder:
        controls = random_melodies(pool.controls, "babble", 2 * MELODIES, SEED)
        listen(pool, controls, folder=Path(folder))
        wanted = _shards(Path(folder))
    began_s = time.perf_counter()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    started_s = time.perf_counter() - began_s
    best = rates(controls[:MELODIES])
    cluster.remove_node(second)
    same = [lost(cluster, controls, wanted) for _ in range(LOSSES)]
    ray.shutdown()
    cluster.shutdown()
    for what, rate in best.items():
        print(f"{what:28} {rate:8.1f} rows/s")
    print(f"A machine lost {LOSSES} times: {sum(same)} data sets identical to the local one.")
    result = {
        "plant": "vital",
        "melodies": MELODIES,
        "empty_rows": EMPTY,
        "rounds": ROUNDS,
        "seed": SEED,
        "ray": ray.__version__,
        "cluster_started_s": round(started_s, 1),
        "rows_per_s": {what: round(rate, 1) for what, rate in best.items()},
        "ray_to_local": {
            key: round(best[f"ray, {key}"] / best[f"local, {key}"], 3)
            for workers in (1, 2)
            for key in (f"{workers} workers", f"{workers} workers, empty")
        },
        "machines_lost": LOSSES,
        "identical_data_sets": sum(same),
        "rows_of_each": len(controls),
        "load_before": round(load_before, 2),
        **provenance(),
    }
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
