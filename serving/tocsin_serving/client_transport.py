"""Carrying a try out with httpx: its settings, the time it may take, and why nothing came of it.

Failures are returned, not raised: an error that is raised while httpx's is handled hangs on it, and
that one holds the article and the key.
"""

import asyncio
import ssl
import time
from contextlib import closing
from typing import Any

import httpx

from tocsin_serving.client_calls import Try
from tocsin_serving.client_errors import Reply, Unreachable

# A host that has not accepted by then is down or far behind; the rest of the time is for retries.
CONNECT_S = 5.0
# The service closes a connection that was idle for 5 s (uvicorn); reusing one at that very moment
# would fail.
KEEP_ALIVE_S = 3.0


class Transport:
    """Connections to one service, for a caller that blocks."""

    def __init__(self, url: str, key: str | None, tls: ssl.SSLContext | None) -> None:
        self._http = httpx.Client(**_settings(url, key, tls))

    def send(self, attempt: Try) -> Reply | Unreachable:
        request = self._http.build_request(**_request(attempt))
        # httpx's limits are for one step each, and together would be several times what is left.
        # httpcore reports each step before it begins; from there on it has what is left by then.
        limits = request.extensions["timeout"]
        request.extensions["trace"] = lambda *_: limits.update(
            dict.fromkeys(("read", "write"), attempt.left_s)
        )
        content = bytearray()
        try:
            with closing(self._http.send(request, stream=True)) as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if time.monotonic() > attempt.deadline:
                        raise TimeoutError
        except (httpx.RequestError, TimeoutError) as error:
            return _unreachable(attempt, request, error)
        return _reply(attempt, response, bytes(content))

    def close(self) -> None:
        self._http.close()


class AsyncTransport:
    """Connections to one service, under asyncio."""

    def __init__(self, url: str, key: str | None, tls: ssl.SSLContext | None) -> None:
        self._http = httpx.AsyncClient(**_settings(url, key, tls))

    async def send(self, attempt: Try) -> Reply | Unreachable:
        request = self._http.build_request(**_request(attempt))
        try:
            async with asyncio.timeout(attempt.left_s):
                response = await self._http.send(request)
        except (httpx.RequestError, TimeoutError) as error:
            return _unreachable(attempt, request, error)
        return _reply(attempt, response, response.content)

    async def close(self) -> None:
        await self._http.aclose()


def _settings(url: str, key: str | None, tls: ssl.SSLContext | None) -> dict[str, Any]:
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "verify": tls or True,
        "limits": httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
        # Copy is confidential: a proxy named in the environment would read it, a password in
        # ~/.netrc would go along. (BentoML's client sends a cloud key to any URL it is given.)
        "trust_env": False,
        # A redirect would carry the article to an address that nobody named.
        "follow_redirects": False,
    }


def _request(attempt: Try) -> dict[str, Any]:
    left_s = attempt.left_s
    headers = {
        "X-Request-Id": attempt.request_id,
        # A little less than is left, so that its 504, which says more than silence, arrives.
        "X-Request-Timeout": f"{left_s - min(left_s / 20, 0.25):.3f}",
    }
    if attempt.content is not None:
        headers["Content-Type"] = "application/json"
    return {
        "method": attempt.method,
        "url": attempt.path,
        "headers": headers,
        "content": attempt.content,
        "timeout": httpx.Timeout(left_s, connect=min(left_s, CONNECT_S)),
    }


def _reply(attempt: Try, response: httpx.Response, content: bytes) -> Reply:
    return Reply(
        url=str(response.request.url),
        request_id=response.headers.get("X-Request-Id", attempt.request_id),
        status=response.status_code,
        headers=response.headers,
        content=content,
    )


def _unreachable(attempt: Try, request: httpx.Request, error: Exception) -> Unreachable:
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            said = f"cannot be reached ({error}); is `tocsin serve` running there?"
        case httpx.TimeoutException() | TimeoutError():
            said = f"did not answer within {attempt.timeout_s:g} s"
        case _:
            said = "closed the connection before it had answered, or does not speak HTTP"
    return Unreachable(
        f"{request.url} {said} (request {attempt.request_id})", request_id=attempt.request_id
    )
