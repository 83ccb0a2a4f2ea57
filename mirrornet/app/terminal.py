"""Lines for the terminal, which obeys some characters: in the name of a file these are shown, not
sent."""

import re
import sys
from typing import TextIO

# Control characters, marks that turn the direction of text, ends of lines, bytes that are no text.
OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(line: str) -> str:
    r"""A line with what a terminal would obey as Python would write it.

    >>> print(printable("a\x1b[2Jb\n.wav"))
    a\x1b[2Jb\n.wav
    """
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


def say(line: str, file: TextIO | None = None) -> None:
    """Print one line at once, on standard output unless told otherwise."""
    print(printable(line), file=file or sys.stdout, flush=True)
