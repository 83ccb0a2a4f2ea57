"""A progress bar with the time left, on the error stream; elsewhere than on a terminal, its end."""

import rich.console
import rich.progress

from .terminal import printable

# One for all: a bar inside another takes the line below it.
CONSOLE = rich.console.Console(stderr=True)


class Progress:
    """`with Progress("Babbling", total) as progress: progress.at(done, note)`."""

    def __init__(self, what: str, total: float):
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=False),
            rich.progress.TextColumn("{task.fields[note]}"),
            console=CONSOLE,
            speed_estimate_period=60,
        )
        self._task = self._bar.add_task(what, total=total, note="")

    def at(self, done: float, note: str = "") -> None:
        """`done` of the total are done."""
        self._bar.update(self._task, completed=done, note=note)

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(printable(sentence), highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
