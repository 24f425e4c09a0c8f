"""A service that fails on demand, and either client behind one face to call it with."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tocsin_models.errors import TocsinError
from tocsin_serving.client import AsyncTocsin, Tocsin
from tocsin_serving.client_errors import ServiceError

KEY = "tocsin_Zm9yLXRlc3RzLW9ubHk"
COPY = "The envoy warned of reprisals at Port Maren before the embargo lifts."
HTML = f"<html>502 Bad Gateway, upstream sent: {COPY}</html>"
MODEL = {"name": "m", "revision": "sha256:00", "precision": "int8", "device": "cpu"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it arrived; names of headers in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, kw_only=True)
class Say:
    """An answer to give. ``problem`` makes it one of the service's problem details."""

    status: int = 200
    body: Any = ""
    problem: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        body = self.body
        if self.problem:
            name = f"urn:tocsin:problem:{self.problem}"
            body = {"type": name, "code": self.problem, "detail": "what to do", **(body or {})}
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        handler.send_response_only(self.status)
        for name, value in {"Content-Length": str(len(content)), **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)


Action = Callable[[BaseHTTPRequestHandler, Seen], None]
MODELS = Say(body={"models": []})
BUSY = Say(status=429, problem="queue_full", headers={"Retry-After": "2"})
DRAINING = Say(status=503, problem="draining", headers={"Retry-After": "1"})


def hang_up(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    handler.close_connection = True


def break_off(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    handler.close_connection = True


def speak_no_http(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    handler.wfile.write(b"SSH-2.0-example\r\n" + COPY.encode() + b"\r\n\r\n")
    handler.close_connection = True


def stall(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    # Until the client has left, so that no thread outlives its test.
    handler.connection.settimeout(5)
    handler.connection.recv(1)
    handler.close_connection = True


def trickle(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(150):
        try:
            handler.wfile.write(b" ")
        except OSError:
            break
        time.sleep(0.02)
    handler.close_connection = True


def classify_all(
    handler: BaseHTTPRequestHandler, seen: Seen, model: dict[str, Any] = MODEL
) -> None:
    """Labels as the contract has them; a passage without text fails alone."""
    results = [
        {
            "id": row["id"],
            "labels": ["threat"],
            "scores": {"threat": len(row["text"])},
            "windows": 1,
        }
        if row["text"]
        else {"id": row["id"], "error": {"code": "empty", "message": "it has no text"}}
        for row in seen.body["passages"]
    ]
    headers = {"Server-Timing": 'cdn;desc="a b", queue;dur=1.5, tokenise;dur=0.5, infer;dur=2'}
    answer = {"model": {**model, "thresholds": {"threat": 0.5}}, "results": results}
    Say(body=answer, headers=headers)(handler, seen)


@dataclass
class Fake:
    """A service on loopback that gives ``actions`` in turn, the last one again and again."""

    url: str
    actions: list[Action]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0


@contextmanager
def fake(*actions: Action) -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            service.connections += 1

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen = Seen(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=json.loads(content) if content else None,
            )
            service.seen.append(seen)
            many = len(service.actions) > 1
            (service.actions.pop(0) if many else service.actions[0])(self, seen)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = Fake(f"http://127.0.0.1:{server.server_port}", list(actions))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Caller:
    """Either client behind one face; ``pauses_s`` are the waits it was told of, none is slept."""

    is_async: bool
    pauses_s: list[float] = field(default_factory=list)

    def __call__(
        self, url: str, method: str, *arguments: Any, settings: Any = None, **options: Any
    ) -> Any:
        async def sleep(pause_s: float) -> None:
            self.pauses_s.append(pause_s)

        async def ask() -> Any:
            async with AsyncTocsin(url, **settings or {}) as tocsin:
                vars(tocsin)["_sleep"] = sleep
                return await getattr(tocsin, method)(*arguments, **options)

        if self.is_async:
            return asyncio.run(ask())
        with Tocsin(url, **settings or {}) as tocsin:
            vars(tocsin)["_sleep"] = self.pauses_s.append
            return getattr(tocsin, method)(*arguments, **options)

    def fails(self, url: str, method: str, *arguments: Any, **options: Any) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            self(url, method, *arguments, **options)
        assert_keeps_quiet(caught.value)
        return caught.value


def assert_keeps_quiet(error: TocsinError) -> None:
    """No copy and no key in what is logged of an error, and no other error hangs on it."""
    shown = repr(error) + str(error) + str(vars(error))
    assert COPY not in shown
    assert KEY not in shown
    assert (error.__context__, error.__cause__) == (None, None)
