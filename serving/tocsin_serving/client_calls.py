"""What the client asks, and what it does about an answer; written once for both clients.

A call is a generator: it yields every try and is sent what came of it (as httpx's own
``auth_flow`` does), so that a client only carries tries out, blocking or awaited. All tries of a
call carry one ``X-Request-Id``, so that the service's log lines of it join.
"""

import json
import random
import re
import time
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from tocsin_models.errors import InputError
from tocsin_serving.client_errors import Overloaded, Reply, Unreachable
from tocsin_serving.client_records import (
    AnalysedArticle,
    Classification,
    Health,
    Installed,
    Scheme,
    ServedModel,
    SummarisedArticle,
)

# AWS Architecture Blog, "Exponential Backoff And Jitter" (2015): of the ways compared there, "full
# jitter", anything from 0 to a limit that doubles, makes the least work for the service.
BACKOFF_S = 0.25
MAX_BACKOFF_S = 8.0
# Less time than this and a retry is not begun: a busy service answers no passage sooner.
LEAST_TRY_S = 0.05
READY_S = 5.0
# What the contract takes in one request, and what fits the service's queue of 65,536 tokens even
# if every character were a token, with two more and padding for each passage.
PART_PASSAGES = 256
PART_CHARACTERS = 60_000

Result = TypeVar("Result")
PassageInput: TypeAlias = str | tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One exchange to carry out: after ``pause_s``, and over by ``deadline`` (monotonic clock).

    ``timeout_s`` is what all tries of the call have together.
    """

    method: str
    path: str
    content: bytes | None = field(repr=False)
    request_id: str
    timeout_s: float
    deadline: float
    pause_s: float = 0.0

    @property
    def left_s(self) -> float:
        return max(self.deadline - time.monotonic(), 0.001)


Call: TypeAlias = Generator[Try, Reply | Unreachable, Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The calls of a client. Each ends with a result, or raises ServiceError or InputError."""

    timeout_s: float
    retries: int

    def analyse(self, options: Mapping[str, Any]) -> Call[AnalysedArticle]:
        reply = yield from self._post("/v1/analyse", options)
        return reply.read(AnalysedArticle)

    def summarise(self, options: Mapping[str, Any]) -> Call[SummarisedArticle]:
        reply = yield from self._post("/v1/summarise", options)
        return reply.read(SummarisedArticle)

    def classify(
        self, passages: Iterable[PassageInput], options: Mapping[str, Any]
    ) -> Call[Classification]:
        request_id = options.get("request_id") or _new_id()
        answers: list[Classification] = []
        for part in _parts(passages):
            body = {**options, "passages": part, "request_id": request_id}
            reply = yield from self._post("/v1/classify", body)
            answer = reply.read(Classification)
            if [result.id for result in answer.results] != [row["id"] for row in part]:
                raise reply.unreadable("results are not of the passages sent, in their order")
            if answers and answer.model != answers[0].model:
                raise reply.unreadable("another model answered than the passages before")
            answers.append(answer)
        return replace(
            answers[-1],
            timing_ms={
                name: sum(answer.timing_ms.get(name, 0.0) for answer in answers)
                for name in answers[-1].timing_ms
            },
            results=tuple(result for answer in answers for result in answer.results),
        )

    def models(self) -> Call[tuple[ServedModel, ...]]:
        reply = yield from self._ask("GET", "/v1/models")
        return reply.read(Installed).models

    def labels(self) -> Call[Scheme]:
        reply = yield from self._ask("GET", "/v1/labels")
        return reply.read(Scheme)

    def is_ready(self) -> Call[bool]:
        once = replace(self, timeout_s=min(self.timeout_s, READY_S), retries=0)
        try:
            reply = yield from once._ask("GET", "/readyz")
        except (Overloaded, Unreachable):
            return False
        return reply.read(Health).status == "ok"

    def _post(self, path: str, options: Mapping[str, Any]) -> Call[Reply]:
        body = {name: value for name, value in options.items() if value is not None}
        request_id = body.pop("request_id", None) or _new_id()
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id):
            # The service would put one of its own in its place, and the logs would not join.
            raise InputError("request_id is not 1 to 64 of the characters A-Z a-z 0-9 . _ -")
        text: str | None = None
        with suppress(ValueError, TypeError):
            text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        if text is None:
            # Not inside the block: the encoder's error would hang on ours.
            raise InputError(
                "thresholds and options must be plain JSON: finite numbers, strings, lists; "
                "convert values of numpy with float()"
            )
        # Half of a surrogate pair is for the service to refuse: the error of Python's codec would
        # hold the whole article.
        return self._ask("POST", path, text.encode("utf-8", "surrogatepass"), request_id)

    def _ask(
        self, method: str, path: str, content: bytes | None = None, request_id: str | None = None
    ) -> Call[Reply]:
        """The answer of status 200, after retries if need be. Raises ServiceError."""
        attempt = Try(
            method=method,
            path=path,
            content=content,
            request_id=request_id or _new_id(),
            timeout_s=self.timeout_s,
            deadline=time.monotonic() + self.timeout_s,
        )
        number = 0
        while True:
            came = yield attempt
            if isinstance(came, Reply) and came.status == 200:
                return came
            error = came.error() if isinstance(came, Reply) else came
            may_retry = isinstance(error, Overloaded | Unreachable) and number < self.retries
            pause_s = draw_pause_s(number, error.retry_after_s)
            if not may_retry or attempt.left_s < pause_s + LEAST_TRY_S:
                raise error
            attempt = replace(attempt, pause_s=pause_s)
            number += 1


def draw_pause_s(number: int, retry_after_s: float | None) -> float:
    """How long to wait after the try ``number`` (from 0): as long as the service asked, if it did.

    The jitter comes on top: all who were refused in one second were asked to wait the same time.
    """
    limit_s = min(MAX_BACKOFF_S, BACKOFF_S * 2**number)
    return (retry_after_s or 0.0) + random.uniform(0.0, limit_s)


def _new_id() -> str:
    return uuid.uuid4().hex


def _parts(passages: Iterable[PassageInput]) -> Iterator[list[dict[str, str]]]:
    """The passages as the contract has them, as many at a time as one request takes; at least one
    part, so that the service refuses none at all."""
    if isinstance(passages, str):
        # It is iterable too, and would be labelled letter by letter.
        raise InputError("passages is one string; give a list of them")
    part: list[dict[str, str]] = []
    characters = 0
    for index, passage in enumerate(passages):
        passage_id, text = (str(index), passage) if isinstance(passage, str) else passage
        if len(part) == PART_PASSAGES or (part and characters + len(text) > PART_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append({"id": passage_id, "text": text})
        characters += len(text)
    yield part
