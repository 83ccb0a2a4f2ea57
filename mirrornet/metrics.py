"""How good controls and sounds are.

Conventions: controls are `(melody, control, note)` in 0..1 of one control space; spectrograms are
loudness-compressed auditory spectrograms `(melody, channel, frame)`; "true" comes first. Every
metric checks that both have the same shape and hold finite numbers.

What cannot be heard is not scored: spans only matter relative to their sum, so times are in
seconds after decoding; levels only matter relative to each other, so they are compared in dB with
the mean over the melody's notes removed.
"""

import numpy as np
from jaxtyping import Float

from .controls import ControlSpace
from .melody import PITCH_SPAN, note_spans

Controls = Float[np.ndarray, "melody control note"]
Spectrograms = Float[np.ndarray, "melody channel frame"]


def spectrogram_error(true: Spectrograms, other: Spectrograms) -> float:
    """Mean squared difference, as a share of the variance of the true ones; 0 is perfect, and
    answering with their overall mean scores 1."""
    true, other = _checked(true, other)
    return float(np.mean((true - other) ** 2) / np.var(true))


def notes_right(true: Controls, other: Controls, space: ControlSpace) -> float:
    """Share of notes with the right MIDI pitch."""
    true, other = _checked(true, other)
    row = space.row("pitch")
    return float(np.mean(_semitones(true[:, row]) == _semitones(other[:, row])))


def onset_error_ms(true: Controls, other: Controls, space: ControlSpace) -> float:
    """Mean absolute error of note starts, the first (always at 0) left out."""
    true, other = _checked(true, other)
    starts = [note_spans(x[:, space.row("duration")]).cumsum(-1)[:, :-1] for x in (true, other)]
    return float(1e3 * np.mean(np.abs(starts[0] - starts[1]))) if starts[0].size else 0.0


def duration_error_ms(true: Controls, other: Controls, space: ControlSpace) -> float:
    """Mean absolute error of the time from each note's start to the next one's."""
    true, other = _checked(true, other)
    row = space.row("duration")
    return float(1e3 * np.mean(np.abs(note_spans(true[:, row]) - note_spans(other[:, row]))))


def control_errors(
    true: Controls, other: Controls, space: ControlSpace
) -> dict[str, dict[str, float]]:
    """For every control but pitch and duration: mean absolute error in 0..1 (`mae`), the same in
    the control's unit (`mae_physical`), and the share of variance explained (`r2`; NaN where the
    true ones do not vary)."""
    true, other = _checked(true, other)
    errors = {}
    for row, control in enumerate(space):
        if control.name in ("pitch", "duration"):
            continue
        a, b = true[:, row], np.clip(other[:, row], 0, 1)
        a_physical, b_physical = control.to_physical(a), control.to_physical(b)
        if control.name == "level":
            a, b, a_physical, b_physical = (
                x - x.mean(-1, keepdims=True) for x in (a, b, a_physical, b_physical)
            )
        errors[control.name] = {
            "mae": float(np.mean(np.abs(a - b))),
            "mae_physical": float(np.mean(np.abs(a_physical - b_physical))),
            "r2": float(1 - np.mean((a - b) ** 2) / np.var(a)) if np.var(a) else float("nan"),
        }
    return errors


def _semitones(pitch: np.ndarray) -> np.ndarray:
    return np.rint(PITCH_SPAN * pitch)


def _checked(true: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, other = np.asarray(true, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if true.shape != other.shape or true.size == 0:
        raise ValueError(
            f"both must have the same shape, not empty; got {true.shape}, {other.shape}."
        )
    if not (np.isfinite(true).all() and np.isfinite(other).all()):
        raise ValueError("both must be finite.")
    return true, other
