"""Output whose errors do not stop the work: writes to a stream that is closed, full or no longer
read are dropped."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# A pipe's reader or a terminal is gone, so nothing is lost that would be read. (Windows: EINVAL.)
GONE = {errno.EPIPE, errno.EBADF, errno.EIO, errno.EINVAL}


class Forgiving:
    """A proxy of the stream that `find` returns: writes to it, if it is open, and ignores OSErrors.
    All other attributes are the stream's."""

    def __init__(self, find: Callable[[], TextIO | None]):
        self._find = find
        self.problem: OSError | None = None
        """The first error of a write or flush."""

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
            # A copy: the original's traceback would keep all frames alive.
            self.problem = self.problem or OSError(error.errno, error.strerror)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


def _is_closed(stream: object) -> bool:
    return stream is None or getattr(stream, "closed", False)


@contextmanager
def forgiving_output(to_the_end: bool) -> Iterator[Forgiving]:
    """Within the block, errors of stdout and stderr are ignored; yields stdout, which keeps its
    first error. `to_the_end`: the process ends after the block, and a stream that failed is
    replaced by the null device."""
    # If any of 0 to 2 is closed, the next file opened would get its number, and the output of C.
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    before = sys.stdout, sys.stderr
    with open(spare, "w") as nowhere:
        out, err = (nowhere if _is_closed(one) else one for one in before)
        if isinstance(out, io.TextIOWrapper):  # file names may be invalid Unicode
            out.reconfigure(errors="backslashreplace")
        ours: Any = Forgiving(lambda: out), Forgiving(lambda: err)
        sys.stdout, sys.stderr = ours
        try:
            yield ours[0]
        finally:
            sys.stdout, sys.stderr = before
            for one in ours:
                one.flush()
                if one.problem and to_the_end:  # Python's flush at exit would fail again
                    with suppress(OSError):  # a substitute may have no file descriptor
                        os.dup2(spare, one.fileno())
