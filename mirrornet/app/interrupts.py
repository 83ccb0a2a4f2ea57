"""Deferred Ctrl-C, so that running work can end in order, and signals that act like Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# The signals that ask a process to end, and that a closed terminal sends to its programs.
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupt:
    """Whether an interrupt came within a `deferred_interrupt` block."""

    asked = False


class Ended:
    """The signal that interrupted the process."""

    signum: int = signal.SIGINT
    """Number of the last signal. (A KeyboardInterrupt loses it when it passes through C++.)"""


_ended = Ended()


@contextmanager
def deferred_interrupt(ask_instead: Callable[[], None] = lambda: None) -> Iterator[Interrupt]:
    """Within the block, the first Ctrl-C only sets `asked` and calls `ask_instead`; the second one
    raises KeyboardInterrupt. Within `endings_interrupt`, the same holds for `ENDINGS`. On
    threads other than the main one, nothing changes."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # Python handles signals on the main thread only
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        interrupt.asked, _ended.signum = True, signum
        put_back()
        ask_instead()

    def put_back() -> None:
        while before:
            signal.signal(*before.popitem())

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDINGS)}
    for number, handler in [*before.items()]:
        # None: a handler that was not set from Python and could not be restored.
        if handler is None or (number != signal.SIGINT and handler is not _end):
            del before[number]
    try:
        for number in [*before]:
            if number in before:  # unless a signal came meanwhile and restored all
                signal.signal(number, ask)
        yield interrupt
    finally:
        put_back()


@contextmanager
def endings_interrupt() -> Iterator[Ended]:
    """Within the block, the first of `ENDINGS` raises KeyboardInterrupt, as Ctrl-C does. Signals
    that are already handled or ignored (as by nohup) are left alone."""
    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in ENDINGS if signal.getsignal(number) == signal.SIG_DFL]
    _ended.signum = signal.SIGINT
    for number in ours:
        signal.signal(number, _end)
    try:
        yield _ended
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end(signum: int, frame: FrameType | None) -> None:
    _ended.signum = signum
    for number in ENDINGS:  # cleaning up must not be interrupted
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
