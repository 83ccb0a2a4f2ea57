"""Notes, and the paper's melody: controls become notes that fill two seconds.

Decoding as in the paper (and the code of its authors): midi = rint(12 p) + 62; durations in
proportion to 0.5 d + 0.4, scaled to fill the melody; each note is let go 0.1 s before the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from .controls import Control, ControlSpace
from .errors import ControlError

MELODY_S = 2.0
GAP_S = 0.1
LOWEST_PITCH_MIDI = 62
PITCH_SPAN = 12
TICKS_PER_BEAT = 960  # of MIDI files
BEATS_PER_MINUTE = 120
TICKS_PER_S = TICKS_PER_BEAT * BEATS_PER_MINUTE // 60  # a tick is 0.52 ms
PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

# The two controls of every plant that plays melodies.
PITCH = Control(
    "pitch", "MIDI", LOWEST_PITCH_MIDI, LOWEST_PITCH_MIDI + PITCH_SPAN, meaning="rounded"
)
DURATION = Control(
    "duration", "share", 0.4, 0.9, meaning="length in proportion to the other notes'"
)


def note_name(pitch_midi: int) -> str:
    """The name musicians use, middle C being C4.

    >>> note_name(62), note_name(61), note_name(24)
    ('D4', 'C#4', 'C1')
    """
    octave, step = divmod(int(pitch_midi), 12)
    return f"{PITCH_NAMES[step]}{octave - 1}"


@dataclass(frozen=True)
class Note:
    """One note: MIDI pitch, start and end in seconds, and the plant's other controls in their
    physical units, by name."""

    pitch_midi: int
    onset_s: float
    offset_s: float
    controls: dict[str, float] = field(default_factory=dict)
    sure: float | None = None
    """How likely it is that there was such a note, 0..1, where it was read from a recording."""


def one_patch(space: ControlSpace, notes: Sequence[Note]) -> bool:
    """Whether all notes are played with the same preset, as a musician would."""
    names = [control.name for control in space.shared]
    patches = {tuple(note.controls[name] for name in names) for note in notes}
    return bool(names) and len(patches) == 1


def shared_note(notes: Sequence[Note]) -> Note:
    """A note with all that the notes of a recording share, in the tuning of most of them."""
    tune = float(np.median([note.controls["tune"] for note in notes]))
    return replace(notes[0], controls=notes[0].controls | {"tune": tune})


def midi_velocity(level_db: float) -> int:
    """The velocity, 1 to 127, of a level in dB below the loudest: 40 log10(velocity / 127) dB, as
    recommended in General MIDI 1 (RP-003)."""
    return min(max(round(127 * 10 ** (level_db / 40)), 1), 127)


def note_spans(duration, melody_s: float = MELODY_S):
    """Seconds from each note's start to the next one's, from the control `duration` in 0..1.

    Works on numpy arrays and torch tensors alike and keeps gradients.

    Shape: `(*batch, note) -> (*batch, note)`, summing to `melody_s`.

    >>> note_spans(np.array([0.0, 1.0, 0.2])).round(3)
    array([0.444, 1.   , 0.556])
    """
    shares = 0.5 * duration + 0.4
    return melody_s * shares / shares.sum(-1)[..., None]


def sounding_note(
    duration: Float[np.ndarray, " note"],
    times_s: Float[np.ndarray, " time"],
    melody_s: float = MELODY_S,
) -> Int[np.ndarray, " time"]:
    """Which note of a melody a moment belongs to, from each note's start to the next one's.

    >>> sounding_note(np.array([0.0, 1.0, 0.2]), np.array([0.1, 0.5, 1.4, 1.5, 9.9]))
    array([0, 1, 1, 2, 2])
    """
    return np.searchsorted(note_spans(duration, melody_s).cumsum()[:-1], times_s)


def duration_controls(
    spans_s: Float[np.ndarray, "*batch note"],
) -> Float[np.ndarray, "*batch note"]:
    """A `duration` control that gives these spans: the inverse of `note_spans`.

    Only ratios of spans can be heard, so one degree of freedom is free; it is fixed by centring
    the longest and shortest in the control's range. Spans shorter than 0.4 / 0.9 of the longest
    are taken as that long. Raises ControlError unless all are positive.
    """
    spans_s = np.asarray(spans_s, dtype=np.float64)
    if spans_s.shape[-1] == 0 or not (np.isfinite(spans_s) & (spans_s > 0)).all():
        raise ControlError(
            "a melody needs notes one after another, each with time before the next."
        )
    spans_s = np.maximum(spans_s, 0.4 / 0.9 * spans_s.max(-1, keepdims=True))
    centre = np.sqrt(spans_s.min(-1, keepdims=True) * spans_s.max(-1, keepdims=True))
    shares = np.sqrt(0.4 * 0.9) * spans_s / centre
    return np.clip((shares - 0.4) / 0.5, 0.0, 1.0)


def melody_notes(
    space: ControlSpace, controls: Float[np.ndarray, "control note"], melody_s: float = MELODY_S
) -> list[Note]:
    """The notes of one melody; ControlError for controls the plant must not play."""
    controls = space.check(controls)
    if controls.ndim != 2:
        raise ControlError(f"one melody has the shape (control, note); got {controls.shape}.")
    physical = space.to_physical(controls)
    pitches = np.rint(PITCH_SPAN * controls[space.row("pitch")]).astype(int) + LOWEST_PITCH_MIDI
    ends_s = np.cumsum(note_spans(controls[space.row("duration")], melody_s))
    onsets_s = np.concatenate([[0.0], ends_s[:-1]])
    # A crowded melody has no room for the whole gap: a note sounds for half its span at least.
    offsets_s = ends_s - np.minimum(GAP_S, 0.5 * (ends_s - onsets_s))
    knobs = [name for name in space.names if name not in ("pitch", "duration")]
    return [
        Note(
            int(pitches[n]),
            float(onsets_s[n]),
            float(offsets_s[n]),
            {name: float(physical[space.row(name), n]) for name in knobs},
        )
        for n in range(controls.shape[-1])
    ]


def melody_controls(
    space: ControlSpace, notes: Sequence[Note], melody_s: float = MELODY_S
) -> Float[np.ndarray, "control note"]:
    """Controls that play `notes` as a melody, values out of range clipped.

    Raises ControlError for notes that are not one after another within the melody, or that lack
    one of the plant's controls.
    """
    onsets_s = np.array([note.onset_s for note in notes])
    controls = np.empty((len(space), len(notes)))
    for row, control in enumerate(space):
        if control.name == "pitch":
            pitches = np.array([note.pitch_midi for note in notes])
            controls[row] = (pitches - LOWEST_PITCH_MIDI) / PITCH_SPAN
        elif control.name == "duration":
            controls[row] = duration_controls(np.diff(onsets_s, append=melody_s))
        else:
            if any(control.name not in note.controls for note in notes):
                raise ControlError(f"every note needs the control {control.name}.")
            values = np.array([note.controls[control.name] for note in notes])
            controls[row] = control.from_physical(np.clip(values, control.low, control.high))
    return np.clip(controls, 0.0, 1.0)
