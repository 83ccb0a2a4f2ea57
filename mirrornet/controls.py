"""Controls: what can be set on a plant, 0..1 in arrays and physical in a score.

A control knows its name, unit, range and curve, of what kind it is, whether it belongs to each note
or to the whole patch, and, where generic code should know, its role. A `ControlSpace` is the
ordered list of a plant's controls. In an array each control has a row, or, where it is a table, one
for each of its entries.
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

LARGEST = 1e9  # no control's range reaches so far
MOST_ENTRIES = 1 << 16  # of a table, and of all controls of a model
Curve = Literal["linear", "exponential"]
Kind = Literal["continuous", "integer", "choice", "switch"]
Scope = Literal["note", "patch"]
# What a control stands at, in physical terms: a number, of a choice its name, of a switch whether
# it is on; of a table, nested sequences of these.
Value = Any
MEANINGFUL = ("name", "low", "high", "curve", "circular", "scope", "kind", "choices", "shape")


@dataclass(frozen=True)
class Control:
    """One control. `curve` says how 0..1 spreads over `low..high`, both in `unit`.

    >>> cutoff = Control("cutoff", "Hz", 200.0, 3200.0, "exponential")
    >>> float(cutoff.to_physical(0.5))
    800.0
    >>> float(cutoff.from_physical(1600.0))
    0.75
    >>> str(Control("wave", kind="choice", choices=("sine", "saw", "square")).to_physical(0.5))
    'saw'

    Raises ControlError for a range, kind, shape or choices that make no control.
    """

    name: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    curve: Curve = "linear"
    meaning: str = ""
    circular: bool = False
    """Whether 0 and 1 are the same, as for a phase."""
    scope: Scope = "note"
    """Whether it may differ from note to note, or is set once for all: the patch."""
    kind: Kind = "continuous"
    """An `integer` may stand between whole numbers, and is rounded when it is played."""
    choices: tuple[str, ...] = ()
    """The names of a `choice`, in order."""
    shape: tuple[int, ...] = ()
    """Of a table, such as harmonics by times; `()` for a knob."""
    role: str | None = None
    """What generic code may take it for, whatever its name: pitch, duration, level (dB), velocity
    (1..127), tune (cents), vibrato_rate (Hz), vibrato_depth (cents), vibrato_start (turns)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.kind == "choice":
            object.__setattr__(self, "high", float(max(len(self.choices) - 1, 1)))
        texts = (self.name, self.unit, self.meaning, *self.choices, self.role or "")
        ends = (self.low, self.high)
        if (
            not all(isinstance(text, str) for text in texts)
            or not all(type(end) in (int, float) and abs(end) < LARGEST for end in ends)
            or self.low >= self.high
            or self.curve not in get_args(Curve)
            or self.scope not in get_args(Scope)
            or self.kind not in get_args(Kind)
            or (self.kind == "choice") != (len(set(self.choices)) > 1)
            or not all(type(length) is int and length > 0 for length in self.shape)
            or self.size > MOST_ENTRIES
            or (self.curve == "exponential" and self.low <= 0)
            or (self.kind == "integer" and any(end != int(end) for end in ends))
        ):
            raise ControlError(f"{self} is no control.")

    @property
    def label(self) -> str:
        """Name with its unit, as a column heading."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def size(self) -> int:
        """How many rows it takes in an array."""
        return math.prod(self.shape)

    @property
    def steps(self) -> int | None:
        """How many values it can take, if they are few."""
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
        """0..1 to the physical value; elementwise, arrays or numbers."""
        value = np.asarray(value)
        if self.kind == "choice":
            return np.array(self.choices)[np.rint(value * self.high).astype(int)]
        if self.kind == "switch":
            return value >= 0.5
        if self.curve == "exponential":
            return self.low * (self.high / self.low) ** value
        return self.low + (self.high - self.low) * value

    def from_physical(self, value):
        """Physical value to 0..1 (outside it where the value is out of range).

        Raises ControlError for what is none of the choices.
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
            # What has no logarithm is as far below the range as can be.
            positive = np.maximum(value, np.finfo(np.float64).tiny)
            return np.log(positive / self.low) / np.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def check(self, value: Value) -> Value:
        """A physical value as a plant gets it: what is a rounding error (1e-6 of the range) out of
        range clipped, whole numbers rounded, tables as arrays.

        Raises ControlError for another type or shape, NaN, or what is out of range.
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
        """Its fields but for those that are as usual."""
        usual = Control("any")
        return {
            key: value
            for key, value in asdict(self).items()
            if key in ("name", "unit", "low", "high") or value != getattr(usual, key)
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Control":
        """The inverse of `as_json`. Raises ControlError or TypeError for what is no control."""
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
    """The controls of a plant, in order. `len()` says how many; `name` is the control set's."""

    name: str

    def __new__(cls, controls: Iterable[Control] = (), name: str = "") -> "ControlSpace":
        space = super().__new__(cls, controls)
        space.name = name
        return space

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(control.name for control in self)

    @property
    def units(self) -> dict[str, str]:
        return {control.name: control.unit for control in self}

    @property
    def rows(self) -> tuple[Control, ...]:
        """The control of each row of an array."""
        return tuple(control for control in self for _ in range(control.size))

    @property
    def patch(self) -> "ControlSpace":
        """Those that are set once for all notes."""
        return ControlSpace((c for c in self if c.scope == "patch"), self.name)

    @property
    def own(self) -> "ControlSpace":
        """Those that each note has for itself, beside pitch and duration."""
        times = ("pitch", "duration")
        return ControlSpace(
            (c for c in self if c.scope == "note" and c.role not in times), self.name
        )

    @property
    def knobs(self) -> "ControlSpace":
        """All but pitch and duration."""
        return ControlSpace((c for c in self if c.role not in ("pitch", "duration")), self.name)

    @property
    def is_melody(self) -> bool:
        """Whether arrays of its controls are melodies of the paper, with pitch and duration."""
        return {"pitch", "duration"} <= {control.role for control in self}

    @property
    def fingerprint(self) -> str:
        """A sha256 of all that numbers in an array depend on; not of units, meanings and roles."""
        facts = [[getattr(control, key) for key in MEANINGFUL] for control in self]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def differences(self, other: "ControlSpace") -> list[str]:
        """In what `other` differs, as far as the fingerprint goes: phrases such as "cutoff: high is
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
        """The control `name`; ControlError if there is none."""
        for control in self:
            if control.name == name:
                return control
        raise ControlError(f"there is no control {name!r}; choose one of {', '.join(self.names)}.")

    def of_role(self, role: str) -> Control | None:
        """The control with a role, if there is one."""
        return next((control for control in self if control.role == role), None)

    def row(self, name: str) -> int:
        """Where the control `name` begins in an array; ControlError if there is none."""
        return sum(control.size for control in self[: self.index(self.named(name))])

    def row_of_role(self, role: str) -> int:
        """Where the control with a role begins in an array; ControlError if there is none."""
        if (control := self.of_role(role)) is None:
            raise ControlError(f"none of the controls {', '.join(self.names)} is the {role}.")
        return self.row(control.name)

    def to_vector(self, values: Mapping[str, Value]) -> Float[np.ndarray, " row"]:
        """Physical values by name as rows of 0..1; beyond, where they are out of range."""
        parts = [np.ravel(control.from_physical(values[control.name])) for control in self]
        return np.concatenate([np.empty(0), *parts])

    def from_vector(self, rows: Float[np.ndarray, " row"]) -> dict[str, Value]:
        """The inverse of `to_vector`, rows clipped to 0..1."""
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
        """Each control in its own unit. Raises ControlError where `check` does, and for choices,
        which are no numbers (see `from_vector`)."""
        self._refuse_choices()
        controls = self.check(controls)
        rows = [c.to_physical(controls[..., i, :]) for i, c in enumerate(self.rows)]
        return np.stack(rows, axis=-2)

    def from_physical(
        self, values: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch control note"]:
        """The inverse of `to_physical`. Raises ControlError for values out of range."""
        self._refuse_choices()
        values = self._within(values, [(c.low, c.high, f" {c.unit}") for c in self.rows])
        rows = [c.from_physical(values[..., i, :]) for i, c in enumerate(self.rows)]
        return np.clip(np.stack(rows, axis=-2), 0.0, 1.0)

    def check(self, controls) -> Float[np.ndarray, "*batch control note"]:
        """`controls` as float64, or ControlError for a wrong shape, NaN, or values outside 0..1.

        A rounding error of up to 1e-6 beyond 0..1 (float32 arithmetic) is clipped.
        """
        return self._within(controls, [(0.0, 1.0, "")] * len(self.rows))

    def _refuse_choices(self) -> None:
        if choices := [control.name for control in self if control.kind == "choice"]:
            raise ControlError(f"{', '.join(choices)} cannot be in an array of physical values.")

    def _within(
        self, values, ranges: Sequence[tuple[float, float, str]]
    ) -> Float[np.ndarray, "*batch control note"]:
        """A copy of `values`, each control within its `(low, high, unit)`; or ControlError."""
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
    """Values in 0..1: clipped, or around the circle."""
    circular = [control.circular for control in rows]
    return np.where(circular, values % 1, np.clip(values, 0, 1))


def way(
    rows: Sequence[Control],
    start: Float[np.ndarray, "*batch row"],
    end: Float[np.ndarray, "*batch row"],
) -> Float[np.ndarray, "*batch row"]:
    """From values to others, around a circle the shorter way."""
    circular = [control.circular for control in rows]
    return end - start - np.where(circular, np.rint(end - start), 0)
