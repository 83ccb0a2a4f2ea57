"""A first control map of a plug-in, from what `probe` found; a human completes it.

Value texts tell numbers, choices and switches, and, where they are numbers, units and curves.
Audible parameters become controls, the others are held as they were loaded. Roles are guesses by
name.
"""

import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from .plugin_map import RESERVED, WARPS
from .probe import HEARD_DB

MOST_CHOICES = 12
FIT = 0.04  # largest error of a raw value that a curve may have
WIDE = 50.0  # ratio of the ends of a range from which it is exponential
ROLES = {  # guesses, by patterns of a parameter's name
    "level": r"(master|main|out\w*|amp\w*)[ _:]*(vol|gain|level)|^(volume|gain)$",
    "cutoff": r"cut ?off|filter[ _:]*freq|vcf1?[ _:]*freq",
    "resonance": r"reso|filter[ _:]*q$",
    "release": r"^(?!.*filt).*(amp|env ?1|vca|^)[ _:]*release",
    "attack": r"^(?!.*filt).*(amp|env ?1|vca|^)[ _:]*attack",
    "decay": r"^(?!.*filt).*(amp|env ?1|vca|^)[ _:]*decay",
}
HEAD = """\
# A first map, made by probing the plug-in: complete it. Remove controls that are not wanted (move
# them to [fixed]), confirm the roles, and give names, units and ranges that mean something. Waves
# of noise, and whatever else sounds different each time, must not be among the choices. Hold what
# moves the pitch, too, where a key sounds its own pitch: the notes have it already.
name = {name}
plugin = {plugin}
parameters = {count}
settling_notes = {settling}  # with these, {repeated} of {played} notes repeat themselves
settling_s = 0.03
tail_s = 0.3
transposition = {transposition}  # {heard}
"""


class Guess(NamedTuple):
    """What a parameter seems to be."""

    kind: str
    entries: dict[str, Any]
    """Of its control in a map."""


def draft(
    found: dict[str, Any], plugin: str, transposition: int | None = None
) -> tuple[str, list[list[str]]]:
    """The text of a map for the findings of `probe`, and a table of the parameters to show. The
    transposition is what was heard, in semitones above the keys; None if that is not clear."""
    heard = [one for one in found["parameters"] if one["heard_db"] > HEARD_DB]
    held = [one for one in found["parameters"] if one not in heard]
    names, roles = _names(heard), _roles(heard)
    # A match is brought to the target's level, whatever the plug-in's volume is.
    shared = [name for name, role in zip(names, roles, strict=True) if role != "level"]
    facts = {key: found[key] for key in ("count", "repeated", "played")}
    facts["settling"] = found["settling_notes"]
    facts["transposition"] = transposition or 0
    facts["heard"] = "semitones" if transposition is not None else "not heard: check it by ear"
    text = HEAD.format(name=json.dumps(_slug(found["name"])), plugin=json.dumps(plugin), **facts)
    text += f"\n[sets]\npatch = {json.dumps(shared)}\n\n[fixed]\n"
    for one in held:
        facts = f"index = {one['index']}, name = {_toml(one['name'])}, raw = {one['value']:.6g}"
        text += f"parameter_{one['index']} = {{ {facts} }}\n"
    rows = [["index", "parameter", "kind", "values", "heard (dB)", "role (a guess)"]]
    for name, role, one in zip(names, roles, heard, strict=True):
        guess = guess_of(one["texts"], one["label"], one["value"])
        entries = {"name": name, "parameter": one["name"], "index": one["index"], **guess.entries}
        if role == "release" and guess.entries.get("unit") not in ("s", "ms"):
            role = ""  # its tail could not be known
        entries |= {"role": role} if role else {}
        note = ", and held at its usual value, as it is in no set" if role == "level" else ""
        text += f"\n[[control]]  # heard: {one['heard_db']:.1f} dB{note}\n"
        text += "".join(f"{key} = {_toml(value)}\n" for key, value in entries.items())
        reach = (
            ", ".join(guess.entries.get("choices", ()))
            or f"{one['texts'][0]} to {one['texts'][-1]}"
        )
        heard_db = f"{one['heard_db']:.1f}"
        rows.append([str(one["index"]), one["name"], guess.kind, reach, heard_db, role])
    rows += [[str(one["index"]), one["name"], "held", "", "not", ""] for one in held]
    return text, rows


def guess_of(texts: Sequence[str], label: str, loaded: float) -> Guess:
    """What a parameter is, by its texts at values evenly spaced in 0..1."""
    values = np.linspace(0, 1, len(texts))
    runs = [(text, [n for n, _ in run]) for text, run in groupby(enumerate(texts), lambda t: t[1])]
    at = int(np.argmin(np.abs(values - loaded)))
    if len(runs) == 1:
        return Guess("continuous", {"usual": round(loaded, 6)})
    if len(runs) == 2:
        return Guess("switch", {"kind": "switch", "usual": at in runs[1][1]})
    distinct = [text for text, _ in runs]
    if len(runs) <= MOST_CHOICES and len(set(distinct)) == len(runs):
        middles = [round(float(values[places].mean()), 4) for _, places in runs]
        middles[0], middles[-1] = 0.0, 1.0
        facts = {"kind": "choice", "choices": distinct, "raw": middles, "usual": texts[at]}
        return Guess("choice", facts)
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers) or np.any(np.diff(np.array(numbers, float)) < 0):
        return Guess("continuous", {"usual": round(loaded, 6)})
    return _numeric(np.array(numbers, float), values, label, loaded)


def _numeric(numbers: np.ndarray, values: np.ndarray, label: str, loaded: float) -> Guess:
    low, high = float(numbers[0]), float(numbers[-1])
    usual = float(np.interp(loaded, values, numbers))
    facts: dict[str, Any] = {"unit": label, "low": low, "high": high}
    whole = np.unique(numbers)
    if np.array_equal(whole, np.arange(low, high + 1)):
        return Guess("integer", {**facts, "kind": "integer", "usual": round(usual)})
    errors = {}
    for name, warp in WARPS.items():
        if low > 0 or name in ("linear", "cube root"):
            warped = warp(numbers)
            share = (warped - warped[0]) / (warped[-1] - warped[0])
            errors[name] = float(np.abs(share - values).max())
    curve = min(errors, key=lambda name: errors[name])
    if errors[curve] > FIT:
        return Guess("continuous", {"usual": round(loaded, 6)})
    if curve != "linear":
        facts["raw_curve"] = curve
    if low > 0 and high / low >= WIDE:
        facts["curve"] = "exponential"
    return Guess("continuous", {**facts, "usual": float(np.clip(usual, low, high))})


def _number(text: str) -> float | None:
    found = re.match(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", text.strip(), re.IGNORECASE)
    return float(found.group()) if found else None


def _slug(name: str) -> str:
    slug = re.sub(r"\W+", "_", name.strip().lower()).strip("_") or "parameter"
    return f"{slug}_parameter" if slug in RESERVED else slug


def _names(parameters: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each control; with its index where two would be the same."""
    slugs = [_slug(one["name"]) for one in parameters]
    return [
        slug if slugs.count(slug) == 1 else f"{slug}_{one['index']}"
        for slug, one in zip(slugs, parameters, strict=True)
    ]


def _roles(parameters: Sequence[dict[str, Any]]) -> list[str]:
    """A role for each parameter, or none; the first that fits has it."""
    roles, given = [], set()
    for one in parameters:
        fitting = [
            role
            for role, pattern in ROLES.items()
            if role not in given and re.search(pattern, one["name"], re.IGNORECASE)
        ]
        roles.append(fitting[0] if fitting else "")
        given.update(fitting[:1])
    return roles


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
