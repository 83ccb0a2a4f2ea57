"""Controls: the knobs and note properties of a plant, 0..1 inside and physical outside.

A control knows its name, unit, range and curve. A `ControlSpace` is the ordered list of a plant's
controls; an array of controls has the shape `(*batch, control, note)` in that order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from .errors import ControlError

LARGEST = 1e9  # no control's range reaches so far
Curve = Literal["linear", "exponential"]
Scope = Literal["note", "recording"]


@dataclass(frozen=True)
class Control:
    """One control. `curve` says how 0..1 spreads over `low..high`, both in `unit`.

    >>> cutoff = Control("cutoff", "Hz", 200.0, 3200.0, "exponential")
    >>> float(cutoff.to_physical(0.5))
    800.0
    >>> float(cutoff.from_physical(1600.0))
    0.75
    """

    name: str
    unit: str
    low: float
    high: float
    curve: Curve = "linear"
    meaning: str = ""
    circular: bool = False
    """Whether 0 and 1 are the same, as for a phase."""
    scope: Scope = "note"
    """Whether it may differ from note to note, or is set once for a whole recording."""

    @property
    def label(self) -> str:
        """Name with its unit, as a column heading."""
        return f"{self.name} ({self.unit})"

    def to_physical(self, value):
        """0..1 to the physical value; elementwise, arrays or numbers."""
        if self.curve == "exponential":
            return self.low * (self.high / self.low) ** np.asarray(value)
        return self.low + (self.high - self.low) * np.asarray(value)

    def from_physical(self, value):
        """Physical value to 0..1 (outside it where the value is out of range)."""
        if self.curve == "exponential":
            return np.log(np.asarray(value) / self.low) / np.log(self.high / self.low)
        return (np.asarray(value) - self.low) / (self.high - self.low)


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
    def shared(self) -> list[Control]:
        """Those that are set once for a whole recording."""
        return [control for control in self if control.scope == "recording"]

    def row(self, name: str) -> int:
        """Where the control `name` stands in an array of controls; ControlError if it does not."""
        if name not in self.names:
            raise ControlError(
                f"there is no control {name!r}; choose one of {', '.join(self.names)}."
            )
        return self.names.index(name)

    def to_physical(
        self, controls: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch control note"]:
        """Each control in its own unit. Raises ControlError where `check` does."""
        controls = self.check(controls)
        rows = [c.to_physical(controls[..., i, :]) for i, c in enumerate(self)]
        return np.stack(rows, axis=-2)

    def from_physical(
        self, values: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch control note"]:
        """The inverse of `to_physical`. Raises ControlError for values out of range."""
        values = self._within(values, [(c.low, c.high, f" {c.unit}") for c in self])
        rows = [c.from_physical(values[..., i, :]) for i, c in enumerate(self)]
        return np.clip(np.stack(rows, axis=-2), 0.0, 1.0)

    def check(self, controls) -> Float[np.ndarray, "*batch control note"]:
        """`controls` as float64, or ControlError for a wrong shape, NaN, or values outside 0..1.

        A rounding error of up to 1e-6 beyond 0..1 (float32 arithmetic) is clipped.
        """
        return self._within(controls, [(0.0, 1.0, "")] * len(self))

    def _within(
        self, values, ranges: Sequence[tuple[float, float, str]]
    ) -> Float[np.ndarray, "*batch control note"]:
        """A copy of `values`, each control within its `(low, high, unit)`; or ControlError."""
        try:
            values = np.asarray(values, dtype=np.float64).copy()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ControlError(f"controls must be an array of numbers ({error}).") from error
        if values.ndim < 2 or values.shape[-2] != len(self) or values.shape[-1] == 0:
            raise ControlError(
                f"controls must have the shape (..., {len(self)}, note), for "
                f"{', '.join(self.names)}; got {values.shape}."
            )
        for i, (control, (low, high, unit)) in enumerate(zip(self, ranges, strict=True)):
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
    controls: Sequence[Control], values: Float[np.ndarray, "*batch control"]
) -> Float[np.ndarray, "*batch control"]:
    """Values in 0..1: clipped, or around the circle."""
    circular = [control.circular for control in controls]
    return np.where(circular, values % 1, np.clip(values, 0, 1))


def way(
    controls: Sequence[Control],
    start: Float[np.ndarray, "*batch control"],
    end: Float[np.ndarray, "*batch control"],
) -> Float[np.ndarray, "*batch control"]:
    """From values to others, around a circle the shorter way."""
    circular = [control.circular for control in controls]
    return end - start - np.where(circular, np.rint(end - start), 0)


def plant_and_controls(card: Mapping[str, Any]) -> tuple[str, ControlSpace]:
    """What a model plays: the `plant`, `controls` and `control_set` of its card.

    Raises ControlError, KeyError or TypeError if they are none.
    """
    space = ControlSpace((Control(**control) for control in card["controls"]), card["control_set"])
    for control in space:
        texts = (card["plant"], space.name, control.name, control.unit, control.meaning)
        ends = (control.low, control.high)
        if (
            not all(isinstance(text, str) for text in texts)
            or not all(type(end) in (int, float) and abs(end) < LARGEST for end in ends)
            or control.low >= control.high
            or control.curve not in get_args(Curve)
            or control.scope not in get_args(Scope)
            or (control.curve == "exponential" and control.low <= 0)
        ):
            raise ControlError(f"{control} is no control.")
    return card["plant"], space
