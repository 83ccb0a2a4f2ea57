"""Cells of tables: how scores are shown, and rows as Markdown."""

from collections.abc import Callable
from typing import Any

Rows = list[list[str]]
"""Of cells; the first row is the header."""


def _percent(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda score: f"{100 * score[key]:.3g}" if key in score else ""


def _number(key: str, digits: int) -> Callable[[dict[str, Any]], str]:
    return lambda score: f"{score[key]:.{digits}f}" if key in score else ""


MATCH_ERROR = "match error (% of variance)"
SCORES: dict[str, Callable[[dict[str, Any]], str]] = {
    "notes right (%)": _percent("notes_right"),
    "onset error (ms)": _number("onset_error_ms", 2),
    "duration error (ms)": _number("duration_error_ms", 2),
    MATCH_ERROR: _percent("spectrogram_error"),
    "e_c (% of variance)": _percent("e_c"),
    "e_d (% of variance)": _percent("e_d"),
    "MSS (dB)": _number("mss_db", 2),
    "wMFCC": _number("wmfcc", 2),
    "SOT": _number("sot", 4),
    "RMS cosine": _number("rms_cosine", 4),
}


def markdown(rows: Rows) -> str:
    """Format rows of cells as a Markdown table; the first row is the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
