"""Output of lines to the terminal, with control characters (as in file names) escaped."""

import re
import sys
from typing import TextIO

# Control characters, marks of text direction, line ends, surrogates of undecodable bytes.
OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(line: str) -> str:
    r"""Escape the characters that a terminal would interpret, in Python's notation.

    >>> print(printable("a\x1b[2Jb\n.wav"))
    a\x1b[2Jb\n.wav
    """
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


def say(line: str, file: TextIO | None = None) -> None:
    """Print one line, escaped and flushed, to `file`; by default to stdout."""
    print(printable(line), file=file or sys.stdout, flush=True)
