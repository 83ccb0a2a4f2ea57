"""Progress on the terminal: bars with the remaining time on stderr (without a terminal, only each
bar's final state), and cancellation by Ctrl-C."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

import rich.console
import rich.progress
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..events import Event, Progress
from ..runtime import Shared
from .interrupts import deferred_interrupt
from .streams import Forgiving
from .terminal import printable

WIDE = 124  # characters; wide enough for the numbers of every table
# The actual stderr, also while a calling program redirects it to progress bars of its own (rich).
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
        redirect_stdout=False,  # the calling program's output is left alone
        redirect_stderr=False,
    )


# rich supports one live display at a time, so the bars of all threads share one.
_SHOWN, _ENDING = Shared(_bars), Lock()


class Console:
    """Shows the events of `progress`, each stage as a bar. During a stage with `ends_well` on the
    main thread, the first Ctrl-C cancels `progress`; otherwise Ctrl-C raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.progress = Progress(self._hear)
        self._stages: dict[int, tuple[Any, Any, AbstractContextManager | None]] = {}

    def _hear(self, event: Event) -> None:
        match event:
            case Event(kind="say", text=text):
                show(text)
            case Event(kind="begin"):
                bars = _SHOWN.__enter__()
                task = bars.add_task(event.stage, total=event.total, note="")
                interrupts = None
                if event.ends_well:
                    interrupts = deferred_interrupt(self.progress.cancel)
                    interrupts.__enter__()
                self._stages[event.number] = bars, task, interrupts
            case Event(kind="advance"):
                bars, task, _ = self._stages[event.number]
                bars.update(task, completed=event.done, note=event.note)
            case Event(kind="end"):
                bars, task, interrupts = self._stages.pop(event.number)
                if interrupts:
                    interrupts.__exit__(None, None, None)
                with _ENDING:
                    tasks = {one.id: one for one in bars.tasks}
                    if len(tasks) > 1:  # print its final state above the others
                        bars.remove_task(task)
                        CONSOLE.print(bars.make_tasks_table([tasks[task]]))
                    _SHOWN.__exit__()


def show(sentence: str) -> None:
    """Print a sentence above the bars."""
    plain: Any = dict.fromkeys(("highlight", "markup", "emoji"), False)
    CONSOLE.print(printable(sentence), soft_wrap=True, **plain)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first row as header, at least `WIDE` characters wide: a narrower terminal
    wraps its lines, but no number is truncated."""
    table = Table(*rows[0], box=SIMPLE_HEAD, padding=0)
    table.columns[0].no_wrap = True
    for row in rows[1:]:
        table.add_row(*row)
    console = rich.console.Console()
    rich.console.Console(width=max(console.width, WIDE)).print(table)
