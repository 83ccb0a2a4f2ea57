"""What a plant is: a pure function from controls to sound.

A new plant gives `controls`, `sample_rate_hz` and `note_sound`; melodies, checks and batches are
the same for all and live here. The contract: the same arguments give the same samples (within
1e-6), whatever was rendered before, in any order, on any worker. A plant object serves one thread
at a time: give every thread its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace
from ..errors import ControlError, PlantError
from ..score import MELODY_S, Note, melody_notes

PITCHES_MIDI = range(24, 97)
TAIL_S = 0.05  # a short release, and a little silence


class Plant(ABC):
    """Anything that turns controls into sound."""

    name: str
    control_sets: Mapping[str, ControlSpace]
    """What it can be made with: `__init__(controls=NAME, sample_rate_hz=...)`."""
    controls: ControlSpace
    sample_rate_hz: int
    tail_s: float = TAIL_S
    """How long a note still sounds after its end; a plant that rings longer says so."""

    @abstractmethod
    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        """The sound of one checked note, mono, from its start until `note_tail_s` after its end."""

    def note_tail_s(self, note: Note) -> float:
        """How long this note still sounds after its end."""
        return self.tail_s

    def note_preset(self, note: Note) -> str | None:
        """The text of a preset that sounds as one checked note does; None for a plant without."""
        return None

    def automation(self, note: Note) -> dict[str, float]:
        """Where the synthesizer's own knobs stand for `note`, by the names that its user sees, each
        as a share of its whole range; none for a plant without knobs."""
        return {}

    def render(
        self, controls: Float[np.ndarray, "*batch control note"]
    ) -> Float[np.ndarray, "*batch sample"]:
        """Play the paper's melodies: 2 s each, float32.

        Raises ControlError for controls of a wrong shape, outside 0..1 or not finite, before the
        synthesizer sees them; PlantError if its sound is not finite.
        """
        controls = self.controls.check(controls)
        batch = controls.shape[:-2]
        flat = controls.reshape(-1, *controls.shape[-2:])
        sounds = np.empty((len(flat), round(MELODY_S * self.sample_rate_hz)), np.float32)
        for sound, one in zip(sounds, flat, strict=True):
            sound[:] = self.play(melody_notes(self.controls, one), MELODY_S)
        return sounds.reshape(*batch, sounds.shape[-1])

    def play(
        self, notes: Sequence[Note], duration_s: float | None = None
    ) -> Float[np.ndarray, " sample"]:
        """Play any notes, MIDI 24..96, rests and chords allowed; mono float32.

        `duration_s` defaults to the end of the last note and its tail; sound beyond is cut.
        Raises ControlError for notes or a duration the plant must not play, PlantError for sound
        that is not finite.
        """
        for note in notes:
            self.check_note(note)
        if duration_s is None:
            duration_s = max((n.offset_s + self.note_tail_s(n) for n in notes), default=self.tail_s)
        if not 0 <= duration_s < np.inf:
            raise ControlError(f"the duration must be 0 s or longer, and finite; got {duration_s}.")
        sound = np.zeros(round(duration_s * self.sample_rate_hz), dtype=np.float32)
        for note in notes:
            start = round(note.onset_s * self.sample_rate_hz)
            room = sound[start:]
            samples = self.note_sound(note)[: len(room)]
            if not np.isfinite(samples).all():
                raise PlantError(f"{self.name} gave sound that is not finite for {note}.")
            room[: len(samples)] += samples
        return sound

    def check_note(self, note: Note) -> None:
        """ControlError for a note that the plant must not play."""
        if note.pitch_midi not in PITCHES_MIDI:
            raise ControlError(
                f"a note must have a whole MIDI pitch in 24..96; got {note.pitch_midi}."
            )
        if not 0 <= note.onset_s < note.offset_s < np.inf:
            raise ControlError(
                f"a note must start at 0 s or later and end after it starts; got {note.onset_s} "
                f"to {note.offset_s}."
            )
        expected = set(self.controls.names) - {"pitch", "duration"}
        if set(note.controls) != expected:
            wanted, got = (
                ", ".join(sorted(names)) or "none" for names in (expected, note.controls)
            )
            raise ControlError(
                f"a note of {self.name} needs exactly the controls {wanted}; got {got}."
            )
        for name, value in note.controls.items():
            control = self.controls[self.controls.row(name)]
            slack = 1e-6 * (control.high - control.low)
            if not control.low - slack <= value <= control.high + slack:
                raise ControlError(
                    f"{name} must lie in {control.low:g}..{control.high:g} {control.unit}; "
                    f"got {value:g}."
                )
