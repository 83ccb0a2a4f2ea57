"""What long work reports while it is under way, and how it is asked to stop.

Work is given a `Progress`. It reports to that, and asks it whether to go on; it draws nothing and
handles no signals, so it runs on any thread. A console, a page or nobody listens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event as Flag
from typing import Literal

import numpy as np
from jaxtyping import Float

from .errors import CancelledError
from .score import Note


@dataclass(frozen=True)
class Best:
    """The best answer so far, of a part of the target or all of it."""

    error: float
    """Spectrogram error: a share of the target's variance."""
    notes: list[Note]
    audio: Float[np.ndarray, " sample"] = field(repr=False)
    sample_rate_hz: int


Kind = Literal["begin", "advance", "end", "say"]


@dataclass(frozen=True)
class Event:
    """Where a stage of the work stands, or a sentence for people (`say`). `number` tells stages of
    one name apart."""

    kind: Kind
    text: str = ""
    stage: str = ""
    number: int = -1
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    """A few figures, such as losses, for people."""
    best: Best | None = None
    ends_well: bool = False
    """Whether the stage, when it is cancelled, ends with what was reached so far."""


Listener = Callable[[Event], None]
_NUMBERS = count()


class Progress:
    """Where work reports, and whether it was cancelled.

    `listener` is called on the thread that works, with every event in order. `cancel` may be called
    from any thread, also by the listener.
    """

    def __init__(self, listener: Listener | None = None):
        self._listener = listener
        self._cancelled = Flag()

    def cancel(self) -> None:
        """Ask the work to stop. What improves an answer ends with the best so far; a training saves
        its state and raises CancelledError; anything else raises CancelledError."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise CancelledError if the work was cancelled."""
        if self.cancelled:
            raise CancelledError("the work was cancelled.")

    def say(self, text: str) -> None:
        self._tell(Event("say", text))

    @contextmanager
    def stage(self, name: str, total: float, ends_well: bool = False) -> Iterator["Stage"]:
        """A part of the work, within a `with` block."""
        stage = Stage(self, name, total, ends_well)
        stage.tell("begin")
        try:
            yield stage
        finally:
            stage.tell("end")

    def _tell(self, event: Event) -> None:
        if self._listener:
            self._listener(event)


class Stage:
    """A part of the work under way; made by `Progress.stage`."""

    def __init__(self, progress: Progress, name: str, total: float, ends_well: bool):
        self.progress, self._name, self._total = progress, name, total
        self._ends_well, self._number = ends_well, next(_NUMBERS)
        self._done, self._note = 0.0, ""
        self._best: Best | None = None

    def at(self, done: float, note: str | None = None, best: Best | None = None) -> None:
        """`done` of the total are done; note and best stay where none is given.

        Raises CancelledError if the work was cancelled, unless the stage ends well by itself.
        """
        self._done, self._best = done, best or self._best
        self._note = self._note if note is None else note
        self.tell("advance")
        if not self._ends_well:
            self.progress.check()

    def say(self, text: str) -> None:
        self.progress.say(text)

    def tell(self, kind: Kind) -> None:
        self.progress._tell(
            Event(
                kind,
                "",
                self._name,
                self._number,
                self._done,
                self._total,
                self._note,
                self._best,
                self._ends_well,
            )
        )
