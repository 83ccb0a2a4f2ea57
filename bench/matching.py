"""How long `mirrornet match` takes, and how much memory, from its start to its last file.

One process, one core, no refinement; tunes of the Vital synthesizer with plain patches, of which a
longer recording holds more. Nothing else should run on the machine meanwhile.

    python bench/matching.py        # writes results/bench-matching.json
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mirrornet.audio import save_audio
from mirrornet.checkpoints import provenance
from mirrornet.experiments.material import RATE_HZ, plain_phrases
from mirrornet.files import write_atomically

RESULT = Path(__file__).parent.parent / "results" / "bench-matching.json"
LENGTHS_S = (2, 60, 600)
SEED = 1
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> None:
    load_before = os.getloadavg()[0]
    tunes = np.concatenate([tune.sound for tune in plain_phrases(SEED)])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for length_s in LENGTHS_S:
            sound = np.resize(tunes, length_s * RATE_HZ)
            path = save_audio(Path(folder) / f"{length_s}.wav", sound, RATE_HZ)
            rows.append({"length_s": length_s, **measured(path, Path(folder) / str(length_s))})
            print(rows[-1])
    result = {"seed": SEED, "load_before": round(load_before, 2), "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print(f"Written to {RESULT}.")


def measured(sound: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "mirrornet", "match", str(sound), "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | ONE_CORE) as process:
        highest_kb = watched(process)
    took_s = time.perf_counter() - start_s
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    notes = json.loads((out / "controls.json").read_text())["notes"]
    return {
        "notes": len(notes),
        "took_s": round(took_s, 1),
        "cpu_s": round(cpu_s, 1),
        "memory_mb": round(highest_kb / 1e3),
    }


def watched(process: subprocess.Popen) -> int:
    """The most memory that the process held, in kB, once it has ended."""
    highest_kb = 0
    while process.poll() is None:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                highest_kb = int(line.split()[1])
        time.sleep(0.02)
    return highest_kb


if __name__ == "__main__":
    main()
