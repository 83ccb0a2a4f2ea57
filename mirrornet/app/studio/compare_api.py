"""What the page asks for to compare sounds in a blind listening test."""

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .answers import RequestError, binary
from .listening import ANCHOR, trials_of

if TYPE_CHECKING:
    from .server import Studio

SHIPPED = Path(__file__).parents[2] / "data" / "listening"


class CompareApi:
    """Tests: the one that ships, and that of the folders that the studio was given."""

    def __init__(self, studio: "Studio"):
        self._studio = studio
        self._tests = []
        if trials := trials_of([SHIPPED]):
            self._tests.append(("Sounds of the benchmark", trials))
        if folders := studio.settings.compare:
            names = " and ".join(folder.name for folder in folders)
            self._tests.insert(0, (names, trials_of(folders)))

    @property
    def routes(self) -> list[Route]:
        sound = "/api/compare/{test:int}/{trial:int}/{sound:int}"
        return [Route("/api/compare", self._all), Route(sound, self._sound)]

    async def _all(self, request: Request) -> Response:
        tests = [
            {"name": name, "trials": [{"name": t.name, "sounds": list(t.graded)} for t in trials]}
            for name, trials in self._tests
        ]
        return JSONResponse({"tests": tests})

    async def _sound(self, request: Request) -> Response:
        """The reference of a trial, number 0, or one of its sounds."""
        visitor = self._studio.visitor(request)
        test, trial, sound = (request.path_params[name] for name in ("test", "trial", "sound"))
        try:
            chosen = self._tests[test][1][trial]
            name, path = [("", chosen.reference), *chosen.graded.items()][sound]
        except IndexError:
            raise RequestError("there is no such sound.", 404) from None
        how = {"path": str(path), "anchor": name == ANCHOR}
        return binary(await self._studio.playing.run("graded", visitor.key, **how))
