"""The studio's server: the page, and what its scripts ask for.

It listens on this machine only. Requests from pages of other sites are refused: the Host header
must name this machine (which stops DNS rebinding), and Origin, if there is one, must be the studio
itself. Visitors have sessions by a cookie; heavy work is done in other processes.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ...errors import CancelledError, MirrorNetError
from ...runtime import usable_cores
from ..batch import SUFFIXES
from .learning import SOUNDS, about_run, log_of, runs_in
from .listening import ANCHOR, Trial, trials_of
from .visitors import (
    MOST_MATCHES,
    MOST_SOUNDS,
    Matched,
    Running,
    Upload,
    Visitor,
    Visitors,
    sentence,
    shown_name,
)
from .wire import MEDIA_TYPE
from .workshop import Job, Workshop

PAGE = Path(__file__).parent / "page"
DATA = Path(__file__).parents[2] / "data"
COOKIE = "mirrornet-studio"
LARGEST_UPLOAD = 200 << 20  # bytes
LARGEST_BODY = 4 << 20  # of other requests: a score
LONGEST_PART_S = 60.0  # of a part that is played or predicted at once
MOST_LEARNED_FROM = 200  # sounds of a run that is begun here
MOST_RENDERS, MOST_SECONDS = 2000, 600.0
MOST_EVERY = 16
SHIPPED_TEST = DATA / "listening"
EXAMPLES = {"Electric piano melody": DATA / "demo-melody.flac"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' "
    "blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class RequestError(MirrorNetError):
    """A request that cannot be answered; `status` is the HTTP status."""

    def __init__(self, text: str, status: int = 400):
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Settings:
    """What whoever starts the studio allows its visitors."""

    port: int = 8765
    plants: tuple[str, ...] = ()
    """Files of plants beside the installed ones."""
    runs: Path = Path("runs")
    """The folder of runs of learning."""
    compare: tuple[Path, ...] = ()
    """Folders of sounds for a listening test beside the one that ships."""


class Studio:
    """The state of a running studio, and the answers to requests."""

    visitors: Visitors
    live: Workshop
    """Answers at once: plays and predicts."""
    jobs: Workshop
    """Takes seconds or minutes: matches and refines."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self._school: Workshop | None = None
        self._learning: Running | None = None
        self._learning_name = ""
        self._tests: list[tuple[str, list[Trial]]] = []
        if settings.compare:
            names = " and ".join(folder.name for folder in settings.compare)
            self._tests.append((names, trials_of(settings.compare)))
        if SHIPPED_TEST.is_dir():
            self._tests.append(("The benchmark's sounds", trials_of([SHIPPED_TEST])))
        self.app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/api/studio", self.about),
                Route("/api/examples/{number:int}", self.example, methods=["POST"]),
                Route("/api/sounds", self.upload, methods=["POST"]),
                Route("/api/sounds/{key}", self.sound),
                Route("/api/matches", self.match, methods=["POST"]),
                Route("/api/matches/{key}/sound", self.matched),
                Route("/api/matches/{key}/score", self.shape, methods=["PUT"]),
                Route("/api/matches/{key}/play", self.play, methods=["POST"]),
                Route("/api/matches/{key}/predict", self.predict, methods=["POST"]),
                Route("/api/matches/{key}/refine", self.refine, methods=["POST"]),
                Route("/api/matches/{key}/files/{kind}", self.download),
                Route("/api/runs", self.runs),
                Route("/api/runs/{name}", self.run),
                Route("/api/runs/{name}", self.learn, methods=["POST"]),
                Route("/api/runs/{name}", self.stop, methods=["DELETE"]),
                Route("/api/runs/{name}/sounds", self.add_sound, methods=["POST"]),
                Route("/api/runs/{name}/panels", self.panels),
                Route("/api/compare", self.tests),
                Route("/api/compare/{test:int}/{trial:int}/{sound:int}", self.graded),
                Route("/api/jobs/{key}", self.events),
                Route("/api/jobs/{key}", self.cancel, methods=["DELETE"]),
                Mount("/page", StaticFiles(directory=PAGE)),
            ],
            lifespan=self._open,
            exception_handlers={MirrorNetError: _refusal, CancelledError: _refusal},  # pyright: ignore[reportArgumentType]
        )
        self.app.add_middleware(Guard)

    @asynccontextmanager
    async def _open(self, app: Starlette) -> AsyncIterator[None]:
        cores = usable_cores()
        with tempfile.TemporaryDirectory(prefix="mirrornet-studio-") as folder:
            self.live = Workshop(max(cores // 2, 1), "get_ready_to_play")
            self.jobs = Workshop(cores, "get_ready_to_match")
            self.visitors = Visitors(Path(folder), self.jobs)
            files = list(self.settings.plants)
            self._plants = asyncio.ensure_future(self.live.run("list_plants", files=files))
            try:
                yield
            finally:
                self._plants.cancel()
                self.live.close()
                self.jobs.close()
                if self._school:
                    self._school.close()

    def _visitor(self, request: Request) -> Visitor:
        """The visitor whose cookie a request has. Raises RequestError if it is not known."""
        if visitor := self.visitors.known(request.cookies.get(COOKIE)):
            return visitor
        raise RequestError("the studio does not know this page any more; reload it.", 403)

    # The page

    async def page(self, request: Request) -> Response:
        visitor = self.visitors.known(request.cookies.get(COOKIE)) or self.visitors.new()
        answer = FileResponse(PAGE / "index.html")
        answer.set_cookie(COOKIE, visitor.key, httponly=True, samesite="strict", path="/")
        return answer

    async def about(self, request: Request) -> Response:
        return JSONResponse(
            {
                "plants": await asyncio.shield(self._plants),
                "examples": list(EXAMPLES),
                "largest_upload": LARGEST_UPLOAD,
            }
        )

    # Sounds

    async def upload(self, request: Request) -> Response:
        visitor = self._visitor(request)
        name = request.query_params.get("name", "")
        folder = visitor.new_folder()
        place = folder / "upload"
        await self._receive(request, place)
        return await self._heard(visitor, name, folder, place)

    async def _receive(self, request: Request, place: Path) -> None:
        """Write the body of a request to a file."""
        size = 0
        try:
            with place.open("wb") as file:
                async for part in request.stream():
                    size += len(part)
                    if size > LARGEST_UPLOAD:
                        raise RequestError(
                            f"the file is larger than {LARGEST_UPLOAD >> 20} MB; cut it, or match "
                            "it on the command line.",
                            413,
                        )
                    file.write(part)
        except ClientDisconnect:
            raise RequestError("the upload ended early.") from None

    async def example(self, request: Request) -> Response:
        visitor = self._visitor(request)
        examples = list(EXAMPLES.items())
        number = request.path_params["number"]
        if number >= len(examples):
            raise RequestError("there is no such example.", 404)
        name, path = examples[number]
        return await self._heard(visitor, name, visitor.new_folder(), path)

    async def _heard(self, visitor: Visitor, name: str, folder: Path, place: Path) -> Response:
        facts = await self.live.run("hear", visitor.key, upload=str(place), folder=str(folder))
        if place.parent == folder:
            place.unlink()
        sound = Upload(shown_name(name), folder, facts)
        key = visitor.keep("sounds", sound, MOST_SOUNDS)
        return JSONResponse({"key": key, "name": sound.name, **facts})

    async def sound(self, request: Request) -> Response:
        visitor = self._visitor(request)
        sound = _found(visitor.sounds, request)
        return _binary(await self.live.run("target", visitor.key, folder=str(sound.folder)))

    # Matches

    async def match(self, request: Request) -> Response:
        visitor, wanted = self._visitor(request), await _json(request)
        sound = _named(visitor.sounds, wanted.get("sound"), "sound")
        plant = wanted.get("plant", "vital")
        if plant not in [one["name"] for one in await asyncio.shield(self._plants)]:
            raise RequestError("this studio has no such plant; choose one of the list.")
        options = _options(wanted)
        folder = visitor.new_folder()

        def finish(about: dict[str, Any]) -> dict[str, Any]:
            return self._kept(visitor, Matched(sound, folder, about, about["score"]))

        arguments = {"sound": str(sound.folder), "folder": str(folder), "plant": plant}
        return _started(
            self.visitors.start(visitor, "match", {**arguments, "options": options}, finish)
        )

    def _kept(self, visitor: Visitor, match: Matched) -> dict[str, Any]:
        key = visitor.keep("matches", match, MOST_MATCHES)
        hidden = ("plant",)
        about = {name: value for name, value in match.about.items() if name not in hidden}
        about["others"] = [
            {name: value for name, value in other.items() if name not in hidden}
            for other in about.get("others", ())
        ]
        plant = match.about["plant"]
        return {"match": key, "plant": plant.name, "set": plant.options.get("controls"), **about}

    async def matched(self, request: Request) -> Response:
        visitor = self._visitor(request)
        match = _found(visitor.matches, request)
        return _binary(await self.live.run("matched", visitor.key, folder=str(match.folder)))

    async def shape(self, request: Request) -> Response:
        match = _found(self._visitor(request).matches, request)
        match.score, match.files = await _json(request), None
        return Response(status_code=204)

    async def play(self, request: Request) -> Response:
        return await self._shown(request, "play", {})

    async def predict(self, request: Request) -> Response:
        return await self._shown(request, "predict", {"every": (1, MOST_EVERY)})

    async def _shown(
        self, request: Request, work: str, more: Mapping[str, tuple[int, int]]
    ) -> Response:
        visitor, wanted = self._visitor(request), await _json(request)
        match = _found(visitor.matches, request)
        start_s = _number(wanted, "start_s", 0.0, 3600.0)
        end_s = _number(wanted, "end_s", start_s, start_s + LONGEST_PART_S)
        own: dict[str, Any] = {
            name: int(_number(wanted, name, *reach)) for name, reach in more.items()
        }
        own |= {"sound": str(match.sound.folder), "folder": str(match.folder)}
        own |= {"plant": match.about["plant"], "score": wanted.get("score")}
        return _binary(await self.live.run(work, visitor.key, start_s=start_s, end_s=end_s, **own))

    async def refine(self, request: Request) -> Response:
        visitor, wanted = self._visitor(request), await _json(request)
        match = _found(visitor.matches, request)
        options = _options(wanted)
        locked = wanted.get("locked", [])
        if not isinstance(locked, list) or not all(isinstance(one, str) for one in locked):
            raise RequestError("locked controls are a list of names.")
        folder = visitor.new_folder()

        def finish(about: dict[str, Any]) -> dict[str, Any]:
            return self._kept(visitor, Matched(match.sound, folder, about, about["score"]))

        arguments = {
            "sound": str(match.sound.folder),
            "folder": str(folder),
            "plant": match.about["plant"],
            "score": wanted.get("score"),
            "locked": locked,
            "renders": options.get("refine"),
            "seconds": options.get("seconds"),
        }
        return _started(self.visitors.start(visitor, "refine", arguments, finish))

    async def download(self, request: Request) -> Response:
        visitor = self._visitor(request)
        match, kind = _found(visitor.matches, request), request.path_params["kind"]
        if kind not in ("zip", "midi", "preset"):
            raise RequestError("there is no such file; ask for zip, midi or preset.", 404)
        name = match.sound.name
        if match.files is None:
            folders = {"sound": str(match.sound.folder), "folder": str(match.folder)}
            made = {"plant": match.about["plant"], "score": match.score, "name": name}
            match.files = await self.jobs.run("save", visitor.key, **folders, **made)
        files = match.files
        folder = Path(files["folder"])
        if kind == "preset" and files["preset"] is None:
            raise RequestError("this synthesizer has no preset for the whole; take the zip.", 404)
        path = {
            "zip": Path(files["zip"]),
            "midi": folder / "melody.mid",
            "preset": folder / (files["preset"] or ""),
        }[kind]
        return FileResponse(path, filename=f"{name}{path.suffix}")

    # Learning

    async def runs(self, request: Request) -> Response:
        self._visitor(request)
        return JSONResponse({"runs": await asyncio.to_thread(runs_in, self.settings.runs)})

    def _run(self, request: Request) -> Path:
        name = request.path_params["name"]
        if name != shown_name(f"{name}.") or name.endswith(SOUNDS):
            raise RequestError("a run's name is letters, digits, blanks, '-' and '_'.")
        return self.settings.runs / name

    async def run(self, request: Request) -> Response:
        self._visitor(request)
        run = self._run(request)
        if not (run / "run.json").is_file() and run.name != self._learning_name:
            raise RequestError("there is no such run.", 404)
        first = request.query_params.get("first", "")
        log = await asyncio.to_thread(log_of, run, int(first) if first.isdecimal() else 0)
        about = await asyncio.to_thread(about_run, run)
        if run.name == self._learning_name and self._learning and not self._learning.over:
            about |= {"state": "running", "ours": True}
            about["event"] = next(
                (e for e in reversed(self._learning.events) if e["kind"] in ("advance", "begin")),
                None,
            )
        elif run.name == self._learning_name and self._learning:
            last = self._learning.events[-1]
            about["problem"] = last.get("text") if last["kind"] == "failed" else None
        return JSONResponse({**about, "log": log})

    async def add_sound(self, request: Request) -> Response:
        """Receive one of the sounds from which a new run is to learn."""
        self._visitor(request)
        run = self._run(request)
        folder = run.with_name(run.name + SOUNDS)
        if (run / "run.json").is_file():
            raise RequestError("there is a run with this name; choose another one.")
        name = request.query_params.get("name", "")
        suffix = Path(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise RequestError(f"{shown_name(name)} is no sound file.")
        folder.mkdir(parents=True, exist_ok=True)
        if len(list(folder.iterdir())) >= MOST_LEARNED_FROM:
            raise RequestError(f"a run here learns from {MOST_LEARNED_FROM} sounds at most.")
        place = folder / f"{shown_name(name)}{suffix}"
        try:
            await self._receive(request, place)
        except RequestError:
            place.unlink(missing_ok=True)
            raise
        return Response(status_code=204)

    async def learn(self, request: Request) -> Response:
        """Begin a run on the sounds it was given, or go on with one."""
        visitor, run = self._visitor(request), self._run(request)
        if self._learning and not self._learning.over:
            raise RequestError(f"the run {self._learning_name} is learning; stop it first.")
        sounds = run.with_name(run.name + SOUNDS)
        if not sounds.is_dir():
            raise RequestError("this run was not begun here; go on with it on the command line.")
        if self._school is None:
            self._school = Workshop(1, "get_ready_to_play")
        arguments: dict[str, Any] = {"plant": "vital", "sounds": str(sounds), "run": str(run)}
        arguments["resume"] = (run / "run.json").is_file()
        self._learning, self._learning_name = Running(stays=True), run.name
        self._learning.job = Job("learn", arguments, visitor.key, self._learning.tell)
        self._school.submit(self._learning.job).result.add_done_callback(
            partial(self._learning.end, lambda result: {})
        )
        return Response(status_code=204)

    async def stop(self, request: Request) -> Response:
        self._visitor(request)
        if self._run(request).name != self._learning_name or not self._learning:
            raise RequestError("this run was not begun here, so it cannot be stopped here.")
        if self._school and self._learning.job and not self._learning.over:
            self._school.cancel(self._learning.job)
        return Response(status_code=204)

    async def panels(self, request: Request) -> Response:
        visitor, run = self._visitor(request), self._run(request)
        sounds = run.with_name(run.name + SOUNDS)
        first = min(sounds.iterdir(), default=None) if sounds.is_dir() else None
        sound = first or next(iter(EXAMPLES.values()))
        how = {"run": str(run), "sound": str(sound)}
        return _binary(await self.live.run("learned_so_far", visitor.key, **how))

    # Listening tests

    async def tests(self, request: Request) -> Response:
        found = [
            {
                "name": name,
                "trials": [{"name": one.name, "sounds": list(one.graded)} for one in trials],
            }
            for name, trials in self._tests
        ]
        return JSONResponse({"tests": found})

    async def graded(self, request: Request) -> Response:
        visitor = self._visitor(request)
        test, trial, sound = (request.path_params[name] for name in ("test", "trial", "sound"))
        try:
            chosen = self._tests[test][1][trial]
            name, path = [("", chosen.reference), *chosen.graded.items()][sound]
        except IndexError:
            raise RequestError("there is no such sound.", 404) from None
        how = {"path": str(path), "anchor": name == ANCHOR}
        return _binary(await self.live.run("graded", visitor.key, **how))

    # Jobs

    async def events(self, request: Request) -> Response:
        running = _found(self._visitor(request).jobs, request)
        last = request.headers.get("last-event-id", "")
        first = int(last) + 1 if last.isdecimal() else 0
        return StreamingResponse(
            self.visitors.follow(running, first), media_type="text/event-stream"
        )

    async def cancel(self, request: Request) -> Response:
        running = _found(self._visitor(request).jobs, request)
        if running.job and not running.over:
            self.jobs.cancel(running.job)
        return Response(status_code=204)


class Guard:
    """Refuses requests that do not come from the studio's own page."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host = headers.get("host", "")
            name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
            origin, site = headers.get("origin"), headers.get("sec-fetch-site")
            foreign = origin is not None and origin != f"http://{host}"
            strange = site in ("cross-site", "same-site") and scope["path"] != "/"
            if name not in ("127.0.0.1", "localhost", "[::1]") or foreign or strange:
                refusal = _told("this studio answers only its own page.", 403)
                return await refusal(scope, receive, send)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {key for key, _ in message["headers"]}
                message["headers"] += [
                    (key.lower().encode(), value.encode())
                    for key, value in HEADERS.items()
                    if key.lower().encode() not in own
                ]
            await send(message)

        await self.app(scope, receive, with_headers)


def _found(things: dict[str, Any], request: Request) -> Any:
    return _named(things, request.path_params["key"], "result")


def _named(things: dict[str, Any], key: Any, what: str) -> Any:
    if not isinstance(key, str) or key not in things:
        raise RequestError(f"this {what} is gone; drop the sound again.", 404)
    return things[key]


async def _json(request: Request) -> dict[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise RequestError("the request is too large.", 413)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("the request is no JSON.") from None
    if not isinstance(found, dict):
        raise RequestError("the request is no object.")
    return found


def _number(wanted: dict[str, Any], name: str, low: float, high: float) -> float:
    value = wanted.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}.")
    return value


def _options(wanted: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if wanted.get("refine") is not None:
        found["refine"] = int(_number(wanted, "refine", 0, MOST_RENDERS))
    if wanted.get("seconds") is not None:
        found["seconds"] = _number(wanted, "seconds", 0, MOST_SECONDS)
    if wanted.get("candidates", 1) != 1:
        found["candidates"] = int(_number(wanted, "candidates", 1, 8))
    if (timbre := wanted.get("timbre")) is not None:
        if timbre not in ("auto", "knobs", "wavetable"):
            raise RequestError("a timbre is auto, knobs or wavetable.")
        found["timbre"] = timbre
    return found


def _binary(data: bytes) -> Response:
    return Response(data, media_type=MEDIA_TYPE)


def _started(job: str) -> Response:
    return JSONResponse({"job": job}, 202)


def _told(text: str, status: int) -> Response:
    return JSONResponse({"error": text}, status)


async def _refusal(request: Request, error: Exception) -> Response:
    return _told(sentence(error), getattr(error, "status", 400))
