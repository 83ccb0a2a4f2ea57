"""Time and memory of `mirrornet match`, from the start of the process to its end.

One process, one core, no refinement; tunes of the Vital synthesizer with plain patches, more of
them in a longer recording. Nothing else should run on the machine meanwhile.

    python bench/matching.py        # writes results/bench-matching.json
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from mirrornet.audio import save_audio
from mirrornet.experiments.material import RATE_HZ, plain_phrases
from mirrornet.matching.match import match
from mirrornet.models.checkpoints import provenance
from mirrornet.storage import write_atomically

RESULT = Path(__file__).parent.parent / "results" / "bench-matching.json"
LENGTHS_S = (2, 60, 600)
SEED = 1
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> None:
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    tunes = np.concatenate([tune.sound for tune in plain_phrases(SEED)])
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            save_audio(Path(folder) / f"{s}.wav", np.resize(tunes, s * RATE_HZ), RATE_HZ)
            for s in LENGTHS_S
        ]
        rows = [measured(path, path.with_suffix("")) for path in paths]
        match(paths[0])  # loads the model and the plant
        for path, length_s, row in zip(paths, LENGTHS_S, rows, strict=True):
            row |= {"length_s": length_s, "matching_cpu_s": matching_cpu_s(path)}
            print(row)
    result = {"seed": SEED, "load_before": round(load_before, 2), "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print(f"Written to {RESULT}.")


def measured(sound: Path, out: Path) -> dict[str, float]:
    """Run `mirrornet match` in a process of its own; measure the time until it prints the notes and
    until it ends, CPU time and peak memory."""
    command = [sys.executable, "-P", "-m", "mirrornet", "match", str(sound), "--out", str(out)]
    start_s = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_CORE
    )
    assert process.stdout
    said = (time.perf_counter() for line in process.stdout if line.startswith("Heard:"))
    heard_s = next(said, start_s)
    process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(status)
    return {
        "notes": len(json.loads((out / "controls.json").read_text())["notes"]),
        "heard_s": round(heard_s - start_s, 1),
        "took_s": round(time.perf_counter() - start_s, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "memory_mb": round(used.ru_maxrss / 1e3),
    }


def matching_cpu_s(sound: Path) -> float:
    """Measure the CPU time in s of `mirrornet.match` alone, with everything loaded."""
    start_s = time.process_time()
    match(sound)
    return round(time.process_time() - start_s, 1)


if __name__ == "__main__":
    main()
