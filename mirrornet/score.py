"""Scores: the input of a plant. Notes, and the patch that plays them.

A score is in physical units: seconds, MIDI pitches, and controls in their own units. Networks and
refinement work on arrays of 0..1. All conversions are in this module, of two kinds:

- any score: a row of values for each note, and the rows of its patch (`ScoreArrays`);
- a melody of the paper: `(control, note)`, in which `pitch` and `duration` are controls like others
  and the notes fill two seconds. Decoding is as in the authors' code: midi = rint(12 p) + 62;
  durations in proportion to 0.5 d + 0.4, scaled to fill the melody; each note ends 0.1 s before the
  next begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .controls import Control, ControlSpace, Value
from .errors import ControlError

MELODY_S = 2.0
GAP_S = 0.1
LOWEST_PITCH_MIDI = 62
PITCH_SPAN = 12
TICKS_PER_BEAT = 960  # of MIDI files
BEATS_PER_MINUTE = 120
TICKS_PER_S = TICKS_PER_BEAT * BEATS_PER_MINUTE // 60  # a tick is 0.52 ms
PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
PITCH_VALUE, ONSET_VALUE, OFFSET_VALUE, TIMES = 0, 1, 2, 3  # columns of `ScoreArrays.notes`

# The two controls that every plant for melodies has.
PITCH = Control(
    "pitch",
    "MIDI",
    LOWEST_PITCH_MIDI,
    LOWEST_PITCH_MIDI + PITCH_SPAN,
    meaning="rounded",
    role="pitch",
)
DURATION = Control(
    "duration",
    "share",
    0.4,
    0.9,
    meaning="length in proportion to the other notes'",
    role="duration",
)


def note_name(pitch_midi: int) -> str:
    """The name of a MIDI pitch; middle C is C4.

    >>> note_name(62), note_name(61), note_name(24)
    ('D4', 'C#4', 'C1')
    """
    octave, step = divmod(int(pitch_midi), 12)
    return f"{PITCH_NAMES[step]}{octave - 1}"


@dataclass(frozen=True)
class Note:
    """One note: the MIDI pitch of its key, onset and offset in seconds, and its own controls by
    name, in physical units. The patch gives the other controls."""

    pitch_midi: int
    onset_s: float
    offset_s: float
    controls: dict[str, Value] = field(default_factory=dict)
    confidence: float | None = None
    """The probability, 0..1, that this note was played, if it was read from a recording."""
    glide: tuple[tuple[float, float], ...] = ()
    """Points of a glide or bend that was heard: time since the onset in s, and semitones beside the
    note's pitch and tune; the pitch moves linearly from one to the next. Plants that have the role
    `bend` play it; MIDI files bend the wheel."""


@dataclass(frozen=True)
class Score:
    """Notes, and the patch: controls of all notes that do not have their own."""

    notes: Sequence[Note]
    patch: dict[str, Value] = field(default_factory=dict)
    duration_s: float | None = None
    """Length of the sound; None: until the last note and its release have ended."""

    @property
    def resolved(self) -> list[Note]:
        """The notes with all their controls, including those of the patch."""
        return [replace(note, controls={**self.patch, **note.controls}) for note in self.notes]

    @property
    def one_patch(self) -> bool:
        """Whether there is a patch of which no note overrides a control: one preset for all."""
        own = {name for note in self.notes for name in note.controls}
        return bool(self.patch) and not own & self.patch.keys()

    def with_patch(self, patch: dict[str, Value]) -> "Score":
        """The same notes with another patch, which replaces their own values of its controls."""
        notes = [
            replace(note, controls={k: v for k, v in note.controls.items() if k not in patch})
            for note in self.notes
        ]
        return replace(self, notes=notes, patch=patch)

    def common(self, name: str) -> float:
        """The median of a control over the notes."""
        return float(np.median([note.controls[name] for note in self.resolved]))


def as_score(space: ControlSpace, notes: Sequence[Note], duration_s: float | None = None) -> Score:
    """Make a score of notes that have all their controls. The controls with the scope `patch`
    become its patch if they are equal in all notes."""
    names = space.patch.names
    score = Score(list(notes), {}, duration_s)
    if not names or not notes:
        return score
    patches = [{name: note.controls[name] for name in names} for note in notes]
    rows = [space.patch.to_vector(patch) for patch in patches]
    same = all(np.array_equal(rows[0], row) for row in rows)
    return score.with_patch(patches[0]) if same else score


def one_voice(notes: Sequence[Note]) -> list[Note]:
    """Make notes monophonic: each ends when the next begins, at the latest (it may ring on)."""
    ends_s = [note.onset_s for note in notes[1:]] + [np.inf]
    return [
        replace(note, offset_s=min(note.offset_s, end_s))
        for note, end_s in zip(notes, ends_s, strict=True)
    ]


class ScoreArrays(NamedTuple):
    """A score with one patch as arrays."""

    notes: Float[np.ndarray, "note value"]
    """MIDI pitch, onset and offset in seconds (monophonic), then the rows of the note's own
    controls, 0..1. Rows after the last note are NaN."""
    patch: Float[np.ndarray, " row"]
    """The rows of the patch, 0..1."""


def to_arrays(space: ControlSpace, score: Score, most_notes: int | None = None) -> ScoreArrays:
    """Convert a score to arrays, cut or padded to `most_notes`. Pitches are those of the keys."""
    own = space.own
    resolved = one_voice(score.resolved)[:most_notes]
    length = len(resolved) if most_notes is None else most_notes
    rows = np.full((length, TIMES + len(own.rows)), np.nan, np.float32)
    for row, note in zip(rows, resolved, strict=False):
        times = note.pitch_midi, note.onset_s, note.offset_s
        row[:] = [*times, *own.to_vector(note.controls)]
    return ScoreArrays(rows, space.patch.to_vector(resolved[0].controls).astype(np.float32))


def from_arrays(
    space: ControlSpace,
    notes: Float[np.ndarray, "note value"],
    patch: Float[np.ndarray, " row"],
    duration_s: float | None = None,
) -> Score:
    """The inverse of `to_arrays`."""
    own = space.own
    found = [
        Note(
            round(row[PITCH_VALUE]),
            row[ONSET_VALUE],
            row[OFFSET_VALUE],
            own.from_vector(np.array(row[TIMES:])),
        )
        for row in notes[~np.isnan(notes[:, PITCH_VALUE])].tolist()
    ]
    return Score(found, space.patch.from_vector(patch), duration_s)


def midi_velocity(level_db: float) -> int:
    """The MIDI velocity, 1 to 127, of a level in dB re the loudest: 40 log10(velocity / 127) dB, as
    recommended in General MIDI 1 (RP-003)."""
    return min(max(round(127 * 10 ** (level_db / 40)), 1), 127)


def on_tick(time_s: float) -> float:
    """Round a time to a tick of a MIDI file at 120 beats per minute, at 0 or later."""
    return round(max(time_s, 0.0) * TICKS_PER_S) / TICKS_PER_S


def note_spans(duration, melody_s: float = MELODY_S):
    """Seconds from each note's onset to the next one's, from the control `duration` in 0..1.

    Accepts numpy arrays and torch tensors, and keeps gradients.

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
    """The index of the melody's note at each time; a note lasts until the next one's onset.

    >>> sounding_note(np.array([0.0, 1.0, 0.2]), np.array([0.1, 0.5, 1.4, 1.5, 9.9]))
    array([0, 1, 1, 2, 2])
    """
    return np.searchsorted(note_spans(duration, melody_s).cumsum()[:-1], times_s)


def duration_controls(
    spans_s: Float[np.ndarray, "*batch note"],
) -> Float[np.ndarray, "*batch note"]:
    """Values of the control `duration` that give these spans: the inverse of `note_spans`.

    Only ratios of spans are audible, which leaves one degree of freedom; it is fixed by centring
    the longest and shortest in the control's range. Spans shorter than 0.4 / 0.9 of the longest
    are raised to that. Raises ControlError unless all are positive.
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


def melody_score(
    space: ControlSpace, controls: Float[np.ndarray, "control note"], melody_s: float = MELODY_S
) -> Score:
    """Convert a melody of the paper to a score. Raises ControlError for invalid controls."""
    controls = space.check(controls)
    if controls.ndim != 2:
        raise ControlError(f"one melody has the shape (control, note); got {controls.shape}.")
    pitch, duration = (controls[space.row_of_role(role)] for role in ("pitch", "duration"))
    pitches = np.rint(PITCH_SPAN * pitch).astype(int) + LOWEST_PITCH_MIDI
    ends_s = np.cumsum(note_spans(duration, melody_s))
    onsets_s = np.concatenate([[0.0], ends_s[:-1]])
    # A short span has no room for the whole gap: a note lasts for at least half its span.
    offsets_s = ends_s - np.minimum(GAP_S, 0.5 * (ends_s - onsets_s))
    knobs = space.knobs
    rows = [row for row, control in enumerate(space.rows) if control in knobs]
    notes = [
        Note(
            int(pitches[n]),
            float(onsets_s[n]),
            float(offsets_s[n]),
            knobs.from_vector(controls[rows, n]),
        )
        for n in range(controls.shape[-1])
    ]
    return Score(notes, {}, melody_s)


def knob_controls(space: ControlSpace, notes: Sequence[Note]) -> Float[np.ndarray, "row note"]:
    """The controls of notes, 0..1, clipped: a row for each row of the space."""
    return np.clip(np.stack([space.to_vector(note.controls) for note in notes], 1), 0.0, 1.0)
