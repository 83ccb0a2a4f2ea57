"""Scores as JSON: the notes and the patch, in physical units."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..score import Note, Score, note_name

# What parsed JSON raises that does not have the expected form.
MALFORMED = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


def score_json(score: Score) -> dict[str, Any]:
    """The patch and the notes of a score, JSON-ready; `score_of` is the inverse."""
    return {
        "patch": {name: as_json(value) for name, value in score.patch.items()},
        "notes": [
            {
                "pitch_midi": int(note.pitch_midi),
                "name": note_name(note.pitch_midi),
                "onset_s": float(note.onset_s),
                "offset_s": float(note.offset_s),
                "confidence": note.confidence,
                "glide": [list(point) for point in note.glide],
                "controls": {name: as_json(value) for name, value in note.controls.items()},
            }
            for note in score.notes
        ],
    }


def as_json(value: Any) -> Any:
    """Convert a value of a control for JSON and tables: numpy types to Python types."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def score_of(card: Mapping[str, Any]) -> Score:
    """The score in parsed JSON, as `score_json` makes it; its values are not validated.

    Raises one of `MALFORMED` for anything else.
    """
    notes = [
        Note(
            note["pitch_midi"],
            float(note["onset_s"]),
            float(note["offset_s"]),
            dict(note["controls"].items()),
            None if note.get("confidence") is None else float(note["confidence"]),
            tuple((float(s), float(semitones)) for s, semitones in note.get("glide", ())),
        )
        for note in card["notes"]
    ]
    patch = card.get("patch", {})
    if not isinstance(patch, dict):
        raise TypeError("a patch is an object")
    return Score(notes, patch)
