"""What a user gives of a patch: where the match starts, and which controls stay as they are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ..controls import Control, ControlSpace, Value
from ..errors import ControlError
from ..export.playing import read_score
from ..plants import Plant
from .transcribe import Transcript

ON, OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
LARGEST_PRESET = 1 << 24  # bytes


@dataclass(frozen=True)
class Given:
    """Values of controls of the patch, by name."""

    start: Mapping[str, Value] = field(default_factory=dict)
    """Where the search of these controls begins."""
    lock: Mapping[str, Value] = field(default_factory=dict)
    """What these controls stay at."""

    def rows(
        self, space: ControlSpace, rows: Float[np.ndarray, " row"]
    ) -> Float[np.ndarray, " row"]:
        """The rows of a patch, with the given values in place of others."""
        rows = np.array(rows, dtype=float)
        for name, value in {**self.start, **self.lock}.items():
            at = space.row(name)
            places = np.ravel(space.named(name).from_physical(value))
            rows[at : at + len(places)] = np.clip(places, 0, 1)
        return rows

    def locked(self, space: ControlSpace) -> Bool[np.ndarray, " row"]:
        """Which rows of a patch stay as they are."""
        return np.array([control.name in self.lock for control in space.rows], dtype=bool)

    def transcript(self, transcript: Transcript, space: ControlSpace) -> Transcript:
        """The transcript with the given values in the patch of the recording and of each note."""
        if not self.start and not self.lock:
            return transcript
        notes = [
            replace(note, knobs=tuple(self.rows(space, np.array(note.knobs)).tolist()))
            for note in transcript.notes
        ]
        return replace(transcript, notes=notes, knobs=self.rows(space, transcript.knobs))


NOTHING = Given()


def given_of(
    plant: Plant,
    start: str | Path | Mapping[str, Value] | None = None,
    lock: Mapping[str, Value | None] | None = None,
) -> Given:
    """Check what a user gives. A `start` is a preset of the plant's synthesizer, a `controls.json`,
    or values of controls; a lock without a value keeps that of the start.

    Raises ControlError for controls and values that the plant's patch does not have, and for a file
    that cannot be read; PlantError for a file that is no preset of the plant.
    """
    space = plant.controls.patch
    if isinstance(start, str | Path):
        start = read_start(Path(start), plant)
    start = {name: space.named(name).check(value) for name, value in (start or {}).items()}
    locked = {}
    for name, value in (lock or {}).items():
        if value is None and name not in start:
            space.named(name)
            raise ControlError(
                f"{name} is to be locked, but at what? Give its value ({name}=VALUE), or a start "
                "that has it."
            )
        locked[name] = start[name] if value is None else space.named(name).check(value)
    return Given(start, locked)


def read_start(path: Path, plant: Plant) -> dict[str, Value]:
    """The patch in a preset of the plant's synthesizer, or in a `controls.json`, whose first note
    counts. Controls that the plant does not have are left out."""
    space = plant.controls.patch
    if path.suffix.lower() == ".json":
        file = read_score(path)
        if file.plant not in (plant.name, plant.spec.name):
            raise ControlError(f"{path} is for {file.plant}, not for {plant.name}.")
        notes = file.score.resolved
        found = dict(notes[0].controls) if notes else {}
        found = {name: value for name, value in found.items() if name in space.names}
        if not found:
            raise ControlError(f"{path} has no control of {plant.name} ({plant.controls.name}).")
        return found
    try:
        if not path.is_file():
            raise ControlError(f"there is no file {path}; give a preset, or a controls.json.")
        if path.stat().st_size > LARGEST_PRESET:
            raise ControlError(f"{path} is too large for a preset.")
        data = path.read_bytes()
    except OSError as error:
        raise ControlError(f"{path} cannot be read ({error.strerror}).") from error
    return plant.read_preset(data)


def parsed_lock(words: Iterable[str], space: ControlSpace) -> dict[str, Value | None]:
    """Locks as texts, `NAME` or `NAME=VALUE`. Raises ControlError for one that means nothing."""
    found: dict[str, Value | None] = {}
    for word in words:
        name, given, text = (part.strip() for part in word.partition("="))
        control = space.patch.named(name)
        found[name] = _value(control, text) if given else None
    return found


def _value(control: Control, text: str) -> Value:
    if control.kind == "choice":
        return text
    if control.kind == "switch" and text.lower() in (*ON, *OFF):
        return text.lower() in ON
    try:
        return float(text)
    except ValueError as error:
        raise ControlError(f"{control.name} cannot be locked at {text!r}.") from error
