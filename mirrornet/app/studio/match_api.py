"""What the page asks for to match a sound, and to hear, see and shape the match."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ...errors import MirrorNetError
from .answers import RequestError, binary, json_of, number_of, one_of, receive
from .visitors import MOST_MATCHES, MOST_SOUNDS, Matched, Upload, Visitor, shown_name
from .workshop import Workshop

if TYPE_CHECKING:
    from .server import Studio

DATA = Path(__file__).parents[2] / "data"
EXAMPLES = {"Electric piano melody": DATA / "demo-melody.flac"}
LONGEST_S = 3600.0
LONGEST_PART_S = 60.0  # of a part that is played or predicted at once
MOST_RENDERS, MOST_SECONDS, MOST_CANDIDATES = 2000, 600.0, 8
MOST_EVERY = 16
FILES = ("zip", "midi", "preset")


class MatchApi:
    """Sounds, matches and their jobs, of the visitor who asks."""

    def __init__(self, studio: "Studio"):
        self._studio = studio

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/examples/{number:int}", self._example, methods=["POST"]),
            Route("/api/sounds", self._upload, methods=["POST"]),
            Route("/api/sounds/{key}", self._sound),
            Route("/api/matches", self._match, methods=["POST"]),
            Route("/api/matches/{key}/sound", self._matched),
            Route("/api/matches/{key}/score", self._shape, methods=["PUT"]),
            Route("/api/matches/{key}/play", self._play, methods=["POST"]),
            Route("/api/matches/{key}/predict", self._predict, methods=["POST"]),
            Route("/api/matches/{key}/refine", self._refine, methods=["POST"]),
            Route("/api/matches/{key}/files/{kind}", self._download),
            Route("/api/jobs/{key}", self._events),
            Route("/api/jobs/{key}", self._cancel, methods=["DELETE"]),
        ]

    # Sounds

    async def _upload(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        folder = visitor.new_folder()
        place = folder / "upload"
        try:
            await receive(request, place)
            return await self._heard(visitor, request.query_params.get("name", ""), folder, place)
        except MirrorNetError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            place.unlink(missing_ok=True)

    async def _example(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        number = request.path_params["number"]
        if number >= len(EXAMPLES):
            raise RequestError("there is no such example.", 404)
        name, path = list(EXAMPLES.items())[number]
        return await self._heard(visitor, name, visitor.new_folder(), path)

    async def _heard(self, visitor: Visitor, name: str, folder: Path, place: Path) -> Response:
        name = shown_name(name)
        how = {"upload": str(place), "folder": str(folder), "name": name}
        facts = await self._studio.playing.run("hear", visitor.key, **how)
        key = visitor.keep("sounds", Upload(name, folder, facts), MOST_SOUNDS)
        self._studio.visitors.make_room(visitor)
        return JSONResponse({"key": key, "name": name, **facts})

    async def _sound(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        sound = one_of(visitor.sounds, request.path_params["key"], "sound")
        work = self._studio.playing.run("target", visitor.key, folder=str(sound.folder))
        return binary(await work)

    # Matches

    async def _match(self, request: Request) -> Response:
        visitor, wanted = self._studio.visitor(request), await json_of(request)
        sound = one_of(visitor.sounds, wanted.get("sound"), "sound")
        plants = await asyncio.shield(self._studio.plants)
        plant = wanted.get("plant", "vital")
        if plant not in [one["name"] for one in plants]:
            raise RequestError("this studio has no such plant; choose one of the list.")
        how = {"plant": plant, "options": _options(wanted)}
        return self._start(visitor, "match", sound, how)

    async def _refine(self, request: Request) -> Response:
        visitor, wanted = self._studio.visitor(request), await json_of(request)
        match = one_of(visitor.matches, request.path_params["key"], "match")
        locked = wanted.get("locked", [])
        if not isinstance(locked, list) or not all(isinstance(one, str) for one in locked):
            raise RequestError("locked controls are a list of names.")
        options = _options(wanted)
        how = {"plant": match.about["plant"], "score": wanted.get("score"), "locked": locked}
        how |= {"renders": options.get("refine"), "seconds": options.get("seconds")}
        return self._start(visitor, "refine", match.sound, how)

    def _start(self, visitor: Visitor, work: str, sound: Upload, how: dict[str, Any]) -> Response:
        """Start a job that makes a match of a sound."""
        folder = visitor.new_folder()

        def finish(about: dict[str, Any]) -> dict[str, Any]:
            match = Matched(sound, folder, about, about["score"])
            key = visitor.keep("matches", match, MOST_MATCHES)
            return {"match": key, **_shown(about)}

        places = {"sound": str(sound.folder), "folder": str(folder)}
        job = self._studio.visitors.start(visitor, work, {**places, **how}, finish)
        return JSONResponse({"job": job}, 202)

    async def _matched(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        match = one_of(visitor.matches, request.path_params["key"], "match")
        work = self._studio.playing.run("matched", visitor.key, folder=str(match.folder))
        return binary(await work)

    async def _shape(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        match = one_of(visitor.matches, request.path_params["key"], "match")
        match.score = await json_of(request)
        return Response(status_code=204)

    async def _play(self, request: Request) -> Response:
        return await self._part(request, self._studio.playing, "play", {})

    async def _predict(self, request: Request) -> Response:
        reach = {"every": (1, MOST_EVERY)}
        return await self._part(request, self._studio.predicting, "predict", reach)

    async def _part(
        self,
        request: Request,
        workshop: Workshop,
        work: str,
        more: Mapping[str, tuple[int, int]],
    ) -> Response:
        """A part of the score in the request, as the plant plays it or the decoder expects it."""
        visitor, wanted = self._studio.visitor(request), await json_of(request)
        match = one_of(visitor.matches, request.path_params["key"], "match")
        start_s = number_of(wanted, "start_s", 0.0, LONGEST_S)
        end_s = number_of(wanted, "end_s", start_s, start_s + LONGEST_PART_S)
        how: dict[str, Any] = {"start_s": start_s, "end_s": end_s}
        how |= {name: int(number_of(wanted, name, *reach)) for name, reach in more.items()}
        how |= {"sound": str(match.sound.folder), "folder": str(match.folder)}
        how |= {"plant": match.about["plant"], "score": wanted.get("score")}
        return binary(await workshop.run(work, visitor.key, **how))

    async def _download(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        match = one_of(visitor.matches, request.path_params["key"], "match")
        kind, name = request.path_params["kind"], match.sound.name
        if kind not in FILES:
            raise RequestError(f"there is no such file; ask for {', '.join(FILES)}.", 404)
        how = {"sound": str(match.sound.folder), "folder": str(match.folder), "name": name}
        how |= {"score": match.score, "about": match.about, "kind": kind}
        path = Path(await self._studio.matching.run("save", visitor.key, **how))
        return FileResponse(path, filename=f"{name}{path.suffix}")

    # Jobs

    async def _events(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        running = one_of(visitor.jobs, request.path_params["key"], "job")
        last = request.headers.get("last-event-id", "")
        first = int(last) + 1 if last.isdecimal() else 0
        events = self._studio.visitors.follow(running, first)
        return StreamingResponse(events, media_type="text/event-stream")

    async def _cancel(self, request: Request) -> Response:
        visitor = self._studio.visitor(request)
        running = one_of(visitor.jobs, request.path_params["key"], "job")
        if running.job and not running.over:
            self._studio.matching.cancel(running.job)
        return Response(status_code=204)


def _shown(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the page is told of an answer."""
    plant = about["plant"]
    shown = {"plant": plant.name, "set": plant.options.get("controls")}
    shown |= {name: value for name, value in about.items() if name not in ("plant", "others")}
    return shown | {"others": [_shown(other) for other in about.get("others", ())]}


def _options(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a match, from a request."""
    found: dict[str, Any] = {}
    if wanted.get("refine") is not None:
        found["refine"] = int(number_of(wanted, "refine", 0, MOST_RENDERS))
    if wanted.get("seconds") is not None:
        found["seconds"] = number_of(wanted, "seconds", 0, MOST_SECONDS)
    if wanted.get("candidates") is not None:
        found["candidates"] = int(number_of(wanted, "candidates", 1, MOST_CANDIDATES))
    if (timbre := wanted.get("timbre")) is not None:
        if timbre not in ("auto", "knobs", "wavetable"):
            raise RequestError("a timbre is auto, knobs or wavetable.")
        found["timbre"] = timbre
    return found
