"""CPU time of the auditory front end: ours, a port of `wav2aud` to scipy's lfilter, and naplib.

One thread. 2 s of noise per melody, batches of 1 and 64, single precision for ours; the other two
support neither batches nor single precision, so they process one melody after another in double
precision. naplib supports 16 kHz only. Times are CPU times of the thread, so that other work on the
machine matters little; rounds alternate between the contestants, and each one's best time counts.

    python bench/cochlea.py [--with-naplib]        # writes results/bench-cochlea.json
"""

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from scipy.signal import lfilter

from mirrornet.cochlea import Cochlea
from mirrornet.storage import write_atomically

RESULT = Path(__file__).parent.parent / "results" / "bench-cochlea.json"
MELODY_S = 2
ROUNDS = {1: 20, 64: 3}  # for each batch size


def scipy_port(sample_rate_hz: int) -> Callable[[np.ndarray], np.ndarray]:
    """`wav2aud` as published: each filter as a recursion, channel by channel from the highest."""
    with files("mirrornet").joinpath("data/cochlear_filters.npz").open("rb") as file:
        stored = np.load(file)
        filters = [
            (np.trim_zeros(b, "b"), np.trim_zeros(a, "b"))
            for b, a in zip(stored["numerator"], stored["denominator"], strict=True)
        ]
    samples_per_ms = sample_rate_hz / 1000
    frame, leak = round(8 * samples_per_ms), math.exp(-1 / (8 * samples_per_ms))

    def spectrogram(x: np.ndarray) -> np.ndarray:
        v = np.empty((128, len(x) // frame))
        above = np.asarray(lfilter(*filters[128], x))
        for channel in range(127, -1, -1):
            y = np.asarray(lfilter(*filters[channel], x))
            v[channel] = lfilter([1], [1, -leak], np.maximum(y - above, 0))[frame - 1 :: frame]
            above = y
        return v

    return spectrogram


def naplib_or_none() -> Callable[[np.ndarray], np.ndarray] | None:
    """naplib's front end at 16 kHz; None if naplib is not installed."""
    try:
        from naplib.features import auditory_spectrogram  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return lambda x: auditory_spectrogram(x, 16000, frame_len=8, tc=8, factor="linear").T


def seconds(work: Callable[[], object]) -> float:
    """Measure the CPU time of this thread in s."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--with-naplib", action="store_true", help="compare with naplib as well")
    naplib = naplib_or_none() if parser.parse_args().with_naplib else None
    if naplib is None:
        print("naplib is left out: it needs --with-naplib, and pip install naplib.")

    torch.set_num_threads(1)
    rows = []
    for sample_rate_hz in (8000, 16000):
        melodies = np.random.default_rng(0).standard_normal(
            (max(ROUNDS), MELODY_S * sample_rate_hz)
        )
        cochlea = Cochlea(sample_rate_hz=sample_rate_hz)
        peers = {"scipy lfilter": scipy_port(sample_rate_hz)}
        if naplib is not None and sample_rate_hz == 16000:
            peers["naplib"] = naplib
        ours = cochlea(torch.tensor(melodies[0])).numpy()
        for name, peer in peers.items():
            error = abs(ours - peer(melodies[0])).max() / ours.max()
            if error > 1e-6:  # naplib returns single precision
                raise RuntimeError(f"{name} computes something else: they differ by {error:.1e}.")

        for batch, rounds in ROUNDS.items():
            sounds = melodies[:batch]
            tensor = torch.tensor(sounds, dtype=torch.float32)

            def hear(tensor: torch.Tensor = tensor, cochlea: Cochlea = cochlea) -> None:
                with torch.inference_mode():
                    cochlea(tensor)

            contestants = {"mirrornet": hear} | {
                name: lambda peer=peer, sounds=sounds: [peer(sound) for sound in sounds]
                for name, peer in peers.items()
            }
            best = dict.fromkeys(contestants, math.inf)
            for _ in range(rounds):
                for name, work in contestants.items():
                    best[name] = min(best[name], seconds(work))
            for name, taken_s in best.items():
                rows.append(
                    {
                        "front_end": name,
                        "sample_rate_hz": sample_rate_hz,
                        "batch": batch,
                        "ms_per_melody": round(1000 * taken_s / batch, 2),
                        "times_ours": round(taken_s / best["mirrornet"], 2),
                    }
                )
                print("{front_end:14} {sample_rate_hz:6d} Hz  batch {batch:3d}  "
                      "{ms_per_melody:7.2f} ms per melody  {times_ours:6.2f} x ours"
                      .format(**rows[-1]))  # fmt: skip

    result = {
        "melody_s": MELODY_S,
        "threads": 1,
        "rounds": ROUNDS,
        "clock": "processor time of the thread",
        "torch": torch.__version__,
        "machine": platform.machine(),
        "rows": rows,
    }
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
