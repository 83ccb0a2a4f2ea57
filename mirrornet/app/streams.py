"""Output on which no work depends: a stream that is closed, full, or no longer read is passed
over."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# A pipe's reader or a terminal is gone: nobody misses what is not written. (Windows says EINVAL.)
GONE = {errno.EPIPE, errno.EBADF, errno.EIO, errno.EINVAL}


class Forgiving:
    """Writes to the stream that `find` finds, if there is one, and forgives it what it cannot take.
    In all else it is that stream."""

    def __init__(self, find: Callable[[], TextIO | None]):
        self._find = find
        self.problem: OSError | None = None
        """The first."""

    def write(self, text: str) -> int:
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        self._attempt("flush")

    def _attempt(self, what: str, *arguments: str) -> None:
        stream = self._find()
        if _is_closed(stream):
            return
        try:
            getattr(stream, what)(*arguments)
        except OSError as error:
            # A new one: the other holds on to all that was at work.
            self.problem = self.problem or OSError(error.errno, error.strerror)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


def _is_closed(stream: object) -> bool:
    return stream is None or getattr(stream, "closed", False)


@contextmanager
def forgiving_output(to_the_end: bool) -> Iterator[Forgiving]:
    """What is printed inside is forgiven; gives standard output, which knows what became of it.
    `to_the_end`: the process ends with it, and a stream that failed is not written to any more."""
    # Were any of 0 to 2 closed, a file of ours would get that number, and what C prints to it.
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    before = sys.stdout, sys.stderr
    with open(spare, "w") as nowhere:
        out, err = (nowhere if _is_closed(one) else one for one in before)
        if isinstance(out, io.TextIOWrapper):  # a file's name need not be text
            out.reconfigure(errors="backslashreplace")
        ours: Any = Forgiving(lambda: out), Forgiving(lambda: err)
        sys.stdout, sys.stderr = ours
        try:
            yield ours[0]
        finally:
            sys.stdout, sys.stderr = before
            for one in ours:
                one.flush()
                if one.problem and to_the_end:  # what Python flushes then would fail again
                    with suppress(OSError):  # a stand-in has no file
                        os.dup2(spare, one.fileno())
