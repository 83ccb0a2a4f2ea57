"""Controls: the parameters of a plant, 0..1 in arrays and in physical units in a score.

A `Control` has a name, unit, range, curve and kind, a scope (each note or the whole patch) and,
where generic code needs it, a role. A `ControlSpace` is the ordered list of a plant's controls. In
an array each control has one row, and a table has one row for each entry.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from .errors import ControlError

LARGEST = 1e9  # bound on the magnitude of a range's ends
MOST_ENTRIES = 1 << 16  # most rows of a table, and of all controls of a model
Curve = Literal["linear", "exponential"]
Kind = Literal["continuous", "integer", "choice", "switch"]
Scope = Literal["note", "patch"]
# The physical value of a control: a number, the name of a choice, a bool for a switch; for a table,
# nested sequences of these.
Value = Any
MEANINGFUL = ("name", "low", "high", "curve", "circular", "scope", "kind", "choices", "shape")


@dataclass(frozen=True)
class Control:
    """One control. `curve` maps 0..1 to `low..high`, both in `unit`.

    >>> cutoff = Control("cutoff", "Hz", 200.0, 3200.0, "exponential")
    >>> float(cutoff.to_physical(0.5))
    800.0
    >>> float(cutoff.from_physical(1600.0))
    0.75
    >>> str(Control("wave", kind="choice", choices=("sine", "saw", "square")).to_physical(0.5))
    'saw'

    Raises ControlError if range, kind, shape, choices or other fields are invalid.
    """

    name: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    curve: Curve = "linear"
    meaning: str = ""
    circular: bool = False
    """Whether 0 and 1 are the same value, as for a phase."""
    scope: Scope = "note"
    """Whether it may differ between notes, or is set once for all notes: the patch."""
    kind: Kind = "continuous"
    """An `integer` may take fractional values, and is rounded when it is rendered."""
    choices: tuple[str, ...] = ()
    """The names of a `choice`, in order."""
    shape: tuple[int, ...] = ()
    """The shape of a table, such as (harmonic, time); `()` for a scalar."""
    role: str | None = None
    """Its meaning to generic code, whatever its name: pitch, duration, level (dB), velocity
    (1..127), tune (cents), vibrato_rate (Hz), vibrato_depth (cents), vibrato_start (turns); and
    those of a timbre, in `plants/timbre.py`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.kind == "choice":
            object.__setattr__(self, "high", float(max(len(self.choices) - 1, 1)))
        if problem := self._problem():
            raise ControlError(f"the control {self.name!r} {problem}.")

    def _problem(self) -> str | None:
        """What is wrong with its definition, if anything is."""
        texts = (self.name, self.unit, self.meaning, *self.choices, self.role or "")
        if not all(isinstance(text, str) for text in texts):
            return "needs texts for name, unit, meaning, choices and role"
        for key, allowed in (("curve", Curve), ("scope", Scope), ("kind", Kind)):
            if getattr(self, key) not in get_args(allowed):
                listed = ", ".join(get_args(allowed))
                return f"has the {key} {getattr(self, key)!r}; choose one of {listed}"
        ends = (self.low, self.high)
        if not all(type(end) in (int, float) and abs(end) < LARGEST for end in ends):
            return f"needs finite numbers for low and high; got {self.low!r} and {self.high!r}"
        if self.low >= self.high:
            return f"needs a low below its high; got {self.low:g} and {self.high:g}"
        if self.curve == "exponential" and self.low <= 0:
            return f"is exponential, so its low must be above 0; got {self.low:g}"
        if self.kind == "integer" and any(end != int(end) for end in ends):
            return f"is an integer, so low and high must be; got {self.low:g} and {self.high:g}"
        if (self.kind == "choice") != (len(set(self.choices)) > 1):
            return "needs the kind choice and two or more choices, or neither"
        if not all(type(length) is int and length > 0 for length in self.shape):
            return f"needs whole numbers above 0 as its shape; got {self.shape}"
        if self.size > MOST_ENTRIES:
            return f"has {self.size} entries; {MOST_ENTRIES} are the most"
        return None

    @property
    def label(self) -> str:
        """Name and unit, as a column heading."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def size(self) -> int:
        """The number of its rows in an array."""
        return math.prod(self.shape)

    @property
    def steps(self) -> int | None:
        """The number of values it can take; None if it is continuous."""
        match self.kind:
            case "continuous":
                return None
            case "integer":
                return int(self.high - self.low) + 1
            case "choice":
                return len(self.choices)
            case "switch":
                return 2

    def to_physical(self, value):
        """Convert 0..1 to physical values, elementwise; arrays or numbers."""
        value = np.asarray(value)
        if self.kind == "choice":
            return np.array(self.choices)[np.rint(value * self.high).astype(int)]
        if self.kind == "switch":
            return value >= 0.5
        if self.curve == "exponential":
            return self.low * (self.high / self.low) ** value
        return self.low + (self.high - self.low) * value

    def from_physical(self, value):
        """Convert physical values to 0..1, elementwise; values out of range give results outside.

        Raises ControlError for a name that is not among the choices.
        """
        if self.kind == "choice":
            names = np.asarray(value, dtype=object)
            if unknown := [name for name in names.ravel() if name not in self.choices]:
                raise ControlError(
                    f"{self.name} must be one of {', '.join(self.choices)}, not "
                    f"{_short(unknown[0])}."
                )
            return np.vectorize(self.choices.index, otypes=[float])(names) / self.high
        value = np.asarray(value, dtype=np.float64)
        if self.curve == "exponential":
            # Values without a logarithm map to far below the range.
            positive = np.maximum(value, np.finfo(np.float64).tiny)
            return np.log(positive / self.low) / np.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def check(self, value: Value) -> Value:
        """Convert a physical value to what a plant receives: integers rounded, tables as arrays,
        values out of range by a rounding error (1e-6 of the range) clipped.

        Raises ControlError for a wrong type or shape, NaN, or a value out of range.
        """
        try:
            with np.errstate(all="ignore"):
                place = np.asarray(self.from_physical(value), dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ControlError(
                f"{self.name} must be {self._wanted}; got {_short(value)}."
            ) from error
        if place.shape != self.shape or not ((place >= -1e-6) & (place <= 1 + 1e-6)).all():
            raise ControlError(f"{self.name} must lie in {self._wanted}; got {_short(value)}.")
        if not self.shape and not self.steps:
            return float(np.clip(np.asarray(value, dtype=np.float64), self.low, self.high))
        clipped = self.to_physical(np.clip(place, 0, 1))
        if self.kind == "integer":
            clipped = np.rint(clipped).astype(int)
        return clipped if self.shape else np.asarray(clipped).item()

    @property
    def _wanted(self) -> str:
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.kind == "switch":
            return "true or false"
        shape = f" with the shape {self.shape}" if self.shape else ""
        return f"{self.low:g}..{self.high:g} {self.unit}{shape}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """Name, unit, low and high, and all fields that differ from their defaults."""
        usual = Control("any")
        return {
            key: value
            for key, value in asdict(self).items()
            if key in ("name", "unit", "low", "high") or value != getattr(usual, key)
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Control":
        """The inverse of `as_json`. Raises ControlError or TypeError for invalid fields."""
        tuples = {
            key: tuple(fields[key])
            for key in ("choices", "shape")
            if isinstance(fields.get(key), list)
        }
        return cls(**{**fields, **tuples})


def _short(value: Value) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


class ControlSpace(tuple[Control, ...]):
    """The controls of a plant, in order; `name` is that of the control set."""

    name: str

    def __new__(cls, controls: Iterable[Control] = (), name: str = "") -> "ControlSpace":
        space = super().__new__(cls, controls)
        space.name = name
        return space

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each control."""
        return tuple(control.name for control in self)

    @property
    def units(self) -> dict[str, str]:
        """The unit of each control, by name."""
        return {control.name: control.unit for control in self}

    @property
    def rows(self) -> tuple[Control, ...]:
        """The control of each row of an array."""
        return tuple(control for control in self for _ in range(control.size))

    @property
    def patch(self) -> "ControlSpace":
        """The controls that are set once for all notes."""
        return ControlSpace((c for c in self if c.scope == "patch"), self.name)

    @property
    def own(self) -> "ControlSpace":
        """The controls that may differ between notes, without pitch and duration."""
        times = ("pitch", "duration")
        return ControlSpace(
            (c for c in self if c.scope == "note" and c.role not in times), self.name
        )

    @property
    def knobs(self) -> "ControlSpace":
        """All controls but pitch and duration."""
        return ControlSpace((c for c in self if c.role not in ("pitch", "duration")), self.name)

    @property
    def is_melody(self) -> bool:
        """Whether it has pitch and duration, so that its arrays are melodies of the paper."""
        return {"pitch", "duration"} <= {control.role for control in self}

    @property
    def fingerprint(self) -> str:
        """A sha256 of all that values in an array depend on; not of units, meanings and roles."""
        facts = [[getattr(control, key) for key in MEANINGFUL] for control in self]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def differences(self, other: "ControlSpace") -> list[str]:
        """How `other` differs in what the fingerprint covers, as phrases such as "cutoff: high is
        12000, not 8000"."""
        mine, theirs = ({c.name: c for c in space} for space in (self, other))
        found = [f"{name} is missing" for name in mine if name not in theirs]
        found += [f"{name} is added" for name in theirs if name not in mine]
        for name in mine.keys() & theirs.keys():
            for key in MEANINGFUL:
                a, b = getattr(mine[name], key), getattr(theirs[name], key)
                if a != b:
                    found.append(f"{name}: {key} is {b}, not {a}")
        if not found and self.names != other.names:
            found.append("the order is another")
        return sorted(found)

    def named(self, name: str) -> Control:
        """The control `name`. Raises ControlError if there is none."""
        for control in self:
            if control.name == name:
                return control
        raise ControlError(f"there is no control {name!r}; choose one of {', '.join(self.names)}.")

    def of_role(self, role: str) -> Control | None:
        """The control with a role; None if there is none."""
        return next((control for control in self if control.role == role), None)

    def row(self, name: str) -> int:
        """Index of the first row of the control `name`. Raises ControlError if there is none."""
        return sum(control.size for control in self[: self.index(self.named(name))])

    def row_of_role(self, role: str) -> int:
        """Index of the first row of the control with a role. Raises ControlError without one."""
        if (control := self.of_role(role)) is None:
            raise ControlError(f"none of the controls {', '.join(self.names)} is the {role}.")
        return self.row(control.name)

    def to_vector(self, values: Mapping[str, Value]) -> Float[np.ndarray, " row"]:
        """Convert physical values by name to rows of 0..1 (outside for values out of range)."""
        parts = [np.ravel(control.from_physical(values[control.name])) for control in self]
        return np.concatenate([np.empty(0), *parts])

    def from_vector(self, rows: Float[np.ndarray, " row"]) -> dict[str, Value]:
        """The inverse of `to_vector`; rows are clipped to 0..1."""
        values: dict[str, Value] = {}
        at = 0
        for control in self:
            part = np.clip(rows[at : at + control.size], 0, 1)
            physical = np.reshape(control.to_physical(part), control.shape)
            values[control.name] = physical.tolist()
            at += control.size
        return values

    def to_physical(
        self, controls: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch control note"]:
        """Convert arrays of 0..1 to physical units. Raises ControlError where `check` does, and for
        spaces with choices, which are not numbers (see `from_vector`)."""
        self._refuse_choices()
        controls = self.check(controls)
        rows = [c.to_physical(controls[..., i, :]) for i, c in enumerate(self.rows)]
        return np.stack(rows, axis=-2)

    def from_physical(
        self, values: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch control note"]:
        """The inverse of `to_physical`. Raises ControlError for choices and values out of range."""
        self._refuse_choices()
        values = self._within(values, [(c.low, c.high, f" {c.unit}") for c in self.rows])
        rows = [c.from_physical(values[..., i, :]) for i, c in enumerate(self.rows)]
        return np.clip(np.stack(rows, axis=-2), 0.0, 1.0)

    def check(self, controls) -> Float[np.ndarray, "*batch control note"]:
        """Check that `controls` have the right shape and lie in 0..1; return them as float64.

        A rounding error of up to 1e-6 beyond 0..1 (float32 arithmetic) is clipped. Raises
        ControlError for a wrong shape, NaN, infinity, or values out of range.
        """
        return self._within(controls, [(0.0, 1.0, "")] * len(self.rows))

    def _refuse_choices(self) -> None:
        if choices := [control.name for control in self if control.kind == "choice"]:
            raise ControlError(f"{', '.join(choices)} cannot be in an array of physical values.")

    def _within(
        self, values, ranges: Sequence[tuple[float, float, str]]
    ) -> Float[np.ndarray, "*batch control note"]:
        """A copy of `values`, each row within its `(low, high, unit)`; ControlError otherwise."""
        try:
            values = np.asarray(values, dtype=np.float64).copy()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ControlError(f"controls must be an array of numbers ({error}).") from error
        if values.ndim < 2 or values.shape[-2] != len(ranges) or values.shape[-1] == 0:
            raise ControlError(
                f"controls must have the shape (..., {len(ranges)}, note), for "
                f"{', '.join(self.names)}; got {values.shape}."
            )
        for i, (control, (low, high, unit)) in enumerate(zip(self.rows, ranges, strict=True)):
            row = values[..., i, :]
            if not np.isfinite(row).all():
                raise ControlError(f"the control {control.name} holds NaN or infinity.")
            slack = 1e-6 * (high - low)
            if row.min(initial=low) < low - slack or row.max(initial=high) > high + slack:
                raise ControlError(
                    f"the control {control.name} must lie in {low:g}..{high:g}{unit}; got "
                    f"{row.min():.4g} to {row.max():.4g}."
                )
            np.clip(row, low, high, out=row)
        return values


def within(
    rows: Sequence[Control], values: Float[np.ndarray, "*batch row"]
) -> Float[np.ndarray, "*batch row"]:
    """Bring values into 0..1: circular controls wrap around, others are clipped."""
    circular = [control.circular for control in rows]
    return np.where(circular, values % 1, np.clip(values, 0, 1))


def way(
    rows: Sequence[Control],
    start: Float[np.ndarray, "*batch row"],
    end: Float[np.ndarray, "*batch row"],
) -> Float[np.ndarray, "*batch row"]:
    """The difference `end - start`; for circular controls, the shorter way around."""
    circular = [control.circular for control in rows]
    return end - start - np.where(circular, np.rint(end - start), 0)
