"""A studio that runs in this process, and a client that sends what its page would."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from mirrornet.app.studio.server import COOKIE, Settings, Studio
from mirrornet.app.studio.wire import unpacked


@dataclass
class Client:
    """A browser without a page: it keeps its cookie, and sends what the page would."""

    port: int
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | dict | None = None, **headers: str
    ) -> tuple[int, bytes]:
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        own = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**own, **self.headers, **names})
        answer = connection.getresponse()
        content = answer.read()
        if cookie := answer.getheader("set-cookie"):
            self.cookie = cookie.split(";")[0].partition("=")[2]
        connection.close()
        return answer.status, content

    def json(self, method: str, path: str, body: bytes | dict | None = None) -> Any:
        status, content = self.ask(method, path, body)
        assert status < 300, content
        return json.loads(content) if content else None

    def arrays(self, method: str, path: str, body: dict | None = None) -> Any:
        status, content = self.ask(method, path, body)
        assert status == 200, content
        return unpacked(content)

    def give(self, sound: bytes, name: str = "sound.wav") -> dict[str, Any]:
        return self.json("POST", f"/api/sounds?name={name}", sound)

    def follow(self, job: str) -> list[dict[str, Any]]:
        """The events of a job, to its end."""
        status, content = self.ask("GET", f"/api/jobs/{job}")
        assert status == 200
        lines = content.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    def match(self, key: str, **options: Any) -> dict[str, Any]:
        job = self.json("POST", "/api/matches", {"sound": key, **options})["job"]
        last = self.follow(job)[-1]
        assert last["kind"] == "done", last
        return last


@contextmanager
def served(settings: Settings) -> Iterator[tuple[Studio, int]]:
    """A studio and its port."""
    studio = Studio(settings)
    config = uvicorn.Config(studio.app, port=0, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield studio, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
