"""CSV for spreadsheets, with texts escaped that would be run as formulas."""

import csv
import io
from collections.abc import Iterable, Sequence

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")  # first characters of texts that may be run


def csv_text(rows: Iterable[Sequence[str | float | None]]) -> str:
    """Format rows of texts and numbers as CSV. A text that a spreadsheet may run as a formula is
    prefixed with an apostrophe (as OWASP advises); numbers are not changed.

    >>> csv_text([["=1+1.wav", -1.5]])
    "'=1+1.wav,-1.5\\r\\n"
    """
    table = io.StringIO(newline="")
    csv.writer(table).writerows(map(_guarded, cells) for cells in rows)
    return table.getvalue()


def _guarded(cell: str | float | None) -> str | float | None:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
