"""What the page asks for to watch a run of learning, and to begin, stop and resume one."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..batch import SUFFIXES
from .answers import RequestError, binary, receive
from .learning import SOUNDS, about_run, log_of, runs_in
from .match_api import EXAMPLES
from .visitors import Running, shown_name
from .workshop import Job, Workshop

if TYPE_CHECKING:
    from .server import Studio

MOST_SOUNDS = 200  # of a run that is begun here


class LearnApi:
    """The runs in the studio's folder, for all visitors; one of them at a time learns here."""

    def __init__(self, studio: "Studio"):
        self._studio = studio
        self._school: Workshop | None = None
        self._learning = Running(stays=True)
        self._name = ""
        """Of the run that learns here, or did last."""

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/runs", self._runs),
            Route("/api/runs/{name}", self._run),
            Route("/api/runs/{name}", self._learn, methods=["POST"]),
            Route("/api/runs/{name}", self._stop, methods=["DELETE"]),
            Route("/api/runs/{name}/sounds", self._add_sound, methods=["POST"]),
            Route("/api/runs/{name}/panels", self._panels),
        ]

    def close(self) -> None:
        """End the run that learns; it can be resumed from where it saved last."""
        if self._school:
            self._school.close()

    @property
    def _is_learning(self) -> bool:
        return self._learning.job is not None and not self._learning.over

    def _place(self, request: Request) -> Path:
        name = request.path_params["name"]
        if name != shown_name(f"{name}.") or name.endswith(SOUNDS):
            raise RequestError("a run's name is letters, digits, blanks, '-' and '_'.")
        return self._studio.settings.runs / name

    async def _runs(self, request: Request) -> Response:
        self._studio.visitor(request)
        found = await asyncio.to_thread(runs_in, self._studio.settings.runs)
        return JSONResponse({"runs": found})

    async def _run(self, request: Request) -> Response:
        self._studio.visitor(request)
        run, ours = self._place(request), self._place(request).name == self._name
        if not (run / "run.json").is_file() and not ours:
            raise RequestError("there is no such run.", 404)
        first = request.query_params.get("first", "")
        log = await asyncio.to_thread(log_of, run, int(first) if first.isdecimal() else 0)
        about = await asyncio.to_thread(about_run, run)
        if ours:
            events = self._learning.events
            stages = [event for event in events if event["kind"] in ("begin", "advance")]
            if self._is_learning:
                about |= {"state": "running", "ours": True, "event": stages[-1] if stages else None}
            elif events and events[-1]["kind"] == "failed":
                about["problem"] = events[-1]["text"]
        return JSONResponse({**about, "log": log})

    async def _add_sound(self, request: Request) -> Response:
        """Receive one of the sounds from which a new run is to learn."""
        self._studio.visitor(request)
        run = self._place(request)
        folder = run.with_name(run.name + SOUNDS)
        if (run / "run.json").is_file():
            raise RequestError("there is a run with this name; choose another one.")
        name = request.query_params.get("name", "")
        suffix = Path(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise RequestError(f"{shown_name(name)} is no sound file.")
        folder.mkdir(parents=True, exist_ok=True)
        if len(list(folder.iterdir())) >= MOST_SOUNDS:
            raise RequestError(f"a run learns from {MOST_SOUNDS} sounds at most here.")
        place = folder / f"{shown_name(name)}{suffix}"
        try:
            await receive(request, place)
        except RequestError:
            place.unlink(missing_ok=True)
            raise
        return Response(status_code=204)

    async def _learn(self, request: Request) -> Response:
        """Begin a run on the sounds it was given, or go on with one."""
        visitor, run = self._studio.visitor(request), self._place(request)
        if self._is_learning:
            raise RequestError(f"the run {self._name} is learning; stop it first.")
        sounds = run.with_name(run.name + SOUNDS)
        if not sounds.is_dir():
            raise RequestError("this run was not begun here; go on with it on the command line.")
        if self._school is None:
            self._school = Workshop(1, "get_ready_to_play")
        how: dict[str, Any] = {"plant": "vital", "sounds": str(sounds), "run": str(run)}
        how["resume"] = (run / "run.json").is_file()
        self._learning, self._name = Running(stays=True), run.name
        job = Job("learn", how, visitor.key, self._learning.tell)
        self._learning.job = job
        ended = partial(self._learning.end, lambda result: {})
        self._school.submit(job).result.add_done_callback(ended)
        return Response(status_code=204)

    async def _stop(self, request: Request) -> Response:
        self._studio.visitor(request)
        if self._place(request).name != self._name:
            raise RequestError("this run was not begun here, so it cannot be stopped here.")
        if self._school and self._learning.job and self._is_learning:
            self._school.cancel(self._learning.job)
        return Response(status_code=204)

    async def _panels(self, request: Request) -> Response:
        """What the run makes of one of its sounds, or of an example."""
        visitor, run = self._studio.visitor(request), self._place(request)
        sounds = run.with_name(run.name + SOUNDS)
        own = min(sounds.iterdir(), default=None) if sounds.is_dir() else None
        sound = own or next(iter(EXAMPLES.values()))
        how = {"run": str(run), "sound": str(sound)}
        return binary(await self._studio.matching.run("learned_so_far", visitor.key, **how))
