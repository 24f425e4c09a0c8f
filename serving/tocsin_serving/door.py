"""The front of the service: every request passes here, whichever application then answers it.

From the outside in: a request id, the clock, the log line and the metrics; CORS, so that refusals
carry its headers too; then who may come in, how much may be sent, and whether there is room. What
comes through goes to the public application, or, for its own routes, to BentoML.
"""

import logging
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from tocsin_serving import tracing
from tocsin_serving.body import (
    Budget,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    run_while_connected,
)
from tocsin_serving.calls import CALL, Call
from tocsin_serving.desk import Desk
from tocsin_serving.gate import Gate
from tocsin_serving.logs import request_line
from tocsin_serving.native import check_body
from tocsin_serving.problems import MEDIA_TYPE, Problem
from tocsin_serving.routes import TEMPLATES, Route, find_route

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOGGER = logging.getLogger("tocsin.door")

# What all bodies together may hold, in bodies of the largest size.
_LARGEST_BODIES = 32
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_EXPOSED = ("X-Request-Id", "Server-Timing", "Retry-After")
# "Client closed request": nobody reads it, but logs and metrics need a number (nginx's).
_GONE_STATUS = 499


class Door:
    """An ASGI middleware around BentoML's application, as ``add_asgi_middleware`` takes it."""

    def __init__(self, app: Application, *, public: Application, desk: Desk, gate: Gate) -> None:
        settings = desk.settings
        self._native = app
        self._public = public
        self._desk = desk
        self._gate = gate
        # Made here and not at import: the supervisor imports the service too.
        self._tracer = tracing.configure(TEMPLATES)
        self._settings = settings
        self._budget = Budget(_LARGEST_BODIES * settings.max_body_bytes)
        self._handle: Application = self._answer
        if settings.cors_origins:
            self._handle = CORSMiddleware(
                self._answer,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=[
                    "Authorization",
                    "Content-Type",
                    "X-Request-Id",
                    "X-Request-Timeout",
                ],
                expose_headers=list(_EXPOSED),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._observe(scope, receive, send)
            return
        try:
            await self._native(scope, receive, send)
        finally:
            if scope["type"] == "lifespan":
                self._tracer.shutdown()

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request a name and a deadline, and say afterwards how it went."""
        started = time.monotonic()
        headers = Headers(scope=scope)
        route = find_route(scope["path"])
        call = Call(
            request_id=_request_id(headers.get("x-request-id", "")),
            route=route.template,
            deadline=started + self._settings.timeout_s,
            timeout_s=self._settings.timeout_s,
            max_timeout_s=self._settings.max_timeout_s,
            is_read=not _length(headers) and "transfer-encoding" not in headers,
        )
        CALL.set(call)
        status = 0
        sent_bytes = 0

        async def note(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_response_headers(call, route)]
                if self._desk.is_draining and call.is_read:
                    # Else a kept connection would bring the next request here too. Closed before
                    # the body is read, it would be reset (body.py).
                    message["headers"].append((b"connection", b"close"))
            else:
                sent_bytes += len(message.get("body", b""))
            await send(message)

        error: BaseException | None = None
        try:
            await self._handle(scope, receive, note)
        except ClientGone:
            status = _GONE_STATUS
        except Exception as caught:
            # The host's log would print its message, which may quote the article.
            error = caught
            LOGGER.error("a request failed", exc_info=caught)
            if not status:
                await _send_problem(
                    Problem("internal", "a fault of the service; its log has the request id"),
                    call,
                    note,
                )
        finally:
            ended = time.monotonic()
            if call.problem:
                self._desk.metrics.rejected(call.problem.code)
            self._desk.metrics.request(
                route=route.template,
                method=scope["method"],
                status=status or _GONE_STATUS,
                seconds=ended - started,
            )
            self._tracer.request(
                route=route.template,
                method=scope["method"],
                status=status or _GONE_STATUS,
                request_id=call.request_id,
                times=(started, ended),
                stages=call.stages,
                traceparent=headers.get("traceparent"),
                passages=call.passages,
                tokens=call.tokens,
                error=error,
            )
            request_line(
                request_id=call.request_id,
                key=call.key,
                method=scope["method"],
                route=route.template,
                status=status or _GONE_STATUS,
                code=call.problem.code if call.problem else None,
                bytes_in=_length(headers),
                bytes_out=sent_bytes,
                passages=call.passages,
                tokens=call.tokens,
                queue_ms=call.milliseconds("queue") if call.stages else None,
                tokenise_ms=call.milliseconds("tokenise") if call.stages else None,
                infer_ms=call.milliseconds("infer") if call.stages else None,
                total_ms=1000 * (ended - started),
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = CALL.get()
        route = find_route(scope["path"])
        try:
            await self._pass_on(scope, receive, send, call, route)
        except Problem as problem:
            call.problem = problem
            await _send_problem(problem, call, send)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, call: Call, route: Route
    ) -> None:
        headers = Headers(scope=scope)
        client = scope.get("client")
        call.key = await self._gate.admit(route, headers, client[0] if client else None)
        app = self._native if route.is_native else self._public
        if not route.is_scoring or scope["method"] != "POST":
            if (route.is_native and scope["method"] not in ("GET", "HEAD")) or route.is_scoring:
                raise Problem(
                    "method_not_allowed",
                    "this route answers POST" if route.is_scoring else "this route answers GET",
                    headers=[("allow", "POST" if route.is_scoring else "GET")],
                )
            await app(scope, receive, send)
            return
        call.timeout_s = self._timeout_s(headers)
        call.deadline += call.timeout_s - self._settings.timeout_s
        if self._desk.is_draining:
            self._budget.give(len(await self._read(scope, receive, call)))
        self._desk.refuse_when_closed()
        _check_media_type(headers)
        self._desk.in_flight += 1
        try:
            await self._score(scope, receive, _Replacing(send, call), call, app)
        finally:
            self._desk.in_flight -= 1

    async def _score(
        self, scope: Scope, receive: Receive, send: Send, call: Call, app: Application
    ) -> None:
        """Read the body, and let ``app`` answer while the client is there."""
        body = await self._read(scope, receive, call)
        try:
            if app is self._native:
                check_body(self._desk, call.route, body)
            await run_while_connected(lambda replay: app(scope, replay, send), body, receive)
        finally:
            self._budget.give(len(body))

    async def _read(self, scope: Scope, receive: Receive, call: Call) -> bytes:
        """The body; its length is to be given back to the budget."""
        left_s = call.deadline - time.monotonic()
        if left_s <= 0:
            raise call.too_late()
        body = await read_body(
            receive,
            _length(Headers(scope=scope)),
            self._settings.max_body_bytes,
            self._budget,
            left_s,
        )
        call.is_read = True
        return body

    def _timeout_s(self, headers: Headers) -> float:
        """
        Raises:
            Problem: invalid_request; the header is no number of seconds.
        """
        text = headers.get("x-request-timeout")
        if text is None:
            return self._settings.timeout_s
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not seconds > 0:
            raise Problem(
                "invalid_request",
                "X-Request-Timeout is not a number of seconds above 0, such as 2.5; more than "
                f"{self._settings.max_timeout_s:g} count as that",
            )
        return min(seconds, self._settings.max_timeout_s)


class _Replacing:
    """A ``send`` that turns BentoML's errors into problem details.

    Its methods cannot raise ours without a traceback in its log, so they leave them in the call.
    The public application's errors are problem details already, and stay as they are.
    """

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            problem = self._call.problem
            headers = dict(message["headers"])
            if headers.get(b"content-type") == MEDIA_TYPE.encode():
                problem = None
            elif problem is None and message["status"] >= 400:
                problem = Problem("internal", "a fault of the service; its log has the request id")
            if problem is not None:
                self._is_replaced = True
                self._call.problem = problem
                await _send_problem(problem, self._call, self._send)
                return
        await self._send(message)


async def _send_problem(problem: Problem, call: Call, send: Send) -> None:
    body = problem.to_body(call.request_id)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode()) for name, value in problem.headers),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _response_headers(call: Call, route: Route) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-request-id", call.request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if route.is_scoring:
        headers.append((b"cache-control", b"no-store"))
    if call.stages:
        headers.append((b"server-timing", call.server_timing.encode()))
    return headers


def _request_id(offered: str) -> str:
    return offered if _REQUEST_ID.fullmatch(offered) else secrets.token_hex(8)


def _length(headers: Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _check_media_type(headers: Headers) -> None:
    """
    Raises:
        Problem: unsupported_media_type; the accepted ones are in its headers (RFC 9110, 15.5.16).
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        # A kilobyte of gzip can hold a gigabyte of text.
        raise Problem(
            "unsupported_media_type",
            "compressed bodies are not read; send JSON as it is",
            headers=[("accept-encoding", "identity")],
        )
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(
            "unsupported_media_type",
            "send application/json in UTF-8",
            headers=[("accept-post", "application/json")],
        )
