"""Throughput of renders and spectrograms of the Vital synthesizer: one worker, and one per core.

Random set-2 melodies, 2 s and 5 notes each. Workers are started and warmed up before the timing, in
wall time; rounds alternate between the contestants, and each one's best time counts. Nothing else
should run on the machine meanwhile: the result records the load before and after.

    python bench/plant.py        # writes results/bench-plant.json
"""

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mirrornet.features import hear
from mirrornet.models.checkpoints import provenance
from mirrornet.plants import load_plant
from mirrornet.plants.pool import Pool
from mirrornet.runtime import usable_cores
from mirrornet.score import MELODY_S
from mirrornet.storage import write_atomically
from mirrornet.training.sampling import random_melodies

RESULT = Path(__file__).parent.parent / "results" / "bench-plant.json"
MELODIES = 256
ROUNDS = 3
SEED = 0
BUSY_LOAD = 0.5  # one-minute load average above which a warning is printed


def seconds(work: Callable[[], object]) -> float:
    """Measure the wall time in s."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    load_before = os.getloadavg()[0]
    if load_before > BUSY_LOAD:
        print(f"The machine is busy (load {load_before:.1f}): wait, or the figures mean little.")
    torch.set_num_threads(1)
    cores = usable_cores()
    plant = load_plant("vital", controls="set2")
    rate_hz = plant.sample_rate_hz
    melodies = random_melodies(plant.controls, "babble", MELODIES, SEED)
    with (
        Pool("vital", workers=1, controls="set2") as one,
        Pool("vital", workers=cores, controls="set2") as all_cores,
    ):
        contestants: dict[tuple[str, int], Callable[[], list]] = {
            ("audio", 0): lambda: [plant.render(melody) for melody in melodies],
            ("audio", 1): lambda: list(one.render(melodies)),
            ("audio", cores): lambda: list(all_cores.render(melodies)),
            ("audio, heard", 0): lambda: [hear(plant.render(row), rate_hz) for row in melodies],
            ("audio, heard", 1): lambda: list(one.hear(melodies)),
            ("audio, heard", cores): lambda: list(all_cores.hear(melodies)),
        }
        for pool in (one, all_cores):
            list(pool.hear(melodies[: 32 * cores]))
        best = dict.fromkeys(contestants, math.inf)
        for _ in range(ROUNDS):
            for name, work in contestants.items():
                best[name] = min(best[name], seconds(work))

    rows = []
    for (work, workers), taken_s in best.items():
        rows.append(
            {
                "work": work,
                "workers": workers,  # 0: in the calling process, without a pool
                "melodies_per_s": round(MELODIES / taken_s, 1),
                "times_real_time": round(MELODIES * MELODY_S / taken_s, 1),
                "times_one_worker": round(best[work, 1] / taken_s, 2),
            }
        )
        print(
            "{work:13} {workers:2d} workers  {melodies_per_s:7.1f} melodies/s  "
            "{times_real_time:6.1f} x real time  {times_one_worker:5.2f} x one worker".format(
                **rows[-1]
            )
        )
    result = {
        "plant": "vital",
        "controls": "set2",
        "melodies": MELODIES,
        "melody_s": MELODY_S,
        "rounds": ROUNDS,
        "seed": SEED,
        "cores": cores,
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "rows": rows,
        **provenance(),
    }
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
