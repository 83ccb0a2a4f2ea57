"""Ctrl-C that lets what is under way come to a good end, and signals that do as it does."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# What ends a process from outside, and a terminal's programs where it is closed.
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupt:
    asked = False


class Ended:
    signum: int = signal.SIGINT
    """Of the signal that came last. (A KeyboardInterrupt that passes through C++ forgets it.)"""


_ended = Ended()


@contextmanager
def deferred_interrupt(ask_instead: Callable[[], None] = lambda: None) -> Iterator[Interrupt]:
    """The first Ctrl-C only sets `asked` and calls `ask_instead`; the second one interrupts. The
    same for `ENDINGS`, where they are `endings_interrupt`."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # only the main thread hears signals
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
        # None is a handler that is not Python's, and could not be put back.
        if handler is None or (number != signal.SIGINT and handler is not _end):
            del before[number]
    try:
        for number in [*before]:
            if number in before:  # and no signal came meanwhile
                signal.signal(number, ask)
        yield interrupt
    finally:
        put_back()


@contextmanager
def endings_interrupt() -> Iterator[Ended]:
    """`ENDINGS` interrupt as Ctrl-C does, once; those that were handled or ignored (as by nohup)
    before are left alone."""
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
    for number in ENDINGS:  # what is cleaned up now must not be interrupted again
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
