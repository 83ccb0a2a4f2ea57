"""Progress reports and cancellation of long work.

Long work takes a `Progress`: it reports events to it and asks it whether it was cancelled. It draws
nothing and handles no signals, so it runs on any thread. A listener (e.g. a console) is optional.
"""

from collections.abc import Callable, Iterator, Sequence
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
    """The best answer so far, for a part of the target or all of it."""

    error: float
    """Spectrogram error, as a share of the target's variance."""
    notes: list[Note]
    audio: Float[np.ndarray, " sample"] = field(repr=False)
    sample_rate_hz: int


Kind = Literal["begin", "advance", "end", "say", "notes"]


@dataclass(frozen=True)
class Event:
    """The state of a stage of the work, a sentence for the user (`say`), or the notes that were
    found (`notes`). `number` distinguishes stages of the same name."""

    kind: Kind
    text: str = ""
    stage: str = ""
    number: int = -1
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    """A few figures for the user, such as losses."""
    best: Best | None = None
    ends_well: bool = False
    """Whether the stage, when cancelled, ends with the result so far."""
    notes: Sequence[Note] = ()


Listener = Callable[[Event], None]
_NUMBERS = count()


class Progress:
    """Receives the reports of work, and tells it whether it was cancelled.

    `listener` is called on the working thread with every event, in order. `cancel` may be called
    from any thread, also by the listener.
    """

    def __init__(self, listener: Listener | None = None):
        self._listener = listener
        self._cancelled = Flag()

    def cancel(self) -> None:
        """Cancel the work. Refinement ends with the best answer so far; training saves its state
        and raises CancelledError; all other work raises CancelledError."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise CancelledError if the work was cancelled."""
        if self.cancelled:
            raise CancelledError("the work was cancelled.")

    def say(self, text: str) -> None:
        """Report a sentence for the user."""
        self._tell(Event("say", text))

    def found(self, notes: Sequence[Note]) -> None:
        """Report the notes that were found, before the controls that play them."""
        self._tell(Event("notes", notes=notes))

    @contextmanager
    def stage(self, name: str, total: float, ends_well: bool = False) -> Iterator["Stage"]:
        """A context manager for a stage of the work; `Stage.at` counts up to `total`."""
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
    """A stage of the work in progress; made by `Progress.stage`."""

    def __init__(self, progress: Progress, name: str, total: float, ends_well: bool):
        self.progress, self._name, self._total = progress, name, total
        self._ends_well, self._number = ends_well, next(_NUMBERS)
        self._done, self._note = 0.0, ""
        self._best: Best | None = None

    def at(self, done: float, note: str | None = None, best: Best | None = None) -> None:
        """Report that `done` of the total are done; `note` and `best` are kept if not given.

        Raises CancelledError if the work was cancelled, unless the stage `ends_well`.
        """
        self._done, self._best = done, best or self._best
        self._note = self._note if note is None else note
        self.tell("advance")
        if not self._ends_well:
            self.progress.check()

    def say(self, text: str) -> None:
        self.progress.say(text)

    def tell(self, kind: Kind) -> None:
        """Report the state of the stage as an event of this kind."""
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
