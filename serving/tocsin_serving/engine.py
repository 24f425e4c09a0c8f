"""The models behind the service: the same two halves of ``analyse`` as everywhere, with the
micro-batcher between them."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tocsin_models.abstractive import AbstractiveSummariser
from tocsin_models.analyse import (
    Options,
    Reading,
    apply_options,
    check_options,
    conclude,
    label_passages,
    limits_for,
    read,
)
from tocsin_models.classifier import EncoderClassifier, TextWindow
from tocsin_models.labels import assign_labels
from tocsin_models.protocols import Scores
from tocsin_models.records import Analysis, Article, ModelInfo, Passage
from tocsin_models.summariser import ExtractiveSummariser
from tocsin_serving.batcher import Batcher, DeadlinePassed, Outcome, QueueFull, RowFailed
from tocsin_serving.calls import Call
from tocsin_serving.fair_queue import Row
from tocsin_serving.metrics import Metrics, Task
from tocsin_serving.problems import Problem

LOGGER = logging.getLogger("tocsin.engine")

# Up to here preparing takes a few milliseconds, about what a hop to another thread and back costs
# while inference has both cores.
_INLINE_CHARACTERS = 4_000
# The shape of the summariser's rows; the classifier's are their padded lengths.
_SUMMARY = "summary"
# So many failures in a row, and the model is asked again before the service calls itself ready.
_SUSPICIOUS = 3
_PROBE_S = 2.0
_WARM_UP = "The general vowed to strike the port again, and the envoy called for talks."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A passage's answer: labels and scores, or the type of what went wrong in ``failure``."""

    labels: tuple[str, ...] = ()
    scores: dict[str, float]
    windows: int = 0
    failure: str | None = None


class Engine:
    """Answers calls, any number at once; what they wait for is one queue.

    Every method raises ``Problem`` (queue_full, deadline_exceeded, inference_failed) and the
    errors of ``analyse``.
    """

    def __init__(
        self,
        classifier: EncoderClassifier,
        summariser: ExtractiveSummariser | AbstractiveSummariser,
        *,
        queue_tokens: int,
        max_timeout_s: float,
        metrics: Metrics,
    ) -> None:
        self.classifier = classifier
        self.summariser = summariser
        self._max_timeout_s = max_timeout_s
        self._metrics = metrics
        self._batcher = Batcher(
            self._run,
            batch_tokens=classifier.batch_tokens,
            queue_tokens=queue_tokens,
            observer=_Observer(metrics),
            model_of=_task,
        )
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="prepare")

    @property
    def infos(self) -> tuple[ModelInfo, ModelInfo]:
        """The classifier and the summariser, as answers name them."""
        return self.classifier.info, self.summariser.info

    async def analyse(self, article: Article, options: Options, call: Call) -> Analysis:
        """The whole record of an article."""
        info = apply_options(self.classifier.info, options)
        return await self._analyse(article, options, info, call)

    async def summarise(self, article: Article, options: Options, call: Call) -> Analysis:
        """The summary alone; no passage carries scores."""
        return await self._analyse(article, options, None, call)

    async def classify(
        self, texts: Sequence[str], options: Options, call: Call
    ) -> tuple[ModelInfo, list[Labelled]]:
        """An answer for each text, in order. A text on which the model fails has a ``failure``."""
        info = apply_options(self.classifier.info, options)
        windows = await self._prepare(
            lambda: self.classifier.cut(texts), sum(map(len, texts)), call
        )
        outcome = await self._submit(_rows(windows), call)
        scores, failures = self._gather(windows, outcome.results)
        answers = []
        for index in range(len(texts)):
            if index in failures:
                answers.append(Labelled(scores={}, failure=failures[index]))
                continue
            labels, by_label = assign_labels(scores, index, info.thresholds)
            answers.append(Labelled(labels=labels, scores=by_label, windows=scores.windows[index]))
        self._count(answers, sum(scores.windows))
        return info, answers

    async def warm_up(self, timeout_s: float = 60.0) -> None:
        """One inference of each model: what comes after it is as fast as it will ever be."""
        call = Call(
            request_id="warm-up",
            route="warm-up",
            deadline=time.monotonic() + timeout_s,
            timeout_s=timeout_s,
            max_timeout_s=self._max_timeout_s,
        )
        await self.analyse(Article(id="warm-up", text=_WARM_UP), Options(), call)

    async def is_ready(self) -> bool:
        """Whether the models answer; after failures in a row of either they are asked."""
        if self._batcher.running_s > self._max_timeout_s:
            # Nobody can be waiting for it any more, and everybody waits behind it.
            LOGGER.error("a model has not come back for %d s", self._batcher.running_s)
            return False
        if self._batcher.failed_in_a_row < _SUSPICIOUS:
            return True
        try:
            await self.warm_up(_PROBE_S)
        except Problem:
            return False
        return True

    def refuse_when_full(self) -> None:
        """
        Raises:
            Problem: queue_full, before anything of a request has been read.
        """
        try:
            self._batcher.refuse_when_full()
        except QueueFull as error:
            raise _queue_full(error) from None

    def stop(self) -> None:
        """End the threads. Whatever still waits is lost: drain first."""
        self._batcher.stop()
        self._pool.shutdown(cancel_futures=True)

    async def _analyse(
        self, article: Article, options: Options, info: ModelInfo | None, call: Call
    ) -> Analysis:
        check_options(options, info is not None, self.summariser)

        def prepare() -> Any:
            infos = self.infos if info else (self.summariser.info,)
            reading = read(article, infos, options)
            windows = self.classifier.cut(reading.texts) if info else []
            return reading, windows, self._cut(reading, options)

        size = len(article.text) or sum(map(len, article.paragraphs))
        # HTML is parsed, which takes a hundred times longer than plain text.
        size *= 100 if article.format == "html" else 1
        reading, windows, sentences = await self._prepare(prepare, size, call)
        groups = [
            Row(shape=_SUMMARY, tokens=self.summariser.cost(group), payload=group)
            for group in sentences.groups
        ]
        outcome = await self._submit([*_rows(windows), *groups], call)
        if failed := next((item for item in outcome.results if isinstance(item, RowFailed)), None):
            raise Problem(
                "inference_failed",
                f"the model failed on a passage of this article ({failed.reason})",
            )
        call.passages = len(reading.texts)
        passages: tuple[Passage, ...] = ()
        if info:
            scores, _ = self._gather(windows, outcome.results[: len(windows)])
            passages = label_passages(reading, scores, 0, info)
            self._count(passages, sum(scores.windows))
        limits = limits_for(options, passages)
        summary = self.summariser.choose(sentences, outcome.results[len(windows) :], limits)
        self._metrics.windows("summarise", summary.windows)
        return conclude(reading, passages, summary, info, self.summariser.info, limits.focus)

    def _cut(self, reading: Reading, options: Options) -> Any:
        """The summariser's groups; how long a model may write is decided before it does."""
        paragraphs = reading.source.paragraphs
        if isinstance(self.summariser, ExtractiveSummariser):
            return self.summariser.read(paragraphs)
        return self.summariser.read(paragraphs, options.limits)

    async def _prepare(self, work: Callable[[], T], characters: int, call: Call) -> T:
        """What precedes the model, on another thread where it would hold up everybody else."""
        started = time.monotonic()
        try:
            if characters <= _INLINE_CHARACTERS:
                return work()
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(call.deadline - started):
                return await loop.run_in_executor(self._pool, work)
        except TimeoutError:
            raise call.too_late() from None
        finally:
            call.stages["tokenise"] = (started, time.monotonic())

    async def _submit(self, rows: Sequence[Row], call: Call) -> Outcome:
        call.tokens = sum(row.tokens for row in rows)
        try:
            outcome = await self._batcher.submit(rows, call.deadline)
        except QueueFull as error:
            raise _queue_full(error) from None
        except DeadlinePassed:
            raise call.too_late() from None
        call.stages["queue"] = (outcome.queued_at, outcome.started_at)
        call.stages["infer"] = (outcome.started_at, outcome.finished_at)
        return outcome

    def _run(self, shape: Hashable, payloads: Sequence[Any]) -> Sequence[Any]:
        """On the batcher's thread. What is not a number fails its own row."""
        if shape != _SUMMARY:
            found = list(self.classifier.run(payloads))
        elif isinstance(self.summariser, ExtractiveSummariser):
            found = [self.summariser.run(group) for group in payloads]
        else:
            return [self.summariser.run(group) for group in payloads]
        return [row if np.isfinite(row).all() else RowFailed("not a number") for row in found]

    def _gather(
        self, windows: Sequence[TextWindow], results: Sequence[Any]
    ) -> tuple[Scores, dict[int, str]]:
        """Scores, and the texts that failed with the reason; their scores are zeros."""
        failures = {
            window.owner: result.reason
            for window, result in zip(windows, results, strict=True)
            if isinstance(result, RowFailed)
        }
        blank = np.zeros(len(self.classifier.labels), np.float32)
        rows = [blank if isinstance(result, RowFailed) else result for result in results]
        probabilities = np.array(rows, np.float32).reshape(len(rows), len(blank))
        return self.classifier.gather(windows, probabilities), failures

    def _count(self, passages: Sequence[Any], windows: int) -> None:
        self._metrics.labelled(Counter(label for item in passages for label in item.labels))
        self._metrics.windows("classify", windows)


class _Observer:
    """Tells the metrics what the batcher does."""

    def __init__(self, metrics: Metrics) -> None:
        self.queue = metrics.queue
        self.waited = metrics.waited
        self.gone = metrics.gone
        self._metrics = metrics

    def batch(
        self, *, shape: Hashable, rows: int, failed: int, tokens: int, seconds: float
    ) -> None:
        task = _task(shape)
        self._metrics.batch(task=task, rows=rows, failed=failed, tokens=tokens, seconds=seconds)


def _task(shape: Hashable) -> Task:
    return "summarise" if shape == _SUMMARY else "classify"


def _rows(windows: Sequence[TextWindow]) -> list[Row]:
    return [Row(shape=window.length, tokens=window.length, payload=window) for window in windows]


def _queue_full(error: QueueFull) -> Problem:
    return Problem(
        "queue_full",
        "as much work is waiting as the queue holds; try again after the seconds in Retry-After",
        retry_after_s=error.retry_after_s,
    )
