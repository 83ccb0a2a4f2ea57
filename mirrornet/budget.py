"""How often a plant may be played to better an answer, and for how long."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .interrupts import Interrupt, deferred_interrupt
from .progress import Progress

NO_END = 1 << 60


class Allowance:
    """A number of renders, a time, or both: whichever ends first. With neither, no end."""

    def __init__(
        self,
        renders: int | None = None,
        seconds: float | None = None,
        interrupt: Interrupt | None = None,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._renders, self._seconds, self._clock = renders, seconds, clock
        self._interrupt, self._progress = interrupt, progress
        self._began_s, self._least = clock(), math.inf
        self.spent = 0
        self._said = False

    @property
    def left(self) -> int:
        """Renders that may still be spent; of a time, as many as the pace so far promises."""
        if self.stopped:
            return 0
        left = NO_END if self._renders is None else self._renders - self.spent
        if self._seconds is not None:
            passed_s = self._passed_s
            if passed_s >= self._seconds:
                return 0
            pace_s = max(passed_s / self.spent, 1e-6) if self.spent else self._seconds
            left = min(left, math.ceil((self._seconds - passed_s) / pace_s))
        return max(left, 0)

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C ended it."""
        stopped = bool(self._interrupt and self._interrupt.asked)
        if stopped and self._progress and not self._said:
            self._said = True
            self._progress.say("Stopping with the best so far; Ctrl-C again to leave it.")
        return stopped

    def spend(self, error: float) -> None:
        """Note a render and how far off it was, as a share of the target's variance."""
        self.spent += 1
        self._least = min(self._least, error)
        if self._progress:
            done = self._passed_s if self._renders is None else self.spent
            self._progress.at(done, f"{100 * self._least:.3g} % of variance")

    @property
    def _passed_s(self) -> float:
        return self._clock() - self._began_s


@contextmanager
def allowed(
    renders: int | None, seconds: float | None, what: str = "Refining"
) -> Iterator[Allowance]:
    """An allowance with a bar that shows the best so far. The first Ctrl-C ends it, and who plays
    under it then gives that; a second Ctrl-C interrupts."""
    what, total = (f"{what} (s)", seconds or 0) if renders is None else (what, renders)
    with deferred_interrupt() as interrupt, Progress(what, total) as progress:
        yield Allowance(renders, seconds, interrupt, progress)
