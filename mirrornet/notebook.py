"""In a Jupyter notebook: progress bars of long work, and a match that shows itself."""

import sys
from html import escape
from typing import Any

from .events import Event, Progress


def progress() -> Progress:
    """A progress that shows its stages in the notebook's cell; outside a notebook, one to which
    nothing listens."""
    return Progress(_Bars().hear if _in_notebook() else None)


def _in_notebook() -> bool:
    if "ipykernel" not in sys.modules:  # not imported for the question
        return False
    from IPython.core.getipython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class _Bars:
    """A bar per stage, in one output of the cell."""

    def __init__(self) -> None:
        self._stages: dict[int, Event] = {}
        self._said: list[str] = []
        self._shown: Any = None

    def hear(self, event: Event) -> None:
        if event.kind == "say":
            self._said.append(event.text)
        elif event.kind in ("begin", "advance", "end"):
            self._stages[event.number] = event
        from IPython.display import HTML, display

        page = HTML("".join(map(_bar, self._stages.values())) + "".join(map(_said, self._said)))
        if self._shown is None:
            self._shown = display(page, display_id=True)
        else:
            self._shown.update(page)


def _bar(event: Event) -> str:
    text = f"{event.stage}: {event.done:g} of {event.total:g} {event.note}"
    return (
        f'<div><progress max="{event.total:g}" value="{event.done:g}"></progress> '
        f"{escape(text)}</div>"
    )


def _said(text: str) -> str:
    return f"<div>{escape(text)}</div>"
