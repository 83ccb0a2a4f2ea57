"""Limits on the renders and the time that are spent on improving an answer."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .events import Best, Progress, Stage

NO_END = 1 << 60


class Budget:
    """A limit on renders, on seconds, or both, whichever is reached first; with neither, no limit.

    Spending is reported to `stage`; once its work is cancelled, nothing is left.
    """

    def __init__(
        self,
        renders: int | None = None,
        seconds: float | None = None,
        stage: Stage | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._renders, self._seconds, self._clock, self._stage = renders, seconds, clock, stage
        self._began_s, self._least = clock(), math.inf
        self.spent = 0
        self._said = False

    @property
    def left(self) -> int:
        """Renders that may still be spent; under a time limit, estimated from the pace so far."""
        if self.cancelled:
            return 0
        left = NO_END if self._renders is None else self._renders - self.spent
        if self._seconds is not None:
            passed_s = self._passed_s
            if passed_s >= self._seconds:
                return 0
            pace_s = max(passed_s / self.spent, 1e-6) if self.spent else self._seconds
            left = min(left, math.ceil((self._seconds - passed_s) / pace_s))
        return max(left, 0)

    def left_of(
        self, renders: int | None, seconds: float | None
    ) -> tuple[int | None, float | None]:
        """What this budget left of limits on renders and on seconds from which it was taken."""
        left_s = None if seconds is None else max(seconds - self._passed_s, 0.0)
        return None if renders is None else max(renders - self.spent, 0), left_s

    @property
    def cancelled(self) -> bool:
        """Whether the work was cancelled; reports it to the stage once."""
        cancelled = bool(self._stage and self._stage.progress.cancelled)
        if cancelled and self._stage and not self._said:
            self._said = True
            self._stage.say("Stopping with the best so far.")
        return cancelled

    def spend(self, error: float, best: Callable[[], Best] | None = None) -> None:
        """Count a render and its error, a share of the target's variance; `best` is called for the
        answer to report if the error is the lowest so far."""
        self.spent += 1
        better = error < self._least
        self._least = min(self._least, error)
        if self._stage:
            done = self._passed_s if self._renders is None else self.spent
            note = f"{100 * self._least:.3g} % of variance"
            self._stage.at(done, note, best() if best and better else None)

    @property
    def _passed_s(self) -> float:
        return self._clock() - self._began_s


@contextmanager
def budgeted(
    progress: Progress, renders: int | None, seconds: float | None, name: str = "Refining"
) -> Iterator[Budget]:
    """A context with a `Budget` whose spending is reported as the stage `name`."""
    name, total = (f"{name} (s)", seconds or 0) if renders is None else (name, renders)
    with progress.stage(name, total, ends_well=True) as stage:
        yield Budget(renders, seconds, stage)
