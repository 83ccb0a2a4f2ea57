"""A progress bar with the time left, on the error stream; elsewhere than on a terminal, its end."""

import sys
from threading import Lock
from typing import Any

import rich.console
import rich.progress

from .app.streams import Forgiving
from .app.terminal import printable
from .shared import Shared

# Not where a program that shows bars of its own with rich leads the error stream meanwhile.
_OUT: Any = Forgiving(lambda: getattr(sys.stderr, "rich_proxied_file", sys.stderr))
CONSOLE = rich.console.Console(file=_OUT)


def _bars() -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left"),
        rich.progress.TimeRemainingColumn(elapsed_when_finished=False),
        rich.progress.TextColumn("{task.fields[note]}"),
        console=CONSOLE,
        speed_estimate_period=60,
        redirect_stdout=False,  # what a program prints goes where it wants
        redirect_stderr=False,
    )


# rich shows one display at a time, so all bars, of all threads, are in one.
_SHOWN, _ENDING = Shared(_bars), Lock()


class Progress:
    """`with Progress("Babbling", total) as progress: progress.at(done, note)`."""

    def __init__(self, what: str, total: float):
        self._what, self._total = what, total

    def at(self, done: float, note: str = "") -> None:
        """`done` of the total are done."""
        self._bars.update(self._task, completed=done, note=note)

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        plain: Any = dict.fromkeys(("highlight", "markup", "emoji"), False)
        CONSOLE.print(printable(sentence), soft_wrap=True, **plain)

    def __enter__(self) -> "Progress":
        self._bars = _SHOWN.__enter__()
        self._task = self._bars.add_task(self._what, total=self._total, note="")
        return self

    def __exit__(self, *_: object) -> None:
        with _ENDING:
            tasks = {task.id: task for task in self._bars.tasks}
            if len(tasks) > 1:  # it stays as it is, above those that go on
                self._bars.remove_task(self._task)
                CONSOLE.print(self._bars.make_tasks_table([tasks[self._task]]))
            _SHOWN.__exit__()
