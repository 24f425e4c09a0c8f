"""The host: BentoML runs the worker process, owns its life and packages it. The only file that
imports ``bentoml``.

Its metrics, its access log and its tracing are off, because they carry raw paths, and so is its
telemetry. Its own routes, for its own clients, stand behind the same door as the public ones.
"""

import os
import signal
import socket
from types import FrameType
from typing import Any

# Its usage statistics go out at a start and every twelve hours, unless this word stands here.
os.environ["BENTOML_DO_NOT_TRACK"] = "True"

import bentoml
from bentoml._internal.server.http import traffic
from bentoml._internal.utils.analytics import usage_stats
from circus.sighandler import SysHandler

from tocsin_models.errors import TocsinError
from tocsin_serving import head_limit, logs, native
from tocsin_serving.app import build_app
from tocsin_serving.calls import CALL
from tocsin_serving.desk import Desk
from tocsin_serving.door import Door
from tocsin_serving.gate import Gate
from tocsin_serving.lifecycle import Lifecycle
from tocsin_serving.settings import ServeSettings

# Whoever came through BentoML's command line has asked before, and was answered for good.
usage_stats.do_not_track.cache_clear()
# Its timers outlive their requests: each keeps 6 kB until the timeout comes. Deadlines are ours.
traffic.TimeoutMiddleware = lambda app, timeout: app  # type: ignore[assignment, misc, return-value]
# Its supervisor would ask the name server what this machine is called.
socket.getfqdn = lambda name="": name or socket.gethostname()
logs.configure()
head_limit.install()
SETTINGS = ServeSettings.from_environment(os.environ)
SETTINGS.check()
DESK = Desk(SETTINGS)
LIFECYCLE = Lifecycle(DESK)
GATE = Gate(SETTINGS)
PUBLIC = build_app(DESK)


@bentoml.service(
    name="Tocsin",
    workers=1,
    # For those who start it with `bentoml serve`: the address that the settings were checked for.
    http={"host": SETTINGS.host, "port": SETTINGS.port},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # Its instrumentation would make a span of every raw path; ours knows routes.
    tracing={"excluded_urls": ".*"},
)
class Tocsin:
    """Reads conflict news: labels passages, summarises articles."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def begin(self) -> None:
        LIFECYCLE.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def end(self) -> None:
        LIFECYCLE.stop()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def classify(
        self,
        passages: list[dict[str, str]],
        labels: list[str] = [],  # noqa: B006 - BentoML copies it into a schema
        thresholds: dict[str, float] = {},  # noqa: B006
    ) -> dict[str, Any]:
        """Labels of passages, each {"id", "text"}, as POST /v1/classify gives them."""
        return await native.classify(
            DESK, CALL.get(), passages=passages, labels=labels, thresholds=thresholds
        )

    @bentoml.api  # type: ignore[untyped-decorator]
    async def summarise(
        self,
        text: str,
        max_words: int | None = None,
        max_sentences: int | None = None,
        style: str | None = None,
    ) -> dict[str, Any]:
        """The summary of an article, as POST /v1/summarise gives it."""
        return await native.summarise(
            DESK,
            CALL.get(),
            text=text,
            max_words=max_words,
            max_sentences=max_sentences,
            style=style,
        )


# What circus says where no worker is left.
_NO_WORKER = "No active process found for watcher."
# How long the supervisor may leave an order to end undone before it hears it again.
_INSIST_S = 0.5

Tocsin.add_asgi_middleware(  # type: ignore[attr-defined]
    Door, public=PUBLIC, desk=DESK, gate=GATE
)


def run() -> None:
    """Serve with the settings of the environment until SIGTERM or SIGINT. This process supervises
    one worker, which answers.

    Raises:
        TocsinError: the worker ended without being told to.
    """
    told: list[int] = []
    obey = SysHandler.signal

    def note(self: SysHandler, number: int, frame: FrameType | None = None) -> None:
        told.append(number)
        obey(self, number, frame)
        if number in (signal.SIGTERM, signal.SIGINT):
            loop = self.controller.loop
            loop.add_callback_from_signal(loop.call_later, _INSIST_S, insist, self)

    def insist(handler: SysHandler) -> None:
        """circus drops the order to end when it is busy, starting its worker above all."""
        handler.quit()
        handler.controller.loop.call_later(_INSIST_S, insist, handler)

    SysHandler.signal = note
    try:
        Tocsin.serve_http(host=SETTINGS.host, port=SETTINGS.port)  # type: ignore[attr-defined]
    except RuntimeError as error:
        if str(error) != _NO_WORKER:
            raise
    if not told:
        raise TocsinError(
            "the worker ended by itself, and so does the server; its last ERROR line says why, or "
            "if there is none it was killed: look for the OOM killer in the system's log"
        )
