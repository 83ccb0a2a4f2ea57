"""What there is one of in a process, and several threads want at a time."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import RLock
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Shared(Generic[Thing]):
    """A context manager that any number of threads may be inside of: the first to come in enters
    what `make` makes, and the last to go out leaves it."""

    def __init__(self, make: Callable[[], AbstractContextManager[Thing]]):
        self._make, self._lock, self._inside = make, RLock(), 0

    def __enter__(self) -> Thing:
        with self._lock:
            if not self._inside:
                self._context = self._make()
                self._thing = self._context.__enter__()
            self._inside += 1
            return self._thing

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._context.__exit__(None, None, None)
