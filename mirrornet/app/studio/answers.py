"""Reading requests of the page, and answering them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ...errors import MirrorNetError

LARGEST_UPLOAD = 200 << 20  # bytes
LARGEST_BODY = 4 << 20  # of other requests: a score


class RequestError(MirrorNetError):
    """A request that cannot be answered; `status` is the HTTP status."""

    def __init__(self, text: str, status: int = 400):
        super().__init__(text)
        self.status = status


async def receive(request: Request, place: Path) -> None:
    """Write the body of a request, a sound file, to `place`. Raises RequestError if it is too
    large, or ends early."""
    size = 0
    try:
        with place.open("wb") as file:
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_UPLOAD:
                    raise RequestError(
                        f"the file is larger than {LARGEST_UPLOAD >> 20} MB; cut it, or match it "
                        "on the command line.",
                        413,
                    )
                file.write(part)
    except ClientDisconnect:
        raise RequestError("the upload ended early.") from None


async def json_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request. Raises RequestError if there is none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise RequestError("the request is too large.", 413)
    try:
        found = json.loads(body, parse_constant=_refused)  # no NaN
    except (ValueError, RecursionError):
        raise RequestError("the request is no JSON.") from None
    if not isinstance(found, dict):
        raise RequestError("the request is no object.")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON.")


def number_of(wanted: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """A number in a request. Raises RequestError unless it is there and in its range."""
    value = wanted.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}.")
    return value


def one_of(things: Mapping[str, Any], key: Any, what: str) -> Any:
    """What a visitor has under a key. Raises RequestError if it is gone."""
    if not isinstance(key, str) or key not in things:
        raise RequestError(f"this {what} is gone; drop the sound again.", 404)
    return things[key]


def binary(data: bytes) -> Response:
    """An answer as `wire.py` packs it."""
    return Response(data, media_type="application/octet-stream")


def refusal(error: BaseException) -> Response:
    """What the page shows of an error."""
    return JSONResponse({"error": sentence(error)}, getattr(error, "status", 400))


def sentence(error: BaseException) -> str:
    """An error as a sentence for the page."""
    text = str(error) or "it was cancelled."
    return text[:1].upper() + text[1:]
