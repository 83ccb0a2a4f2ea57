"""The rules of docs/vital-presets.md: what the Vital program does with a preset that it opens.

They are Vital's, read in its public source; nothing here asks vita, which wrote the preset.
"""

import base64
import csv
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

LOUDEST = 115.0  # sample of a table that is not normalised: levels follow the key, over an octave
TABLE = Path(__file__).parent / "golden" / "vital_parameters.csv"
OLDEST_RELEASE = (1, 0, 0)  # the first Vital that was released; no 1.x may find a preset newer
LAST_CONVERSION = (0, 9, 0)  # presets below this version are rewritten as they are loaded
STYLES = ("Bass", "Lead", "Keys", "Pad", "Percussion", "Sequence", "Experiment", "SFX", "Template")
LONGEST_COMMENT = 500
BROWSED_BYTES = 5000  # in which the browser looks for the style
MOST_MODULATIONS = 64
LFOS, OSCILLATORS, MACROS = 8, 3, 4
CYCLE_SAMPLES, LAST_FRAME = 2048, 256
MOST_SAMPLES = 1_764_000
SOURCES = {
    *(f"env_{n}" for n in range(1, 7)),
    *(f"lfo_{n}" for n in range(1, 9)),
    *(f"random_{n}" for n in range(1, 5)),
    *(f"macro_control_{n}" for n in range(1, 5)),
    *("note", "note_in_octave", "aftertouch", "velocity", "slide", "lift", "mod_wheel"),
    *("pitch_wheel", "random", "stereo"),
}


def parameters() -> dict[str, tuple[float, float, bool]]:
    """Vital's public table of settings: lowest, highest, and whether only whole numbers count."""
    known = {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            reach = float(row["lowest"]), float(row["highest"]), row["whole"] == "yes"
            for copy in row["copies"].split() or [""]:
                known[row["name"].replace("#", copy)] = reach
    return known


def problems(text: str) -> list[str]:
    """What of a preset breaks a rule; nothing if every Vital 1.x opens it as it is meant."""
    preset = json.loads(text, parse_constant=lambda name: f"{name} is no JSON")
    found = [*_version(preset, "synth_version", "the preset"), *_browser(text, preset)]
    settings = preset["settings"]
    found += _values(settings)
    found += _modulations(settings["modulations"])
    found += _sample(settings["sample"])
    for number, table in enumerate(settings["wavetables"], 1):
        found += _version(table, "version", f"wavetable {number}")
        found += _wavetable(table, f"wavetable {number}")
    if len(settings["wavetables"]) != OSCILLATORS:
        found.append(f"{len(settings['wavetables'])} wavetables")
    if len(settings["lfos"]) != LFOS:
        found.append(f"{len(settings['lfos'])} LFOs")
    for number, shape in enumerate(settings["lfos"], 1):
        found += _line(shape, f"LFO {number}")
    return found


def _version(holder: dict[str, Any], key: str, what: str) -> list[str]:
    said = holder.get(key)
    if not isinstance(said, str) or not re.fullmatch(r"\d+\.\d+\.\d+", said):
        return [f"{what} has the version {said!r}"]
    version = tuple(map(int, said.split(".")))
    if version[:2] > OLDEST_RELEASE[:2]:
        return [f"{what} is of version {said}, newer than Vital 1.0: refused"]
    if version < LAST_CONVERSION:
        return [f"{what} is of version {said}, and converted as an old one"]
    return []


def _browser(text: str, preset: dict[str, Any]) -> list[str]:
    found = []
    texts = ["author", "comments", "preset_name", "preset_style"]
    texts += [f"macro{number}" for number in range(1, MACROS + 1)]
    for key in texts:
        if not isinstance(preset.get(key), str) or '"' in preset[key]:
            found.append(f"{key} is {preset.get(key)!r}")
        elif not preset[key]:
            found.append(f"{key} is empty")
    # It reads the author from the first bytes, and the style as what stands quoted behind its key.
    author = preset.get("author")
    if not text.startswith(f'{{"author":"{author}"') or len(str(author)) > 39:
        found.append("the browser does not find the author at the start of the file")
    quoted = iter(text.encode()[:BROWSED_BYTES].decode("utf-8", "ignore").split('"'))
    style = next(
        (
            part
            for part in itertools.dropwhile(lambda part: part != "preset_style", quoted)
            if part.strip() not in ("preset_style", ":")
        ),
        None,
    )
    if style != preset.get("preset_style") or style not in STYLES:
        found.append(f"the browser finds the style {style!r}")
    if len(preset.get("comments", "")) > LONGEST_COMMENT:
        found.append("the comments are longer than Vital lets one write them")
    return found


def _values(settings: dict[str, Any]) -> list[str]:
    found, known = [], parameters()
    for name in settings.keys() - {"lfos", "modulations", "sample", "wavetables"}:
        value = settings[name]
        if name not in known:
            found.append(f"{name} is no setting of Vital's")
            continue
        low, high, whole = known[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            found.append(f"{name} is {value!r}, no number")
        elif not low <= value <= high:
            found.append(f"{name} is {value}, beyond {low}..{high}")
        elif whole and value != int(value):
            found.append(f"{name} is {value}, not a whole number")
    return found


def _modulations(modulations: list[dict[str, Any]]) -> list[str]:
    found, known = [], parameters()
    if len(modulations) > MOST_MODULATIONS:
        found.append(f"{len(modulations)} modulations")
    for number, modulation in enumerate(modulations, 1):
        source, destination = modulation.get("source"), modulation.get("destination")
        if (source, destination) == ("", ""):
            continue
        if source not in SOURCES or destination not in known:
            found.append(f"modulation {number} goes from {source!r} to {destination!r}")
        if "line_mapping" in modulation:
            found += _line(modulation["line_mapping"], f"modulation {number}")
    return found


def _sample(sample: dict[str, Any]) -> list[str]:
    data = base64.b64decode(sample["samples"], validate=True)
    whole = all(isinstance(sample[key], int) for key in ("length", "sample_rate"))
    if not whole or not 0 < sample["length"] <= MOST_SAMPLES or len(data) != 2 * sample["length"]:
        return [f"the sample holds {len(data)} bytes for {sample['length']} samples of 16 bits"]
    return []


def _wavetable(table: dict[str, Any], what: str) -> list[str]:
    found = []
    for key, kind in (("name", str), ("remove_all_dc", bool), ("full_normalize", bool)):
        if not isinstance(table.get(key), kind):
            found.append(f"{what}: {key} is {table.get(key)!r}")
    normal = table.get("full_normalize")  # otherwise, samples are taken as they are
    for component in (one for group in table["groups"] for one in group["components"]):
        if component["type"] != "Wave Source":
            found.append(f"{what}: a component of the type {component['type']!r}")
            continue
        if component["interpolation"] not in (0, 1):
            found.append(f"{what}: interpolation {component['interpolation']!r}")
        if component["interpolation_style"] not in (0, 1, 2):
            found.append(f"{what}: interpolation style {component['interpolation_style']!r}")
        positions = [frame["position"] for frame in component["keyframes"]]
        if positions != sorted(set(positions)) or not {*positions} <= {*range(LAST_FRAME + 1)}:
            found.append(f"{what}: frames at {positions}")
        for frame in component["keyframes"]:
            data = base64.b64decode(frame["wave_data"], validate=True)
            if len(data) != 4 * CYCLE_SAMPLES:
                found.append(f"{what}: a frame of {len(data)} bytes")
            elif not (np.abs(np.frombuffer(data, "<f4")) <= (1.001 if normal else LOUDEST)).all():
                found.append(f"{what}: a frame with samples beyond full scale")
    return found


def _line(shape: dict[str, Any], what: str) -> list[str]:
    points, powers, count = shape["points"], shape["powers"], shape["num_points"]
    times, heights = points[::2], points[1::2]
    sound = (
        isinstance(count, int)
        and isinstance(shape.get("smooth", False), bool)
        and len(points) == 2 * count
        and len(powers) == count
        and times == sorted(times)
        and all(0 <= value <= 1 for value in (*times, *heights))
    )
    return [] if sound else [f"{what} has the shape {shape}"]
