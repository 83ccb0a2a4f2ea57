"""Probing of a plug-in: what its parameters are, which are audible, and what makes it pure.

`probe` starts this module as a process of its own, since a plug-in may crash, hang or print. The
finding becomes a first control map (`plugin_draft.py`), which a human completes.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PlantError
from .plugin import BLOCK, INSTALL, own_parameters

RATE_HZ = 44100
TEXTS = 101  # values of each parameter whose texts are read
KEY, VELOCITY, GATE_S, LISTENED_S = 60, 100, 0.5, 0.8
KEYS = (36, 79, 55)  # of notes of random patches
SCALE = (48, 55, 60, 67, 72)  # keys that are played to hear what sounds
SOFT, LOUD = 40, 120  # velocities that are compared
SETTLING_S, APART_BLOCKS = 0.03, 24
COUNTS = (0, 1, 2, 3, 4, 6, 8)  # of settling notes that are tried
SAME = 1e-6  # largest difference of samples that counts as none
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a parameter, to hear whether it does anything
CONTEXTS = 2  # random patches in which parameters are heard, besides the one that is loaded
OTHERS = 12  # random patches of either reach, which must sound the same in any order
NEAR, ANYWHERE = 0.25, 1.0  # how far random ones are from it
FLOOR_DB, HEARD_DB = 0.02, 0.1  # repeatable contexts, and audible changes
TIMEOUT_S = 300.0


def probe(path: Path, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Probe the plug-in at `path`, in a process of its own.

    Returns a dictionary with `name`, `count` (of parameters without those for MIDI controllers),
    `settling_notes` (the least that help), `repeated` (how many of `played` notes repeat
    themselves with them), `velocity_db` (how much the colour of a note changes with its velocity),
    `scale` (the sounds of the keys `SCALE`, at `RATE_HZ`, as loaded) and `parameters`, each with
    `index`, `name`, `label`, `value` (as loaded), `texts` (for 101 values), `heard_db` and `pure`.

    Raises PlantError if it crashes, hangs, or is no instrument.
    """
    if not path.exists():
        raise PlantError(f"there is no plug-in {path}; check the path.")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        # The child has this process's import path: the current folder is not on it unless on ours.
        places = ascii([str(place) for place in sys.path])
        program = f"import sys; sys.path[:] = {places}; from {__name__} import main; main()"
        command = [sys.executable, "-P", "-c", program, str(path.resolve()), str(out)]
        try:
            code = subprocess.run(
                command, timeout=timeout_s, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise PlantError(f"{path} gave no answer within {timeout_s:g} s.") from error
        if not out.is_file():
            raise PlantError(f"{path} ended its process with exit code {code} while it was probed.")
        found = json.loads(out.read_text())
        if (scale := _scale_file(out)).is_file():
            found["scale"] = np.load(scale)
    if problem := found.get("problem"):
        raise PlantError(problem)
    return found


class _Probed:
    """A plug-in under test."""

    def __init__(self, path: str):
        dawdreamer = import_module("dawdreamer")
        self._engine = dawdreamer.RenderEngine(RATE_HZ, BLOCK)
        self._plugin = self._engine.make_plugin_processor("plugin", path)
        self._engine.load_graph([(self._plugin, [])])
        self._places = own_parameters(self._plugin)
        names = map(self._plugin.get_parameter_name, self._places)
        self.names = dict(enumerate(names))
        self.loaded = {
            n: float(self._plugin.get_parameter(at)) for n, at in enumerate(self._places)
        }
        labels = {d["index"]: d["label"] for d in self._plugin.get_parameters_description()}
        self.labels = {n: labels.get(at, "") for n, at in enumerate(self._places)}
        self.settling = 0

    def _set(self, index: int, value: float) -> None:
        self._plugin.set_parameter(self._places[index], value)

    def texts(self, index: int) -> list[str]:
        found = []
        for value in np.linspace(0, 1, TEXTS):
            self._set(index, float(value))
            found.append(self._plugin.get_parameter_text(self._places[index]).strip())
        self._set(index, self.loaded[index])
        return found

    def play(
        self, values: dict[int, float], key: int = KEY, velocity: int = VELOCITY
    ) -> np.ndarray:
        for index, value in values.items():
            self._set(index, value)
        self._plugin.clear_midi()
        apart_s = APART_BLOCKS * BLOCK / RATE_HZ
        for number in range(self.settling):
            self._plugin.add_midi_note(key, velocity, number * apart_s, SETTLING_S)
        start_s = self.settling * apart_s
        self._plugin.add_midi_note(key, velocity, start_s, GATE_S)
        self._engine.render(start_s + LISTENED_S)
        return self._plugin.get_audio().mean(0)[round(start_s * RATE_HZ) :]


def _scale_file(out: Path) -> Path:
    return out.with_suffix(".npy")


def _difference_db(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two spectra in dB, where either is within 60 dB of its peak."""
    a, b = (np.abs(np.fft.rfft(x[: len(x) // 2048 * 2048].reshape(-1, 2048))) for x in (one, other))
    top = max(a.max(), b.max())
    if top == 0:
        return 0.0
    a, b = (20 * np.log10(np.maximum(x / top, 1e-3)) for x in (a, b))
    loud = (a > -60) | (b > -60)
    return float(np.abs(a - b)[loud].mean()) if loud.any() else 0.0


def _colour_db(one: np.ndarray, other: np.ndarray) -> float:
    """The difference of two sounds beside their loudness."""
    peaks = (max(float(np.abs(x).max()), 1e-9) for x in (one, other))
    return _difference_db(*(x / peak for x, peak in zip((one, other), peaks, strict=True)))


def _find(path: str, scale: Path) -> dict[str, Any]:
    probed = _Probed(path)
    if np.abs(probed.play(probed.loaded)).max() < 1e-5:
        return {"problem": f"{path} is silent as it is loaded; is it an instrument?"}
    texts = {index: probed.texts(index) for index in probed.names}
    moved = {index: 0.3 if probed.loaded[index] > 0.5 else 0.7 for index in probed.names}

    others = _contexts(probed, texts, OTHERS, NEAR) + _contexts(probed, texts, OTHERS, ANYWHERE)

    keyed = [(other, KEYS[number % len(KEYS)]) for number, other in enumerate(others)]

    def unrest() -> dict[int, float]:
        """How far a note differs after each parameter was moved and moved back; and, at negative
        indices, how far random patches differ when they are played in the reverse order."""
        before, found = probed.play(probed.loaded), {}
        for index, value in moved.items():
            probed.play({index: value})
            found[index] = float(np.abs(probed.play({index: probed.loaded[index]}) - before).max())
        there = [probed.play(*one) for one in keyed]
        back = [probed.play(*one) for one in reversed(keyed)]
        for number, (one, other) in enumerate(zip(there, reversed(back), strict=True), 1):
            found[-number] = float(np.abs(one - other).max())
        return found

    trials: dict[int, dict[int, float]] = {}
    for probed.settling in COUNTS:
        trials[probed.settling] = unrest()
        if max(trials[probed.settling].values()) <= SAME:
            break
    impure = {count: sum(x > SAME for x in found.values()) for count, found in trials.items()}
    # Some may differ whatever is played before: more notes must make more of them the same.
    least = min(impure.values())
    settling = min(count for count in trials if impure[count] <= (least and least + 1))
    probed.settling, rest = settling, trials[settling]
    np.save(scale, np.stack([probed.play(probed.loaded, key) for key in SCALE]))
    soft, loud = (probed.play(probed.loaded, velocity=v) for v in (SOFT, LOUD))
    heard = dict.fromkeys(probed.names, 0.0)
    near = _contexts(probed, texts, CONTEXTS, NEAR)
    # Some are heard in soft notes only, as the decay of a synthesizer with accents.
    for context, velocity in [(one, VELOCITY) for one in (probed.loaded, *near)] + [
        (near[0], SOFT)
    ]:
        base = probed.play(context, velocity=velocity)
        if _difference_db(base, probed.play(context, velocity=velocity)) > FLOOR_DB:
            continue
        for index in probed.names:
            for place in PLACES:
                sound = probed.play({**context, index: place}, velocity=velocity)
                heard[index] = max(heard[index], _difference_db(base, sound))
            if _difference_db(base, probed.play(context, velocity=velocity)) > FLOOR_DB:
                heard[index] = max(heard[index], HEARD_DB)
    return {
        "name": Path(path).stem,
        "count": len(probed.names),
        "settling_notes": settling,
        "played": len(rest),
        "repeated": len(rest) - impure[settling],
        "velocity_db": _colour_db(soft, loud),
        "parameters": [
            {
                "index": index,
                "name": name,
                "label": probed.labels[index],
                "value": probed.loaded[index],
                "texts": texts[index],
                "heard_db": heard[index],
                "pure": rest[index] <= SAME,
            }
            for index, name in probed.names.items()
        ],
    }


def _contexts(
    probed: _Probed, texts: dict[int, list[str]], count: int, reach: float
) -> list[dict[int, float]]:
    """Random patches around the one that is loaded, in which switches and choices stay."""
    generator = np.random.default_rng(count)
    return [
        {
            index: float(np.clip(value + reach * generator.standard_normal(), 0, 1))
            if len(set(texts[index])) > TEXTS // 2
            else value
            for index, value in probed.loaded.items()
        }
        for _ in range(count)
    ]


def main() -> None:
    """Probe the plug-in whose path is the first argument; write what was found to the second."""
    path, out = sys.argv[1:]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        found = _find(path, _scale_file(Path(out)))
    except ImportError as error:
        found = {"problem": f"plug-ins need dawdreamer ({error}): {INSTALL}"}
    except RuntimeError as error:
        found = {"problem": f"{path} cannot be loaded as a plug-in ({error})."}
    Path(out).write_text(json.dumps(found))
