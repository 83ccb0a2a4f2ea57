"""The studio's server: the page, and what its scripts ask for.

It listens on this machine only. Requests from pages of other sites are refused: the Host header
must name this machine (which stops DNS rebinding), and Origin, if there is one, must be the studio
itself. Visitors have sessions by a cookie; heavy work is done in other processes.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ...errors import CancelledError, MirrorNetError
from ...runtime import usable_cores
from .answers import RequestError, refusal
from .compare_api import CompareApi
from .learn_api import LearnApi
from .match_api import EXAMPLES, MatchApi
from .visitors import Visitor, Visitors
from .workshop import Workshop

PAGE = Path(__file__).parents[2] / "page"
COOKIE = "mirrornet-studio"
HOSTS = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' "
    "blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


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
    workers: int = field(default_factory=usable_cores)
    """How many matches run at once, and how many parts are played at once, each in a process."""


class Studio:
    """The state of a running studio."""

    visitors: Visitors
    predicting: Workshop
    """Predicts spectrograms, in a few hundredths of a second."""
    playing: Workshop
    """Plays parts of scores, in less than a second."""
    matching: Workshop
    """Matches, refines and writes files, in seconds or minutes."""
    plants: "asyncio.Future[list[dict[str, Any]]]"

    def __init__(self, settings: Settings):
        self.settings = settings
        learning = LearnApi(self)
        self._learning = learning
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/api/studio", self._about),
                *MatchApi(self).routes,
                *learning.routes,
                *CompareApi(self).routes,
                Mount("/page", StaticFiles(directory=PAGE)),
            ],
            lifespan=self._open,
            exception_handlers={MirrorNetError: _refused, CancelledError: _refused},
        )
        self.app.add_middleware(Guard)

    def visitor(self, request: Request) -> Visitor:
        """The visitor whose cookie a request has. Raises RequestError if it is not known."""
        if visitor := self.visitors.known(request.cookies.get(COOKIE)):
            return visitor
        raise RequestError("the studio does not know this page any more; reload it.", 403)

    @asynccontextmanager
    async def _open(self, app: Starlette) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="mirrornet-studio-") as folder:
            self.predicting = Workshop(1, "get_ready_to_play")
            self.playing = Workshop(self.settings.workers, "get_ready_to_play")
            self.matching = Workshop(self.settings.workers, "get_ready_to_match")
            self.visitors = Visitors(Path(folder), self.matching)
            listing = self.predicting.run("list_plants", files=list(self.settings.plants))
            self.plants = asyncio.ensure_future(listing)
            try:
                yield
            finally:
                self.plants.cancel()
                for workshop in (self.predicting, self.playing, self.matching):
                    workshop.close()
                self._learning.close()

    async def _page(self, request: Request) -> Response:
        visitor = self.visitors.known(request.cookies.get(COOKIE)) or self.visitors.new()
        answer = FileResponse(PAGE / "index.html")
        answer.set_cookie(COOKIE, visitor.key, httponly=True, samesite="strict", path="/")
        return answer

    async def _about(self, request: Request) -> Response:
        plants = await asyncio.shield(self.plants)
        return JSONResponse({"plants": plants, "examples": list(EXAMPLES)})


class Guard:
    """Refuses requests that do not come from the studio's own page, and adds headers."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {key for key, _ in message["headers"]}
                more = {key.encode(): value.encode() for key, value in HEADERS.items()}
                message["headers"] += [item for item in more.items() if item[0] not in given]
            await send(message)

        app = self.app if _is_own(Headers(scope=scope), scope["path"]) else FOREIGN
        await app(scope, receive, with_headers)


FOREIGN = refusal(RequestError("this studio answers only its own page.", 403))


def _is_own(headers: Headers, path: str) -> bool:
    """Whether a request names this machine and comes from the studio's page, or opens it."""
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    strange = site in ("cross-site", "same-site") and path != "/"
    return name in HOSTS and origin in (None, f"http://{host}") and not strange


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(error)
