"""The studio's visitors: each has a session of its own, with sounds, matches and jobs.

Files are in a folder per visitor, which goes when the visitor was idle for long, when too many
others came, and when the studio ends.
"""

import asyncio
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import CancelledError
from .answers import sentence
from .workshop import Job, Workshop

MOST_VISITORS = 32
MOST_SOUNDS, MOST_MATCHES, MOST_JOBS = 12, 24, 48  # of a visitor; the oldest go
MOST_BYTES = 8 << 30  # of the files of all visitors
IDLE_S = 2 * 3600.0  # after which a visitor is forgotten
LEFT_S = 10.0  # after the last listener of a job left, until it is cancelled


@dataclass(eq=False)
class Upload:
    """A sound that a visitor gave."""

    name: str
    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Matched:
    """A match of a sound, and the score as the visitor has shaped it."""

    sound: Upload
    folder: Path
    about: dict[str, Any]
    score: dict[str, Any]


@dataclass(eq=False)
class Running:
    """A job and its events, which any number of listeners can follow from the start."""

    job: Job | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: int = 0
    stays: bool = False
    """Whether it goes on when nobody listens."""

    def tell(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.changed.set()
        self.changed = asyncio.Event()

    def end(self, finish: Callable[[Any], dict[str, Any]], result: asyncio.Future) -> None:
        """Tell how the job ended; `finish` makes what is told of what it returned."""
        error = result.exception()
        if error is None:
            self.tell({"kind": "done", **finish(result.result())})
        elif isinstance(error, CancelledError):
            self.tell({"kind": "cancelled"})
        else:
            self.tell({"kind": "failed", "text": sentence(error)})

    @property
    def over(self) -> bool:
        return bool(self.events) and self.events[-1]["kind"] in ("done", "failed", "cancelled")


@dataclass(eq=False)
class Visitor:
    """One session."""

    key: str
    folder: Path
    sounds: dict[str, Upload] = field(default_factory=dict)
    matches: dict[str, Matched] = field(default_factory=dict)
    jobs: dict[str, Running] = field(default_factory=dict)
    used_s: float = field(default_factory=time.monotonic)

    def new_folder(self) -> Path:
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        return folder

    def keep(self, kind: str, thing: Any, most: int) -> str:
        """Keep a sound, match or job under a new name; the oldest beyond `most` go, with files."""
        things: dict[str, Any] = getattr(self, kind)
        key = secrets.token_urlsafe(9)
        things[key] = thing
        while len(things) > most:
            old = things.pop(next(iter(things)))
            if isinstance(old, Upload | Matched):
                shutil.rmtree(old.folder, ignore_errors=True)
        return key


class Visitors:
    """All sessions, by the key in their cookie."""

    def __init__(self, folder: Path, workshop: Workshop):
        self.folder, self._workshop = folder, workshop
        self._all: dict[str, Visitor] = {}

    def known(self, key: str | None) -> Visitor | None:
        """The visitor with a key, if it is still known."""
        self._forget_idle()
        if (visitor := self._all.pop(key or "", None)) is not None:
            visitor.used_s = time.monotonic()
            self._all[visitor.key] = visitor  # the last to have come
        return visitor

    def new(self) -> Visitor:
        """A new visitor; the one who was idle for longest goes if there are too many."""
        visitor = Visitor(secrets.token_urlsafe(24), self.folder / secrets.token_hex(8))
        visitor.folder.mkdir()
        while len(self._all) >= MOST_VISITORS:
            self._forget(next(iter(self._all)))
        self._all[visitor.key] = visitor
        return visitor

    def make_room(self, visitor: Visitor) -> None:
        """Forget other visitors, idle for longest first, and then the oldest sounds of this one,
        until the files of all are small enough."""
        others = [key for key in self._all if key != visitor.key]
        while _size(self.folder) > MOST_BYTES:
            if others:
                self._forget(others.pop(0))
            elif len(visitor.sounds) > 1:
                old = visitor.sounds.pop(next(iter(visitor.sounds)))
                shutil.rmtree(old.folder, ignore_errors=True)
            else:
                return

    def _forget_idle(self) -> None:
        late_s = time.monotonic() - IDLE_S
        for key in [key for key, one in self._all.items() if one.used_s < late_s]:
            self._forget(key)

    def _forget(self, key: str) -> None:
        visitor = self._all.pop(key)
        for running in visitor.jobs.values():
            if running.job and not running.over:
                self._workshop.cancel(running.job)
        shutil.rmtree(visitor.folder, ignore_errors=True)

    def start(self, visitor: Visitor, work: str, arguments: dict[str, Any], finish: Any) -> str:
        """Start a job of a visitor; `finish(result)` gives what its last event says. Returns the
        job's key."""
        running = Running()
        running.job = Job(work, arguments, visitor.key, running.tell)
        self._workshop.submit(running.job)

        running.job.result.add_done_callback(partial(running.end, finish))
        return visitor.keep("jobs", running, MOST_JOBS)

    async def follow(self, running: Running, first: int = 0) -> AsyncIterator[str]:
        """The events of a job, from number `first` on, in the format of server-sent events."""
        running.listeners += 1
        try:
            at = first
            while True:
                changed = running.changed
                while at < len(running.events):
                    yield f"id: {at}\ndata: {json.dumps(running.events[at])}\n\n"
                    at += 1
                if running.over:
                    return
                await changed.wait()
        finally:
            running.listeners -= 1
            loop = asyncio.get_running_loop()
            loop.call_later(LEFT_S, self._cancel_if_left, running)

    def _cancel_if_left(self, running: Running) -> None:
        if running.job and not (running.listeners or running.stays or running.over):
            self._workshop.cancel(running.job)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def shown_name(name: str) -> str:
    """A file's name without its suffix and folders, of letters, digits, blanks, '-' and '_'."""
    stem = re.split(r"[\\/]", name)[-1].rpartition(".")[0] or name
    return re.sub(r"[^\w -]+", "_", stem).strip(" _")[:60] or "sound"
