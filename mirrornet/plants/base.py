"""The contract of a plant: a pure function from a score to sound.

The same score gives the same samples (within 1e-6), whatever was rendered before, in any order, on
any worker. A plant object is not thread-safe: give every thread its own.

A new plant is a subclass of `NotePlant` with `controls`, `sample_rate_hz` and `note_sound`; checks,
scores, melodies and batches are implemented here. One that cannot render note by note is a subclass
of `Plant` and renders whole scores.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace, Value
from ..errors import ControlError, PlantError
from ..score import MELODY_S, Note, Score, melody_score
from .prior import BABBLED_MIDI, random_score

PITCHES_MIDI = range(21, 109)  # of a piano
TAIL_S = 0.05  # a short release and a little silence
LENGTH_ERROR_S = 0.002  # tolerance of the length of a note's sound


@dataclass(frozen=True)
class PlantSpec:
    """Name and options to make the same plant again in any process. Picklable, and JSON-ready but
    for options that are neither numbers nor texts."""

    name: str
    """A name or the path of a Python file, as for `load_plant`."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """A file for users of the plant's synthesizer, such as a preset."""

    path: str
    """Its place, relative to the folder of results."""
    make: Callable[[], bytes]
    what: str
    """A short description."""
    note: int | None = None
    """The index of the note that it is for; None if it is for all."""


class Plant(ABC):
    """A synthesizer that renders scores to sound."""

    name: str
    control_sets: Mapping[str, ControlSpace]
    """Its control sets by name; chosen by `__init__(controls=NAME, sample_rate_hz=...)`."""
    controls: ControlSpace
    sample_rate_hz: int
    tail_s: float = TAIL_S
    """How long a note sounds after its offset; to be overridden by a plant that rings longer."""
    transposition: int = 0
    """The pitch that sounds when a key is played, in semitones above the key."""
    level_is_gain: bool = False
    """Whether the control with the role `level` (dB) only scales a note's sound, as its MIDI
    velocity does: by (velocity / 127) squared. (See `score.midi_velocity`.)"""
    timbre_set: str | None = None
    """Its control set with the roles of `plants/timbre.py`, if it can play any timbre."""
    own_rate_hz: int | None = None
    """The sample rate at which it is to be played, if it sounds different at others."""
    foreign: bool = False
    """Whether it is foreign native code, which may crash: `load_plant` then isolates it."""
    fresh: bool = False
    """Whether only a fresh process plays a score as before; workers then play one score each."""
    spec: PlantSpec

    def __new__(cls, *args: Any, **options: Any) -> Self:
        plant = super().__new__(cls)
        chosen: dict[str, Any] = {}
        if cls.__init__ is not object.__init__:
            given = signature(cls.__init__).bind(plant, *args, **options)
            given.apply_defaults()
            chosen = {key: value for key, value in given.arguments.items() if key != "self"}
        plant.spec = PlantSpec(getattr(cls, "name", cls.__name__), chosen)
        return plant

    def choose(self, controls: str | None, sample_rate_hz: int) -> None:
        """Set `controls`, None for the first control set, and `sample_rate_hz`, 8000 to 192000.

        Raises PlantError for others.
        """
        sets = self.control_sets
        controls = next(iter(sets)) if controls is None else controls
        if controls not in sets:
            raise PlantError(
                f"{self.name} has the control sets {', '.join(sets)}, not {controls!r}."
            )
        if not 8000 <= sample_rate_hz <= 192000:
            raise PlantError(f"{self.name} plays at 8000 to 192000 Hz, not at {sample_rate_hz}.")
        self.controls, self.sample_rate_hz = sets[controls], sample_rate_hz

    @classmethod
    def to_install(cls) -> str:
        """What must be installed before it can be made, and how; empty if nothing is missing."""
        return ""

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        """The options that a name "NAME-SUFFIX" implies; None if the suffix is invalid."""
        return None

    @abstractmethod
    def _render_score(self, score: Score, duration_s: float) -> Float[np.ndarray, " sample"]:
        """Render a checked score: mono, `duration_s` long."""

    def render(
        self, score: Score | Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch sample"]:
        """Render a score (MIDI 21..108, rests and chords allowed), or melodies of the paper
        (arrays of controls in 0..1; 2 s each), as mono float32.

        Raises ControlError for invalid controls, notes or durations, before the synthesizer gets
        them; PlantError for sound that is not finite, not mono or of the wrong length.
        """
        if isinstance(score, Score):
            return self._rendered(score)
        controls = self.controls.check(score)
        batch = controls.shape[:-2]
        flat = controls.reshape(-1, *controls.shape[-2:])
        sounds = np.empty((len(flat), round(MELODY_S * self.sample_rate_hz)), np.float32)
        for sound, one in zip(sounds, flat, strict=True):
            sound[:] = self._rendered(melody_score(self.controls, one))
        return sounds.reshape(*batch, sounds.shape[-1])

    def play(
        self, notes: Sequence[Note], duration_s: float | None = None
    ) -> Float[np.ndarray, " sample"]:
        """Render notes that have all their controls; as `render`."""
        if isinstance(notes, Score):
            raise ControlError("`play` takes notes; give a whole score to `render`.")
        return self.render(Score(notes, {}, duration_s))

    def sample(self, generator: np.random.Generator) -> Score:
        """Draw a random score for babbling: notes and patches that users of the synthesizer would
        play. By default `random_score`, in which patches are uniform in the controls' ranges."""
        lowest = max(BABBLED_MIDI[0], BABBLED_MIDI[0] - self.transposition)
        highest = min(BABBLED_MIDI[-1], BABBLED_MIDI[-1] - self.transposition)
        return random_score(self.controls, range(lowest, highest + 1), generator)

    def artifacts(self, score: Score) -> list[Artifact]:
        """Files with which the plant's synthesizer plays the score; by default none."""
        return []

    def read_preset(self, data: bytes) -> dict[str, Value]:
        """The patch in a preset file of the plant's synthesizer: controls by name, perhaps not all.

        Raises PlantError if the file is none, or the plant reads none.
        """
        raise PlantError(f"{self.name} reads no presets; give a controls.json.")

    def guide(self, score: Score) -> str:
        """How to play the score with the `artifacts` in a DAW: items of an HTML list."""
        return ""

    def automation(self, score: Score) -> list[dict[str, float]]:
        """For each note, the controls that change from note to note beside those of MIDI notes
        (pitch, velocity, tune): by displayed name, as shares of their whole ranges."""
        moved = [c for c in self.controls.own if c.role not in ("level", "tune", "velocity")]
        moved += [] if score.one_patch else self.controls.patch
        return [
            {c.label: float(c.from_physical(n.controls[c.name])) for c in moved if not c.shape}
            for n in score.resolved
        ]

    def at_rate(self, sample_rate_hz: int) -> Self:
        """The same plant at another sample rate."""
        return type(self)(**{**self.spec.options, "sample_rate_hz": sample_rate_hz})

    def note_tail_s(self, note: Note) -> float:
        """How long this note sounds after its offset."""
        return self.tail_s

    def check(self, score: Score) -> list[Note]:
        """The notes with all their controls. Raises ControlError for invalid notes or controls."""
        return [self._checked(note) for note in score.resolved]

    def _rendered(self, score: Score) -> Float[np.ndarray, " sample"]:
        notes = self.check(score)
        duration_s = score.duration_s
        if duration_s is None:
            duration_s = max((n.offset_s + self.note_tail_s(n) for n in notes), default=self.tail_s)
        if not 0 <= duration_s < np.inf:
            raise ControlError(f"the duration must be 0 s or longer, and finite; got {duration_s}.")
        sound = self._render_score(replace(score, notes=notes, patch={}), duration_s)
        if sound.ndim != 1 or not np.isfinite(sound).all():
            raise PlantError(f"{self.name} gave sound that is not mono, or not finite.")
        if len(sound) != round(duration_s * self.sample_rate_hz):
            raise PlantError(
                f"{self.name} gave {len(sound)} samples for {duration_s:g} s at "
                f"{self.sample_rate_hz} Hz."
            )
        return sound.astype(np.float32, copy=False)

    def _checked(self, note: Note) -> Note:
        if note.pitch_midi not in PITCHES_MIDI:
            raise ControlError(
                f"a note must have a whole MIDI pitch in 21..108; got {note.pitch_midi}."
            )
        if not 0 <= note.onset_s < note.offset_s < np.inf:
            raise ControlError(
                f"a note must start at 0 s or later and end after it starts; got {note.onset_s} "
                f"to {note.offset_s}."
            )
        points = np.array(note.glide or [(0.0, 0.0)], float)
        steps_s = np.diff(points[:, 0])
        if not np.isfinite(points).all() or points[0, 0] < 0 or (steps_s <= 0).any():
            raise ControlError(
                "a glide has points of time since the onset, in order, and semitones; got "
                f"{note.glide}."
            )
        knobs = self.controls.knobs
        if set(note.controls) != set(knobs.names):
            wanted, got = (
                ", ".join(sorted(names)) or "none" for names in (knobs.names, note.controls)
            )
            raise ControlError(
                f"a note of {self.name} needs exactly the controls {wanted}; got {got}."
            )
        return replace(note, controls={c.name: c.check(note.controls[c.name]) for c in knobs})


class NotePlant(Plant):
    """A plant that renders each note separately; the sounds are added."""

    @abstractmethod
    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        """Render a checked note, mono, from its onset to `note_tail_s` after its offset."""

    def _render_score(self, score: Score, duration_s: float) -> Float[np.ndarray, " sample"]:
        sound = np.zeros(round(duration_s * self.sample_rate_hz), dtype=np.float32)
        for note in score.notes:
            start = round(note.onset_s * self.sample_rate_hz)
            room = sound[start:]
            samples = self.note_sound(note)
            if samples.ndim != 1 or not np.isfinite(samples).all():
                raise PlantError(f"{self.name} gave sound that is not finite for {note}.")
            length_s = note.offset_s - note.onset_s + self.note_tail_s(note)
            if abs(len(samples) / self.sample_rate_hz - length_s) > LENGTH_ERROR_S:
                raise PlantError(
                    f"{self.name} gave {len(samples)} samples and not {length_s:g} s for {note}."
                )
            samples = samples[: len(room)]
            room[: len(samples)] += samples
        return sound
