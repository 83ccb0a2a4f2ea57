"""How fast the studio is, measured in its page: from a dropped file to the plant's sound, and from
a moved knob to the predicted spectrogram and to the sound.

Chromium, driven by Playwright, and a studio, on the same machine; nothing else should run on it.
Phrases of the General MIDI flute, with a wavetable and with knobs.

    python bench/studio.py        # writes results/bench-studio.json; 10 minutes on two cores
"""

import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Page, sync_playwright

from mirrornet.app.console import print_table
from mirrornet.experiments.material import RATE_HZ, instrument_phrases
from mirrornet.models.checkpoints import provenance
from mirrornet.storage import write_atomically

RESULT = Path(__file__).parent.parent / "results" / "bench-studio.json"
FLUTE, SEED = 73, 5
DROPPED_S = (2.0, 30.0)
DROPS = 3
SHAPED_S = 4.0
MOVES = 20
SHOWN = {"predict": "prediction", "play": "sound"}
LAST_PART_MS = 2500  # wait after the first part, until the last one has come
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TIMEOUT_MS = 300_000


@contextmanager
def studio() -> Iterator[str]:
    """The address of a studio in a process of its own, whose workers are ready."""
    command = [sys.executable, "-m", "mirrornet", "studio", "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        time.sleep(30)  # workers get ready
        try:
            yield found.group()
        finally:
            process.terminate()


def phrase(length_s: float) -> bytes:
    """A WAV file of phrases one after the other."""
    sounds = (one.sound for one in instrument_phrases(FLUTE, SEED))
    whole = np.zeros(0, np.float32)
    while len(whole) < length_s * RATE_HZ:
        whole = np.concatenate([whole, next(sounds)])
    file = io.BytesIO()
    soundfile.write(file, whole[: round(length_s * RATE_HZ)], RATE_HZ, format="WAV")
    return file.getvalue()


def drop(page: Page, sound: bytes, timbre: str) -> float:
    """Give the page a sound; the time in s until the plant's sound can be heard."""
    if page.is_visible("#again"):
        page.click("#again")
    page.select_option("#timbre", timbre)
    began_s = time.perf_counter()
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": sound})
    page.wait_for_selector("#patch-controls .control", timeout=TIMEOUT_MS)
    took_s = time.perf_counter() - began_s
    page.wait_for_selector(
        "#progress", state="hidden", timeout=TIMEOUT_MS
    )  # the wavetable is there
    return took_s


def moves(page: Page, knob: str) -> dict[str, list[float]]:
    """Times in ms from moves of a knob to what the page then shows, and plays, of all of it."""
    found: dict[str, list[float]] = {"predict": [], "play": []}
    at = float(page.locator(f"#control-patch-{knob}").input_value())
    key = "ArrowLeft" if at > 0.5 else "ArrowRight"  # away, as what was played before is kept
    for _ in range(MOVES):
        for kind in found:
            page.evaluate(f"() => {{ document.getElementById('{kind}-time').textContent = '' }}")
        page.focus(f"#control-patch-{knob}")
        page.keyboard.press(key)
        for kind in found:
            page.wait_for_selector(f"#{kind}-time:has-text('ms')", timeout=TIMEOUT_MS)
        page.wait_for_timeout(LAST_PART_MS)
        for kind, times in found.items():
            times.append(float(page.inner_text(f"#{kind}-time").split()[0]))
    return found


def summary(times: list[float]) -> dict[str, float]:
    return {"p50": median(times), "p95": float(np.quantile(times, 0.95)), "moves": len(times)}


def main() -> None:
    rows: list[dict[str, Any]] = []
    with studio() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(address)
        page.wait_for_selector("#examples button", timeout=TIMEOUT_MS)
        drop(page, phrase(DROPPED_S[0]), "")  # warm
        for length_s in DROPPED_S:
            times = [drop(page, phrase(length_s), "") for _ in range(DROPS)]
            rows.append({"what": f"drop of {length_s:g} s to sound (s)", **summary(times)})
            print(rows[-1], flush=True)
        for timbre, knob in (("knobs", "cutoff"), ("wavetable", "release")):
            drop(page, phrase(SHAPED_S), timbre)
            for kind, times in moves(page, knob).items():
                rows.append({"what": f"{timbre}: {knob} to {SHOWN[kind]} (ms)", **summary(times)})
                print(rows[-1], flush=True)
        browser.close()
    result = {"seed": SEED, "shaped_s": SHAPED_S, "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(
        [["", "p50", "p95"], *([r["what"], f"{r['p50']:.3g}", f"{r['p95']:.3g}"] for r in rows)]
    )
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
