"""Tables as CSV, which a spreadsheet opens: no text in them is taken for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a text begins that may be run


def csv_text(rows: Iterable[Sequence[str | float | None]]) -> str:
    """Rows of texts and numbers. A text that may be run gets an apostrophe before it (as OWASP
    advises); numbers stay as they are.

    >>> csv_text([["=1+1.wav", -1.5]])
    "'=1+1.wav,-1.5\\r\\n"
    """
    table = io.StringIO(newline="")
    csv.writer(table).writerows(map(_guarded, cells) for cells in rows)
    return table.getvalue()


def _guarded(cell: str | float | None) -> str | float | None:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
