"""Reading a request's body, bounded in size and in time, and noticing that its sender has left."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tocsin_serving.problems import Problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]


# Only for a body that does not come. Where one is on its way, closing would reset the connection,
# and a client that is still writing would lose the answer: uvicorn reads the rest and drops it.
_CLOSE = ("connection", "close")


class ClientGone(Exception):
    """The connection closed before there was anything to answer."""


class Budget:
    """Bytes that all requests together may hold. Many large bodies at once would else fill the
    memory, each of them within its own limit."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes

    def take(self, size_bytes: int) -> None:
        """
        Raises:
            Problem: queue_full.
        """
        if size_bytes > self._left:
            raise Problem("queue_full", "too many large requests are being read", retry_after_s=1)
        self._left -= size_bytes

    def give(self, size_bytes: int) -> None:
        self._left += size_bytes


async def read_body(
    receive: Receive, declared_bytes: int | None, most_bytes: int, budget: Budget, timeout_s: float
) -> bytes:
    """The whole body. The caller gives its length back to ``budget``.

    Raises:
        Problem: body_too_large, before it is read whole; body_too_slow; queue_full.
        ClientGone: the sender left.
    """
    if declared_bytes is not None and declared_bytes > most_bytes:
        raise _too_large(most_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                if size + len(chunk) > most_bytes:
                    raise _too_large(most_bytes)
                budget.take(len(chunk))
                size += len(chunk)
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        budget.give(size)
        raise Problem(
            "body_too_slow", "the body did not arrive by the deadline", headers=[_CLOSE]
        ) from None
    except BaseException:
        budget.give(size)
        raise


async def run_while_connected(
    work: Callable[[Receive], Awaitable[None]], body: bytes, receive: Receive
) -> None:
    """Run ``work``, which reads ``body`` again, and cancel it when the client leaves.

    Raises:
        ClientGone: it left.
    """
    has_read = False
    left = asyncio.Event()

    async def replay() -> Message:
        nonlocal has_read
        if not has_read:
            has_read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    task = asyncio.ensure_future(work(replay))
    watcher = asyncio.ensure_future(watch())
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            raise ClientGone
        await task
    finally:
        watcher.cancel()
        task.cancel()


def _too_large(most_bytes: int) -> Problem:
    return Problem(
        "body_too_large",
        f"at most {most_bytes} bytes are read; send the article in parts, or ask for a larger "
        "--max-body",
    )
