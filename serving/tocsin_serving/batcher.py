"""The micro-batcher: jobs of many callers in, batches for one model thread out.

The queue is bounded; a batch holds whatever waits in one shape the moment the model is free, so
that nobody waits when it is idle; one thread runs the model, so that a caller who gave up cannot
leave a second inference running; and a row that makes its batch fail is found by running the rows
alone.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tocsin_serving.fair_queue import FairQueue, Row, Waiting

LOGGER = logging.getLogger("tocsin.batcher")

# (shape, payloads of that shape) -> a result for each, in order.
Run = Callable[[Hashable, Sequence[Any]], Sequence[Any]]

# How much of what was known of a full batch's time the next one leaves standing.
_MEMORY = 0.9
# A device that does not answer must not keep the process.
_STOP_S = 2.0


class QueueFull(Exception):
    """More tokens wait than the queue holds; the work of ``retry_after_s`` is ahead."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"the queue is full; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class DeadlinePassed(Exception):
    """The job's deadline came before its results did."""


@dataclass(frozen=True, slots=True)
class RowFailed:
    """In place of a result: the model failed on this row alone. ``reason`` is the exception's type,
    never its message, which may quote what the model read."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A result (or ``RowFailed``) for each row, in order, and when, by ``time.monotonic``, the rows
    were queued, the first batch with one of them began, and the last ended."""

    results: list[Any]
    queued_at: float
    started_at: float
    finished_at: float


class Observer(Protocol):
    """Who watches: the metrics, or nobody."""

    def queue(self, *, jobs: int, tokens: int) -> None: ...
    def waited(self, seconds: float) -> None: ...
    def batch(
        self, *, shape: Hashable, rows: int, failed: int, tokens: int, seconds: float
    ) -> None: ...
    def gone(self) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    """A caller's rows on their way. Only touched under the batcher's lock, but for ``done``."""

    results: list[Any]
    left: int
    deadline: float
    queued_at: float
    done: "asyncio.Future[None]"
    is_dropped: bool = False
    started_at: float | None = None
    finished_at: float | None = None


class Batcher:
    """Runs rows through ``run`` on a thread of its own.

    ``batch_tokens`` is what a batch may hold, ``queue_tokens`` what may wait before newcomers are
    refused; a job is admitted whole, so that one that is larger than the queue still has its turn.
    ``model_of`` says which model reads a shape: the failures of each are counted by themselves.
    Deadlines are of ``time.monotonic``, which no change of the clock on the wall moves.
    """

    def __init__(
        self,
        run: Run,
        *,
        batch_tokens: int,
        queue_tokens: int,
        observer: Observer,
        model_of: Callable[[Hashable], Hashable] = lambda shape: None,
    ) -> None:
        self._run = run
        self._batch_tokens = batch_tokens
        self._queue_tokens = queue_tokens
        self._observer = observer
        self._model_of = model_of
        self._queue = FairQueue()
        self._jobs = 0
        self._condition = threading.Condition()
        self._is_stopping = False
        # What a batch that is full takes. Until there was one, any batch's time stands for it: most
        # of what a small one takes is not its rows'.
        self._full_batch_s = 0.0
        self._has_seen_full = False
        self._failed_in_a_row: dict[Hashable, int] = {}
        self._running_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def failed_in_a_row(self) -> int:
        """Failures since a row last succeeded, of the model that has most of them."""
        return max([0, *self._failed_in_a_row.values()])

    @property
    def running_s(self) -> float:
        """How long the batch that is in the model has been there; 0 where none is."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    def refuse_when_full(self) -> None:
        """
        Raises:
            QueueFull: a job that came now would be refused.
        """
        with self._condition:
            self._check_room()

    async def submit(self, rows: Sequence[Row], deadline: float) -> Outcome:
        """The results of ``rows``, once the model has run them all.

        Whoever cancels this (a client that left) takes its waiting rows out of the queue.

        Raises:
            QueueFull: nothing was queued.
            DeadlinePassed: at ``deadline``; what still waited is dropped unread.
        """
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        if not rows:
            return Outcome(results=[], queued_at=now, started_at=now, finished_at=now)
        if now >= deadline:
            raise DeadlinePassed
        job = _Job(
            results=[None] * len(rows),
            left=len(rows),
            deadline=deadline,
            queued_at=now,
            done=loop.create_future(),
        )
        with self._condition:
            self._check_room()
            self._queue.add(job, rows)
            self._jobs += 1
            self._observe_queue()
            self._condition.notify()
        try:
            async with asyncio.timeout(deadline - now):
                await job.done
        except TimeoutError:
            raise DeadlinePassed from None
        except asyncio.CancelledError:
            self._observer.gone()
            raise
        finally:
            with self._condition:
                self._jobs -= 1
                self._drop(job)
                self._observe_queue()
        assert job.started_at is not None
        assert job.finished_at is not None
        return Outcome(
            results=job.results,
            queued_at=job.queued_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )

    def stop(self) -> None:
        """End the thread after the batch it is in; one that hangs is left behind."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify()
        self._thread.join(_STOP_S)

    def _check_room(self) -> None:
        if self._queue.tokens >= self._queue_tokens:
            # Before anything was measured a second is as good a guess as any.
            batch_s = self._full_batch_s or 1.0
            raise QueueFull(self._queue.tokens / self._batch_tokens * batch_s)

    def _observe_queue(self) -> None:
        self._tell(partial(self._observer.queue, jobs=self._jobs, tokens=self._queue.tokens))

    def _drop(self, job: _Job) -> None:
        if not job.is_dropped:
            job.is_dropped = True
            self._queue.drop(job)

    def _work(self) -> None:
        while True:
            with self._condition:
                while not (batch := self._next_batch()):
                    if self._is_stopping:
                        return
                    self._condition.wait()
            self._serve(batch)

    def _next_batch(self) -> list[Waiting]:
        """What to run now, of callers who still wait for it."""
        while not self._is_stopping and (batch := self._queue.take(self._batch_tokens)):
            now = time.monotonic()
            for waiting in batch:
                if now >= waiting.job.deadline:
                    self._drop(waiting.job)  # its caller has timed out, or is about to
            kept = [waiting for waiting in batch if not waiting.job.is_dropped]
            for waiting in kept:
                if waiting.job.started_at is None:
                    waiting.job.started_at = now
                    self._tell(partial(self._observer.waited, now - waiting.job.queued_at))
            if kept:
                return kept
        return []

    def _serve(self, batch: list[Waiting]) -> None:
        started = self._running_since = time.monotonic()
        shape = batch[0].row.shape
        results = self._run_or_isolate(shape, [waiting.row.payload for waiting in batch])
        self._running_since = None
        ended = time.monotonic()
        tokens = sum(waiting.row.tokens for waiting in batch)
        reasons = Counter(result.reason for result in results if isinstance(result, RowFailed))
        for reason, rows in reasons.items():
            LOGGER.error("the model failed on %d of %d rows (%s)", rows, len(batch), reason)
        finished: list[_Job] = []
        with self._condition:
            self._learn(tokens, ended - started)
            self._observe_queue()
            for waiting, result in zip(batch, results, strict=True):
                waiting.job.results[waiting.index] = result
                waiting.job.left -= 1
                if not waiting.job.left:
                    waiting.job.finished_at = ended
                    finished.append(waiting.job)
        if finished:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                finished[0].done.get_loop().call_soon_threadsafe(_finish, finished)
        report = partial(self._observer.batch, shape=shape, rows=len(batch), tokens=tokens)
        self._tell(partial(report, failed=reasons.total(), seconds=ended - started))

    def _tell(self, report: Callable[[], None]) -> None:
        """Metrics that cannot be written must not end the only thread that answers."""
        try:
            report()
        except Exception as error:
            LOGGER.error("an observer failed", exc_info=error)

    def _learn(self, tokens: int, seconds: float) -> None:
        if tokens >= self._batch_tokens / 2:
            full_s = seconds * self._batch_tokens / tokens
            known_s = self._full_batch_s if self._has_seen_full else full_s
            self._full_batch_s = _MEMORY * known_s + (1 - _MEMORY) * full_s
            self._has_seen_full = True
        elif not self._has_seen_full:
            self._full_batch_s = seconds

    def _run_or_isolate(self, shape: Hashable, payloads: list[Any]) -> list[Any]:
        """A result or ``RowFailed`` for each; rows of a batch that fails are run one by one."""
        try:
            results = self._run_checked(shape, payloads)
        except BaseException as error:  # whatever it is, a thread that ends answers nobody
            if len(payloads) > 1:
                return [
                    result
                    for payload in payloads
                    for result in self._run_or_isolate(shape, [payload])
                ]
            results = [RowFailed(type(error).__name__)]
        model = self._model_of(shape)
        if all(isinstance(result, RowFailed) for result in results):
            self._failed_in_a_row[model] = self._failed_in_a_row.get(model, 0) + 1
        else:
            self._failed_in_a_row[model] = 0
        return results

    def _run_checked(self, shape: Hashable, payloads: list[Any]) -> list[Any]:
        results = list(self._run(shape, payloads))
        if len(results) != len(payloads):
            # Else scores would go to somebody else's passage.
            raise RuntimeError(f"{len(payloads)} rows in, {len(results)} results out")
        return results


def _finish(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_result(None)
