"""Control maps: which parameters of a plug-in are controls, and what they mean.

A map is a TOML file. `maps/amsynth.toml` shows all that it may hold. Parameters are named by their
index and their name, and both are checked when the plug-in is loaded, since versions differ.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..controls import Control, ControlSpace, Value
from ..errors import ControlError, PlantError
from ..score import DURATION, PITCH

MAPS = Path(__file__).parent / "maps"
VELOCITY = Control("velocity", "MIDI", 1, 127, kind="integer", role="velocity")
WARPS = {
    "linear": np.positive,
    "log": np.log,
    "square root": np.sqrt,
    "cube root": np.cbrt,
    "fourth root": lambda value: np.sqrt(np.sqrt(value)),
}
UNWARPS = {
    "linear": np.positive,
    "log": np.exp,
    "square root": np.square,
    "cube root": lambda warped: warped**3,
    "fourth root": lambda warped: warped**4,
}
RAW_CURVES = (*WARPS, "exp")
LONGEST_TAIL_S = 10.0
MOST_SETTLING_NOTES = 64
RESERVED = ("velocity", "pitch", "duration")  # names of a note's own controls
LARGEST_MAP = 1 << 20  # bytes


def seconds(control: Control, value: Value) -> float:
    """The value of a control with the role `release` in seconds; its unit is s or ms.

    Raises ControlError for another unit, for which no tail can be known.
    """
    if control.unit not in ("s", "ms"):
        raise ControlError(f"{control.name} has the role release, so its unit must be s or ms.")
    return float(np.asarray(value)) / (1000 if control.unit == "ms" else 1)


@dataclass(frozen=True)
class Parameter:
    """The plug-in's parameter of a control."""

    control: Control
    usual: Value
    """The value of the control where a control set lacks it."""
    index: int
    name: str
    raw: tuple[float, ...] = (0.0, 1.0)
    """Its values, 0..1: at the low and the high end of the control's range, or for each choice."""
    raw_curve: str = "linear"
    """One of `RAW_CURVES`: of what of the physical value it is a linear function."""
    gain: bool = False
    """Whether it only scales the sound, by its value in dB: then the plug-in's own is left at its
    high end, and the sound is scaled. (A volume that is smoothed never quite arrives.)"""

    def raw_of(self, value: Value) -> float:
        """Its raw value for a physical value of its control."""
        control, low, high = self.control, self.raw[0], self.raw[-1]
        share = float(control.from_physical(value))
        if control.kind == "choice" and len(self.raw) > 2:
            return self.raw[round(share * (len(self.raw) - 1))]
        if control.steps:
            return low + (high - low) * share
        if self.raw_curve == "exp":
            return float(low * (high / low) ** share)
        warp = WARPS[self.raw_curve]
        start, end = warp(control.low), warp(control.high)
        return float(low + (high - low) * (warp(float(np.asarray(value))) - start) / (end - start))

    def value_of(self, raw: float) -> Value:
        """The inverse of `raw_of`, clipped to the control's range."""
        control, low, high = self.control, self.raw[0], self.raw[-1]
        share = float(np.clip((raw - low) / (high - low), 0, 1))
        if control.kind == "choice" and len(self.raw) > 2:
            return control.choices[int(np.abs(np.array(self.raw) - raw).argmin())]
        if self.raw_curve == "exp" and not control.steps:
            share = float(np.log(max(raw, 1e-9) / low) / np.log(high / low))
        elif not control.steps:
            warp, back = WARPS[self.raw_curve], UNWARPS[self.raw_curve]
            start, end = warp(control.low), warp(control.high)
            share = float(control.from_physical(back(start + share * (end - start))))
        return control.check(control.to_physical(np.clip(share, 0, 1)).item())


@dataclass(frozen=True)
class PluginMap:
    """A plug-in as an instrument."""

    name: str
    plugin: str
    """The file of the plug-in: a path, relative to the map's folder, or a name to be searched."""
    parameters: int
    """How many the plug-in has."""
    sets: Mapping[str, ControlSpace]
    of: Mapping[str, Parameter]
    """The parameter of each control, by the control's name."""
    fixed: Mapping[int, tuple[str, float]]
    """Name and raw value of each parameter that is held, by its index."""
    settling_notes: int = 0
    """How many unheard notes are played before each note, so that the plug-in forgets the last."""
    settling_s: float = 0.03
    """Their length."""
    tail_s: float = 0.3
    """How long a note sounds after its end, without its release."""
    transposition: int = 0
    install: str = ""
    tested: str = ""
    names: tuple[str, ...] = ()
    """Of all its parameters, in order; for a plug-in whose versions move them."""
    fresh: bool = False
    """Whether only a fresh process plays a score as it did before."""
    path: Path = field(default_factory=Path)


def read_map(path: Path) -> PluginMap:
    """Read a control map. Raises PlantError, which says where, if it is none."""
    try:
        if path.stat().st_size > LARGEST_MAP:
            raise PlantError(f"{path} is too large for a control map.")
        facts = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlantError(f"the control map {path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlantError(f"the control map {path} is no TOML file ({error}).") from error
    try:
        return _map(facts, path)
    except (AttributeError, ControlError, KeyError, OverflowError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise PlantError(f"the control map {path} cannot be used: {what}") from error


def shipped_maps() -> dict[str, Path]:
    """The maps that ship, by the plant's name."""
    return {path.stem: path for path in sorted(MAPS.glob("*.toml"))}


def _map(facts: dict[str, Any], path: Path) -> PluginMap:
    listed, fixed = facts.pop("control"), facts.pop("fixed", {})
    sets, melodies = facts.pop("sets", {}), facts.pop("melodies", {})
    facts["names"] = tuple(facts.get("names", ()))
    known = {one.name for one in fields(PluginMap)} - {"sets", "of", "fixed", "path"}
    if unknown := facts.keys() - known:
        raise ValueError(f"{', '.join(sorted(unknown))} is no entry of a map.")
    _check_facts(facts)
    of: dict[str, Parameter] = {}
    for entry in listed:
        parameter = _parameter(dict(entry))
        if of.setdefault(parameter.control.name, parameter) is not parameter:
            raise ValueError(f"the control {parameter.control.name} is there twice.")
    held = {
        int(one["index"]): (one.get("name", key), float(one["raw"])) for key, one in fixed.items()
    }
    indices = [one.index for one in of.values()] + [int(one["index"]) for one in fixed.values()]
    for key, one in fixed.items():
        if unknown := one.keys() - {"index", "name", "raw"}:
            raise ValueError(f"{', '.join(sorted(unknown))} of {key} is no entry of [fixed].")
    if not all(0 <= raw <= 1 for _, raw in held.values()):
        raise ValueError("the raw values of [fixed] must lie in 0..1.")
    if len(set(indices)) < len(indices):
        raise ValueError("a parameter is used twice.")
    if any(not 0 <= index < facts["parameters"] for index in indices):
        raise ValueError(f"an index is not among the {facts['parameters']} parameters.")
    spaces = {name: _space(name, names, of) for name, names in sets.items()}
    spaces |= {name: _space(name, names, of, True) for name, names in melodies.items()}
    if not spaces or len(spaces) < len(sets) + len(melodies):
        raise ValueError("it needs control sets, in [sets] or [melodies], each with its own name.")
    return PluginMap(sets=spaces, of=of, fixed=held, path=path, **facts)


def _check_facts(facts: dict[str, Any]) -> None:
    """Raise ValueError for entries of a map that are not what they must be."""
    texts = [facts[key] for key in ("name", "plugin")]
    texts += [facts.get(key, "") for key in ("install", "tested")]
    if not all(isinstance(text, str) for text in texts) or not facts["name"]:
        raise ValueError("name, plugin, install and tested must be texts.")
    count, notes = facts["parameters"], facts.get("settling_notes", 0)
    if type(count) is not int or type(notes) is not int or not 0 <= notes <= MOST_SETTLING_NOTES:
        raise ValueError(
            f"parameters and settling_notes must be whole numbers, the latter 0 to "
            f"{MOST_SETTLING_NOTES}."
        )
    times_s = facts.get("settling_s", 0.03), facts.get("tail_s", 0.3)
    if not all(type(one) in (int, float) and 0 < one <= LONGEST_TAIL_S for one in times_s):
        raise ValueError(f"settling_s and tail_s must lie in 0..{LONGEST_TAIL_S:g} s.")
    if type(facts.get("transposition", 0)) is not int:
        raise ValueError("transposition must be a whole number of semitones.")


def _parameter(entry: dict[str, Any]) -> Parameter:
    """A parameter, and its control, which belongs to the patch."""
    index, name, usual = int(entry.pop("index")), str(entry.pop("parameter")), entry.pop("usual")
    raw = tuple(float(one) for one in entry.pop("raw", (0, 1)))
    curve, gain = entry.pop("raw_curve", "linear"), bool(entry.pop("gain", False))
    if curve not in RAW_CURVES:
        raise ValueError(f"raw_curve is one of {', '.join(RAW_CURVES)}, not {curve}.")
    control = Control.from_json({"scope": "patch", **entry})
    if control.shape or control.scope != "patch" or control.name in RESERVED:
        raise ValueError(f"{control.name} must have no shape, no scope and another name.")
    if control.role == "release":
        seconds(control, control.low)
    lowest = {
        "log": control.low > 0,
        "square root": control.low >= 0,
        "fourth root": control.low >= 0,
    }
    if not lowest.get(curve, True):
        raise ValueError(f"{control.name} has the raw_curve {curve}, so its low is too low.")
    if len(raw) not in {2, len(control.choices) or 2} or not all(0 <= one <= 1 for one in raw):
        raise ValueError(f"{name} needs two raw values in 0..1, or one for each choice.")
    if curve == "exp" and 0 in raw:
        raise ValueError(f"the raw values of {name} are exponential, so none may be 0.")
    return Parameter(control, control.check(usual), index, name, raw, curve, gain)


def _space(
    name: str, names: list[str], of: Mapping[str, Parameter], melodies: bool = False
) -> ControlSpace:
    """A control set: with a velocity for each note; or, for melodies, all controls for each."""
    if unknown := [one for one in names if one not in of]:
        raise ValueError(f"the set {name} names {', '.join(unknown)}, which is no control.")
    if len(set(names)) < len(names):
        raise ValueError(f"the set {name} names a control twice.")
    chosen = [of[one].control for one in names]
    if not melodies:
        return ControlSpace((VELOCITY, *chosen), name)
    own = [Control.from_json({**control.as_json(), "scope": "note"}) for control in chosen]
    return ControlSpace((PITCH, DURATION, *own), name)
