"""Running the studio's server until Ctrl-C."""

import socket
import threading
import webbrowser
from collections.abc import Callable

import uvicorn

from ...errors import MirrorNetError
from .server import Settings, Studio

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def serve(settings: Settings, open_page: bool, ready: Callable[[str], object]) -> None:
    """Serve the studio until it is interrupted; `ready` is told where it is.

    Raises MirrorNetError if the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, settings.port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise MirrorNetError(
            f"port {settings.port} cannot be used ({error}); choose another one with --port."
        ) from error
    address = f"http://{HOST}:{listening.getsockname()[1]}"

    def opened() -> None:
        ready(f"The studio is open at {address} (Ctrl-C ends it).")
        if open_page:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    config = uvicorn.Config(
        Studio(settings).app, log_level="warning", timeout_graceful_shutdown=2, lifespan="on"
    )
    with listening:
        _Server(config, opened).run([listening])
