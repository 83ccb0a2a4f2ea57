"""The studio's processes: jobs run in workers, which report events and can be cancelled.

A job is a function of `work.py` and its arguments. A worker that crashes or hangs costs its job
only, and is replaced. All methods are for the thread of one event loop; a thread per worker waits
for what it says.
"""

import asyncio
import logging
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from queue import Queue
from typing import Any, Literal

from ...errors import CancelledError, MirrorNetError
from ...events import Progress
from ...plants.worker import SAFE_PATH, SPAWN, interrupts_held

LOG = logging.getLogger(__name__)
GRACE_S = 10.0  # time for a cancelled job to end well, before its worker is killed
CRASHED = (
    "the process that worked on this ended (code {code}), perhaps with the synthesizer; a new one "
    "has been started: try again."
)


class JobError(MirrorNetError):
    """A job that failed; its message is for the user."""


@dataclass(eq=False)
class Job:
    """One piece of work: `work(desk, progress, **arguments)`, a function of `work.py`."""

    work: str
    arguments: Mapping[str, Any]
    owner: str
    """Whose it is; of each owner one job runs at a time, unless there are idle workers."""
    tell: Callable[[dict[str, Any]], None]
    """Receives its events."""
    result: asyncio.Future = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    cancelled: bool = False


class Worker:
    """The studio's side of one worker process."""

    def __init__(
        self,
        said: Callable[["Worker", str, Any], None],
        loop: asyncio.AbstractEventLoop,
        prepare: str,
    ):
        self.job: Job | None = None
        self._pipe, theirs = SPAWN.Pipe()
        # No daemon, which could not have processes of its own, as isolated plants do.
        self.process = SPAWN.Process(target=serve, args=(theirs, prepare), daemon=False)
        with SAFE_PATH, interrupts_held():
            self.process.start()
        theirs.close()

        def listen() -> None:
            with suppress(EOFError, OSError):
                while True:
                    kind, content = self._pipe.recv()
                    loop.call_soon_threadsafe(said, self, kind, content)
            self.process.join()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(said, self, "ended", self.process.exitcode)

        threading.Thread(target=listen, daemon=True).start()

    def send(self, kind: Literal["do", "cancel"], content: Any = None) -> None:
        with suppress(OSError):  # it died: `said` hears of it
            self._pipe.send((kind, content))

    def kill(self) -> None:
        self.process.kill()


class Workshop:
    """Some workers, and the jobs that wait for them, first come, first served."""

    def __init__(self, workers: int, prepare: str):
        """`prepare` is a function of `work.py` that workers do first, on their desks."""
        self._loop, self._prepare = asyncio.get_running_loop(), prepare
        self._waiting: deque[Job] = deque()
        self._closed = False
        self._workers = [Worker(self._said, self._loop, self._prepare) for _ in range(workers)]

    def submit(self, job: Job) -> Job:
        """Queue a job; its `result` is set when it ended: to what it returned, or an exception:
        JobError, or CancelledError if it was cancelled and has no result."""
        self._waiting.append(job)
        self._assign()
        return job

    def cancel(self, job: Job) -> None:
        """Cancel a job; one that runs may still return its best so far."""
        job.cancelled = True
        if job in self._waiting:
            self._waiting.remove(job)
            _fail(job, CancelledError())
            self._tell_places()
        for worker in self._workers:
            if worker.job is job:
                worker.send("cancel")
                self._loop.call_later(GRACE_S, self._give_up, worker, job)

    async def run(self, work: str, owner: str = "", **arguments: Any) -> Any:
        """Do a job without events, and return its result."""
        job = Job(work, arguments, owner, lambda event: None)
        try:
            return await self.submit(job).result
        except asyncio.CancelledError:
            self.cancel(job)
            raise

    def close(self) -> None:
        """Kill all workers."""
        self._closed = True
        for worker in self._workers:
            worker.kill()
        for job in [*self._waiting, *(worker.job for worker in self._workers if worker.job)]:
            _fail(job, CancelledError())

    def _assign(self) -> None:
        for worker in self._workers:
            if worker.job is None and self._waiting:
                busy = {one.job.owner for one in self._workers if one.job}
                job = next((job for job in self._waiting if job.owner not in busy), None)
                job = job or self._waiting[0]
                self._waiting.remove(job)
                worker.job = job
                worker.send("do", (job.work, dict(job.arguments)))
        self._tell_places()

    def _tell_places(self) -> None:
        for place, job in enumerate(self._waiting, 1):
            job.tell({"kind": "waiting", "place": place})

    def _give_up(self, worker: Worker, job: Job) -> None:
        if worker.job is job:
            worker.kill()

    def _said(self, worker: Worker, kind: str, content: Any) -> None:
        job = worker.job
        if kind == "ended":
            if self._closed:
                return
            self._workers[self._workers.index(worker)] = Worker(
                self._said, self._loop, self._prepare
            )
            worker.job = None
            if job:
                error = (
                    CancelledError() if job.cancelled else JobError(CRASHED.format(code=content))
                )
                _fail(job, error)
            self._assign()
        elif job is None:
            return
        elif kind == "event":
            job.tell(content)
        else:
            worker.job = None
            if kind == "done":
                if not job.result.done():
                    job.result.set_result(content)
            else:
                _fail(job, CancelledError() if kind == "cancelled" else JobError(content))
            self._assign()


def _fail(job: Job, error: Exception) -> None:
    if not job.result.done():
        job.result.set_exception(error)


# Everything below runs in the workers.


def serve(pipe: Connection, prepare: str) -> None:
    """The main loop of a worker: prepares, then does jobs until the studio closes the pipe."""
    from . import work

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the studio handles Ctrl-C
    given: Queue[tuple[str, dict[str, Any], Progress]] = Queue()
    latest: list[Progress] = []
    sending = threading.Lock()

    def say(kind: str, content: Any) -> None:
        with sending, suppress(OSError):
            pipe.send((kind, content))

    def listen() -> None:
        with suppress(EOFError, OSError):
            while True:
                kind, content = pipe.recv()
                if kind == "do":
                    latest[:] = [work.progress_of(partial(say, "event"))]
                    given.put((content[0], content[1], latest[0]))
                else:
                    latest[0].cancel()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    desk = work.Desk()
    getattr(work, prepare)(desk)
    while True:
        name, arguments, progress = given.get()
        try:
            result = getattr(work, name)(desk, progress, **arguments)
        except CancelledError:
            say("cancelled", None)
        except MirrorNetError as error:
            say("failed", str(error))
        except MemoryError:
            say("failed", "there is not enough memory for this; give a shorter sound.")
        except Exception as error:  # a fault of ours, or of a plant's own code: the page tells
            LOG.error("%s", traceback.format_exc())
            say("failed", f"this failed ({type(error).__name__}: {error}).")
        else:
            say("done", result)
