"""Calling the service from Python:

    with Tocsin("http://127.0.0.1:3000", key="tocsin_…") as tocsin:
        for passage in tocsin.analyse(text="…").passages:
            print(passage.labels, passage.scores)

``Tocsin`` blocks, ``AsyncTocsin`` is awaited; their methods, arguments and errors are the same.
What comes back is in ``client_records.py``, what is raised in ``client_errors.py``; a call that
cannot be sent at all raises InputError. A busy service (429, 503) or a failed connection is tried
again, within the time of the request. That is safe: no call changes anything.
"""

import asyncio
import math
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypedDict, TypeVar, Unpack, cast
from urllib.parse import urlsplit

from tocsin_models.errors import ConfigError
from tocsin_serving.client_calls import Call, Calls, PassageInput, Result
from tocsin_serving.client_records import (
    AnalysedArticle,
    Classification,
    Scheme,
    ServedModel,
    SummarisedArticle,
)
from tocsin_serving.client_transport import AsyncTransport, Transport

Carrier = TypeVar("Carrier", Transport, AsyncTransport)


class ClassifyOptions(TypedDict, total=False):
    """``thresholds`` by label, 0 to 1; only ``labels`` are answered where they are given.

    ``request_id`` is one of your own, 1 to 64 of ``A-Z a-z 0-9 . _ -``. What is None is not sent.
    """

    thresholds: Mapping[str, float] | None
    labels: Sequence[str] | None
    request_id: str | None


class SummariseOptions(TypedDict, total=False):
    """Exactly one of ``text``, ``html`` and ``paragraphs``; ``request_id`` as for passages."""

    text: str | None
    html: str | None
    paragraphs: Sequence[str] | None
    id: str | None
    style: str | None
    max_words: int | None
    max_sentences: int | None
    strict_language: bool | None
    request_id: str | None


class AnalyseOptions(SummariseOptions, total=False):
    """Those of a summary, ``thresholds`` and ``labels`` as for passages, and in ``focus`` labels
    whose passages the summary prefers."""

    thresholds: Mapping[str, float] | None
    labels: Sequence[str] | None
    focus: Sequence[str] | None


class _Client(Generic[Carrier]):
    """The settings of either client."""

    _carrier: ClassVar[Callable[..., Any]]
    _sleep: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """
        Args:
            url: where the service is, with a path if it stands behind one.
            key: a token that ``tocsin keys new`` printed.
            timeout_s: how long a request may take in all, with its retries and pauses. What is
                left of it goes to the service, which gives up in time.
            retries: how many further tries a request gets.
            tls: for a certificate authority of your own; else those of certifi are trusted.

        Raises:
            ConfigError: names all that is wrong, without the key.
        """
        if problems := list(_problems(url, key, timeout_s)):
            raise ConfigError("Tocsin client", problems)
        self._url = url.rstrip("/")
        self._calls = Calls(timeout_s=timeout_s, retries=retries)
        self._transport: Carrier = self._carrier(self._url, key, tls)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"


class Tocsin(_Client[Transport]):
    """The client that blocks. Threads may share one; it keeps connections open for reuse."""

    _carrier = Transport
    _sleep = staticmethod(time.sleep)

    def analyse(self, **options: Unpack[AnalyseOptions]) -> AnalysedArticle:
        """Passages with labels, and a summary. Raises ServiceError."""
        return self._run(self._calls.analyse(options))

    def classify(
        self, passages: Iterable[PassageInput], **options: Unpack[ClassifyOptions]
    ) -> Classification:
        """Labels for each passage, in order. Raises ServiceError.

        A passage is a string (then its id is its position, "0", "1", …) or a pair of id and text.
        More than the service takes at once go out in several requests, one after the other;
        ``timeout_s`` holds for each. If one fails, so does the call.
        """
        return self._run(self._calls.classify(passages, options))

    def summarise(self, **options: Unpack[SummariseOptions]) -> SummarisedArticle:
        """A summary only. Raises ServiceError."""
        return self._run(self._calls.summarise(options))

    def models(self) -> tuple[ServedModel, ...]:
        """What is loaded. Raises ServiceError."""
        return self._run(self._calls.models())

    def labels(self) -> Scheme:
        """What the labels mean. Raises ServiceError."""
        return self._run(self._calls.labels())

    def is_ready(self) -> bool:
        """Whether the service takes articles now: one try, of 5 s at most.

        Raises:
            ServiceError: something answers there, but it is not the service.
        """
        return self._run(self._calls.is_ready())

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Call[Result]) -> Result:
        try:
            attempt = next(call)
            while True:
                if attempt.pause_s:
                    self._sleep(attempt.pause_s)
                attempt = call.send(self._transport.send(attempt))
        except StopIteration as done:
            return cast(Result, done.value)


class AsyncTocsin(_Client[AsyncTransport]):
    """The client that is awaited, under asyncio; otherwise as ``Tocsin``."""

    _carrier = AsyncTransport
    _sleep = staticmethod(asyncio.sleep)

    async def analyse(self, **options: Unpack[AnalyseOptions]) -> AnalysedArticle:
        return await self._run(self._calls.analyse(options))

    async def classify(
        self, passages: Iterable[PassageInput], **options: Unpack[ClassifyOptions]
    ) -> Classification:
        return await self._run(self._calls.classify(passages, options))

    async def summarise(self, **options: Unpack[SummariseOptions]) -> SummarisedArticle:
        return await self._run(self._calls.summarise(options))

    async def models(self) -> tuple[ServedModel, ...]:
        return await self._run(self._calls.models())

    async def labels(self) -> Scheme:
        return await self._run(self._calls.labels())

    async def is_ready(self) -> bool:
        return await self._run(self._calls.is_ready())

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, call: Call[Result]) -> Result:
        try:
            attempt = next(call)
            while True:
                if attempt.pause_s:
                    await self._sleep(attempt.pause_s)
                attempt = call.send(await self._transport.send(attempt))
        except StopIteration as done:
            return cast(Result, done.value)


def _problems(url: str, key: str | None, timeout_s: float) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        is_web = False
    if not is_web:
        yield "url: it is not of the form http://host:port or https://host"
    if re.search("[@?#]", url):
        # A password there would go out in place of the key, and stand in every message.
        yield "url: it holds a user name, a query or a fragment; a key goes into key="
    if key is not None and not re.fullmatch(r"[!-~]+", key):
        yield "key: it holds white space, a line end or a character outside ASCII, or is empty"
    if not 0 < timeout_s < math.inf:
        yield f"timeout_s: {timeout_s} is not a number of seconds above 0"
