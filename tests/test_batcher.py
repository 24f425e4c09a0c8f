"""The micro-batcher, with a model that the test holds: every row to its owner, or a clear word."""

import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin_serving.batcher import Batcher, DeadlinePassed, Outcome, QueueFull, RowFailed
from tocsin_serving.fair_queue import Row

T = TypeVar("T")

SECRET = "the general said at dawn"


@dataclass(kw_only=True)
class Model:
    """Answers each payload with itself. While not ``go`` it hangs; payloads in ``poison`` make
    their whole call fail; ``change`` may spoil the results; ``cost`` gives seconds for tokens."""

    go: threading.Event = field(default_factory=threading.Event)
    poison: set[Any] = field(default_factory=set)
    error: BaseException = field(default_factory=lambda: ValueError(SECRET))
    change: Callable[[list[Any]], list[Any]] = list
    cost_s: Callable[[int], float] = lambda rows: 0.0
    calls: list[list[Any]] = field(default_factory=list)
    shapes: list[Hashable] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    running: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.go.set()

    def __call__(self, shape: Hashable, payloads: Sequence[Any]) -> list[Any]:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.threads.add(threading.get_ident())
        self.calls.append(list(payloads))
        self.shapes.append(shape)
        try:
            assert self.go.wait(20), "the test never let the model go"
            time.sleep(self.cost_s(len(payloads)))
            if self.poison & set(payloads):
                raise self.error
            return self.change(list(payloads))
        finally:
            self.running -= 1

    @property
    def read(self) -> list[Any]:
        """Every payload that was run, in order."""
        return [payload for call in self.calls for payload in call]


@dataclass
class Watcher:
    """Notes what the metrics would be told; ``breaks`` names a method that raises."""

    breaks: str = ""
    left: int = 0
    failed: int = 0
    waits: list[float] = field(default_factory=list)
    batches: list[tuple[Hashable, int, int]] = field(default_factory=list)
    queues: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])

    def _break(self, name: str) -> None:
        if self.breaks == name:
            raise RuntimeError("the disk of the metrics is full")

    def queue(self, *, jobs: int, tokens: int) -> None:
        self.queues.append((jobs, tokens))

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._break("waited")

    def batch(
        self, *, shape: Hashable, rows: int, failed: int, tokens: int, seconds: float
    ) -> None:
        self.batches.append((shape, rows, tokens))
        self.failed += failed
        self._break("batch")

    def gone(self) -> None:
        self.left += 1


@contextmanager
def batching(
    model: Model,
    watcher: Watcher | None = None,
    *,
    batch_tokens: int = 100,
    queue_tokens: int = 1_000_000,
    model_of: Callable[[Hashable], Hashable] = lambda shape: None,
) -> Iterator[Batcher]:
    batcher = Batcher(
        model,
        batch_tokens=batch_tokens,
        queue_tokens=queue_tokens,
        observer=watcher or Watcher(),
        model_of=model_of,
    )
    try:
        yield batcher
    finally:
        model.go.set()
        batcher.stop()


def rows(*payloads: Any, shape: Hashable = 10, tokens: int = 10) -> list[Row]:
    return [Row(shape=shape, tokens=tokens, payload=payload) for payload in payloads]


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


def play(scene: Awaitable[T]) -> T:
    async def whole() -> T:
        async with asyncio.timeout(30):
            return await scene

    return asyncio.run(whole())


# Rows to their owners


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A caller: when he comes, what he brings, and when he leaves or loses patience."""

    at_ms: int
    shapes: list[int]
    leaves_ms: int | None
    deadline_ms: int | None
    poisoned: int | None


PATIENCE = st.one_of(st.none(), st.none(), st.integers(0, 8))
VISITS = st.lists(
    st.builds(
        Visit,
        at_ms=st.integers(0, 6),
        shapes=st.lists(st.sampled_from([8, 16, 24]), min_size=1, max_size=20),
        leaves_ms=PATIENCE,
        deadline_ms=PATIENCE,
        poisoned=st.one_of(st.none(), st.none(), st.integers(0, 19)),
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=50, deadline=None)
@given(VISITS)
def test_results_go_to_their_owners_whatever_happens_around_them(visits: list[Visit]) -> None:
    # Scores of one newsroom's copy in another's answer would be the worst this service can do.
    payloads = [[(number, row) for row in range(len(v.shapes))] for number, v in enumerate(visits)]
    poison = {(number, v.poisoned) for number, v in enumerate(visits) if v.poisoned is not None}
    model = Model(poison=set(poison), cost_s=lambda rows: 0.0002 * rows)
    watcher = Watcher()

    async def visit(batcher: Batcher, number: int) -> Outcome:
        v = visits[number]
        await asyncio.sleep(v.at_ms / 1_000)
        brought = [
            Row(shape=shape, tokens=shape, payload=payload)
            for shape, payload in zip(v.shapes, payloads[number], strict=True)
        ]
        return await batcher.submit(
            brought, soon(20 if v.deadline_ms is None else v.deadline_ms / 1_000)
        )

    async def scene(batcher: Batcher) -> list[Any]:
        tasks = [asyncio.ensure_future(visit(batcher, number)) for number in range(len(visits))]
        loop = asyncio.get_running_loop()
        for task, v in zip(tasks, visits, strict=True):
            if v.leaves_ms is not None:
                loop.call_later((v.at_ms + v.leaves_ms) / 1_000, task.cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    with batching(model, watcher, batch_tokens=64) as batcher:
        found = play(scene(batcher))

    for number, (v, outcome) in enumerate(zip(visits, found, strict=True)):
        if isinstance(outcome, asyncio.CancelledError):
            assert v.leaves_ms is not None
        elif isinstance(outcome, DeadlinePassed):
            assert v.deadline_ms is not None
        else:
            expected = [
                RowFailed("ValueError") if payload in poison else payload
                for payload in payloads[number]
            ]
            assert outcome.results == expected
            assert outcome.queued_at <= outcome.started_at <= outcome.finished_at
    # One inference at a time, on one thread, whoever gave up: two would halve everybody's speed.
    assert model.most_at_once <= 1
    assert len(model.threads) <= 1
    # What belongs to one batch has one shape, and a row is run again only to find a poisoned one.
    shape_of = {
        payload: shape
        for brought, v in zip(payloads, visits, strict=True)
        for payload, shape in zip(brought, v.shapes, strict=True)
    }
    for shape, call in zip(model.shapes, model.calls, strict=True):
        assert {shape_of[payload] for payload in call} == {shape}
        assert len(call) * int(str(shape)) <= 64
    again = {payload for payload, times in Counter(model.read).items() if times > 1}
    spoilt = {payload for call in model.calls if poison & set(call) for payload in call}
    assert again <= spoilt
    assert watcher.queues[-1] == (0, 0)


def test_a_thousand_callers_at_once_are_all_answered() -> None:
    model, watcher = Model(), Watcher()

    async def scene(batcher: Batcher) -> list[Outcome]:
        return await asyncio.gather(
            *(batcher.submit(rows((n, 0), (n, 1)), soon()) for n in range(1_000))
        )

    with batching(model, watcher, batch_tokens=1_000) as batcher:
        found = play(scene(batcher))
    assert [outcome.results for outcome in found] == [[(n, 0), (n, 1)] for n in range(1_000)]
    assert len(model.calls) < 100  # together, not one by one
    assert max(jobs for jobs, _ in watcher.queues) == 1_000
    assert watcher.queues[-1] == (0, 0)
    assert sum(count for _, count, _ in watcher.batches) == 2_000
    assert len(watcher.waits) == 1_000


def test_no_rows_are_an_answer_without_a_call() -> None:
    # A classify request of which every passage is refused.
    model = Model()
    with batching(model) as batcher:
        assert play(batcher.submit([], soon())).results == []
    assert model.calls == []


# The moment the model is free


def test_an_idle_model_is_asked_without_delay() -> None:
    # BentoML's batcher polls and waits for company; here an editor alone must not.
    async def scene(batcher: Batcher) -> float:
        best = float("inf")
        for number in range(30):
            begun = time.monotonic()
            await batcher.submit(rows(number), soon())
            best = min(best, time.monotonic() - begun)
            await asyncio.sleep(0.001)
        return best

    with batching(Model()) as batcher:
        # A fixed delay would be in the fastest of them too; the others wait for a busy machine.
        assert play(scene(batcher)) < 0.003


def test_what_waits_is_taken_together_the_moment_the_model_is_free() -> None:
    model = Model()

    async def scene(batcher: Batcher) -> None:
        model.go.clear()
        first = asyncio.ensure_future(batcher.submit(rows("first"), soon()))
        await until(lambda: model.running == 1)
        others = [asyncio.ensure_future(batcher.submit(rows(n), soon())) for n in range(5)]
        await asyncio.sleep(0.01)
        model.go.set()
        await asyncio.gather(first, *others)

    with batching(model) as batcher:
        play(scene(batcher))
    assert model.calls == [["first"], [0, 1, 2, 3, 4]]


def test_one_passage_does_not_wait_for_an_article_of_500() -> None:
    model = Model()

    async def scene(batcher: Batcher) -> int:
        model.go.clear()
        article = asyncio.ensure_future(batcher.submit(rows(*range(500)), soon()))
        await until(lambda: model.running == 1)
        editor = asyncio.ensure_future(batcher.submit(rows("editor", shape=20), soon()))
        await asyncio.sleep(0.01)
        model.go.set()
        await editor
        await article
        return next(n for n, call in enumerate(model.calls) if "editor" in call)

    with batching(model) as batcher:
        # 500 rows are 50 batches; the editor's is the next after the one that ran, or the one after
        assert play(scene(batcher)) <= 2


# The bound


async def fill(
    batcher: Batcher, model: Model, jobs: int, *payloads: Any
) -> list[asyncio.Task[Outcome]]:
    """Hold the model with a row, and let ``jobs`` queue up behind it."""
    model.go.clear()
    running = asyncio.ensure_future(batcher.submit(rows("held"), soon()))
    await until(lambda: model.running == 1)
    waiting = [asyncio.ensure_future(batcher.submit(rows(*payloads), soon())) for _ in range(jobs)]
    await asyncio.sleep(0.01)
    return [running, *waiting]


def test_a_full_queue_refuses_at_once_and_takes_nothing() -> None:
    model, watcher = Model(), Watcher()

    async def scene(batcher: Batcher) -> None:
        tasks = await fill(batcher, model, 5, "a", "b")
        assert watcher.queues[-1] == (6, 100)
        begun = time.monotonic()
        with pytest.raises(QueueFull) as refused:
            await batcher.submit(rows("too many"), soon())
        with pytest.raises(QueueFull):
            batcher.refuse_when_full()
        assert time.monotonic() - begun < 0.1
        assert refused.value.retry_after_s > 0
        assert watcher.queues[-1] == (6, 100)
        tasks[-1].cancel()  # and room is room again, though the model still hangs
        with suppress(asyncio.CancelledError):
            await tasks[-1]
        batcher.refuse_when_full()
        late = asyncio.ensure_future(batcher.submit(rows("late"), soon()))
        await asyncio.sleep(0)
        model.go.set()
        assert (await late).results == ["late"]
        await asyncio.gather(*tasks[:-1])

    with batching(model, watcher, queue_tokens=100) as batcher:
        play(scene(batcher))
    assert "too many" not in model.read


def test_a_job_larger_than_the_queue_still_has_its_turn() -> None:
    # Else a long article would be refused for ever, with a promise to try again.
    with batching(Model(), queue_tokens=10) as batcher:
        assert play(batcher.submit(rows(*range(50)), soon())).results == list(range(50))


def drain(warm_up: int) -> tuple[float, float]:
    """Seconds that a refused caller was told, and seconds that the queue took, after a first batch
    of ``warm_up`` rows on a model that takes 10 ms and 0.2 ms a row."""
    model = Model(cost_s=lambda rows: 0.01 + 0.0002 * rows)

    async def scene(batcher: Batcher) -> tuple[float, float]:
        await batcher.submit(rows(*range(warm_up)), soon())
        tasks = await fill(batcher, model, 20, *range(100))
        with pytest.raises(QueueFull) as refused:
            batcher.refuse_when_full()
        begun = time.monotonic()
        model.go.set()
        await asyncio.gather(*tasks)
        return refused.value.retry_after_s, time.monotonic() - begun

    with batching(model, batch_tokens=1_000, queue_tokens=20_000) as batcher:
        return play(scene(batcher))


def test_retry_after_is_the_time_that_the_queue_takes() -> None:
    told_s, took_s = drain(warm_up=100)
    assert took_s / 3 < told_s < 3 * took_s


def test_retry_after_is_not_learnt_from_a_row_that_ran_alone() -> None:
    # A service that idles reads single passages, most of whose time is not the row's; the first
    # burst would be told to stay away for many times as long as it takes.
    told_s, took_s = drain(warm_up=1)
    assert told_s < 5 * took_s


# Deadlines and callers who leave


def test_a_deadline_that_has_passed_is_told_and_nothing_is_run() -> None:
    model = Model()
    with batching(model) as batcher, pytest.raises(DeadlinePassed):
        play(batcher.submit(rows("late"), time.monotonic()))
    assert model.calls == []


def test_what_waits_past_its_deadline_is_never_run_and_leaves_room() -> None:
    model, watcher = Model(), Watcher()

    async def scene(batcher: Batcher) -> None:
        [held] = await fill(batcher, model, 0)
        begun = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await batcher.submit(rows(*["late"] * 20), soon(0.05))
        assert 0.04 < time.monotonic() - begun < 0.5  # at the deadline, not when the model is free
        assert watcher.queues[-1] == (1, 0)
        batcher.refuse_when_full()
        model.go.set()
        await held
        assert (await batcher.submit(rows("next"), soon())).results == ["next"]

    with batching(model, watcher, queue_tokens=100) as batcher:
        play(scene(batcher))
    assert model.read == ["held", "next"]
    assert watcher.left == 0  # late is not gone


def test_a_deadline_during_inference_is_kept_and_the_next_caller_served() -> None:
    model = Model()

    async def scene(batcher: Batcher) -> None:
        model.go.clear()
        begun = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await batcher.submit(rows(*range(100)), soon(0.05))
        assert time.monotonic() - begun < 0.5
        model.go.set()
        assert (await batcher.submit(rows("next"), soon())).results == ["next"]

    with batching(model) as batcher:
        play(scene(batcher))
    # The batch that was in the model ended; the other nine were not begun.
    assert model.read == [*range(10), "next"]


def test_a_deadline_is_checked_before_work_starts_even_if_the_loop_is_late() -> None:
    # The loop may be busy with somebody's parsing, and its timers late: the thread looks itself.
    model = Model()

    async def scene(batcher: Batcher) -> None:
        [held] = await fill(batcher, model, 0)
        late = asyncio.ensure_future(batcher.submit(rows(*["late"] * 20), soon(0.02)))
        await asyncio.sleep(0)
        time.sleep(0.03)  # the loop is busy
        model.go.set()
        time.sleep(0.03)
        with pytest.raises(DeadlinePassed):
            await late
        await held

    with batching(model) as batcher:
        play(scene(batcher))
    assert model.read == ["held"]


def test_any_number_of_deadlines_may_pass_while_the_loop_is_late() -> None:
    # As above, with more callers than Python allows calls within calls.
    model = Model()
    callers = sys.getrecursionlimit() + 500

    async def scene(batcher: Batcher) -> None:
        [held] = await fill(batcher, model, 0)
        late = [
            asyncio.ensure_future(batcher.submit(rows("late"), soon(0.3))) for _ in range(callers)
        ]
        await asyncio.sleep(0)
        time.sleep(0.4)
        model.go.set()
        time.sleep(0.3)
        found = await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(outcome, DeadlinePassed) for outcome in found)
        await held
        assert (await batcher.submit(rows("next"), soon(2))).results == ["next"]

    with batching(model, batch_tokens=10) as batcher:
        play(scene(batcher))
    assert model.read == ["held", "next"]


def test_a_caller_who_leaves_takes_his_rows_along() -> None:
    model, watcher = Model(), Watcher()

    async def scene(batcher: Batcher) -> None:
        held, left, stays = await fill(batcher, model, 2, *["row"] * 5)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        assert watcher.left == 1
        assert watcher.queues[-1] == (2, 50)
        model.go.set()
        await asyncio.gather(held, stays)

    with batching(model, watcher) as batcher:
        play(scene(batcher))
    assert model.read == ["held", *["row"] * 5]
    assert watcher.left == 1


def test_a_caller_who_leaves_during_inference_frees_the_rest() -> None:
    model = Model()

    async def scene(batcher: Batcher) -> None:
        model.go.clear()
        left = asyncio.ensure_future(batcher.submit(rows(*range(50)), soon()))
        await until(lambda: model.running == 1)
        left.cancel()
        await asyncio.sleep(0)
        model.go.set()
        await batcher.submit(rows("next"), soon())

    with batching(model) as batcher:
        play(scene(batcher))
    assert model.read == [*range(10), "next"]


# A model that fails


def test_a_poison_row_fails_alone_and_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    model = Model(poison={"bad"})

    async def scene(batcher: Batcher) -> list[Outcome]:
        held, *_ = tasks = await fill(batcher, model, 0)
        tasks = [
            held,
            *(
                asyncio.ensure_future(batcher.submit(rows(*payloads), soon()))
                for payloads in (["a", "b"], ["c", "bad"], ["d"])
            ),
        ]
        await asyncio.sleep(0.01)
        model.go.set()
        return await asyncio.gather(*tasks)

    with batching(model) as batcher, caplog.at_level(logging.DEBUG):
        _, *found = play(scene(batcher))
    assert [outcome.results for outcome in found] == [
        ["a", "b"],
        ["c", RowFailed("ValueError")],
        ["d"],
    ]
    # The message of an exception may quote what the model read.
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "change",
    [lambda found: found[1:], lambda found: [*found, "one more"], lambda found: []],
    ids=["one too few", "one too many", "none"],
)
def test_results_that_do_not_match_the_rows_are_never_dealt_out(
    change: Callable[[list[Any]], list[Any]],
) -> None:
    # BentoML slices what it gets: one row too few, and every later caller has his neighbour's.
    with batching(Model(change=change)) as batcher:
        assert (
            play(batcher.submit(rows("a", "b", "c"), soon())).results
            == [RowFailed("RuntimeError")] * 3
        )
    spoils_batches = Model(change=lambda found: found if len(found) == 1 else change(found))
    with batching(spoils_batches) as batcher:
        assert play(batcher.submit(rows("a", "b", "c"), soon())).results == ["a", "b", "c"]


def test_failures_in_a_row_are_counted_until_a_row_succeeds() -> None:
    model = Model(poison={"bad"})
    with batching(model) as batcher:
        for expected in (1, 2, 3):
            play(batcher.submit(rows("bad"), soon()))
            assert batcher.failed_in_a_row == expected
        play(batcher.submit(rows("good"), soon()))
        assert batcher.failed_in_a_row == 0


def test_rows_that_the_model_itself_gives_up_are_failures_too() -> None:
    # The engine turns scores that are no numbers into ``RowFailed``. A device that has begun to
    # answer NaN to everything must not look healthy to whoever asks /readyz.
    model = Model(change=lambda found: [RowFailed("not a number") for _ in found])
    with batching(model) as batcher:
        for _ in range(3):
            play(batcher.submit(rows("a"), soon()))
        assert batcher.failed_in_a_row >= 3


def test_the_failures_of_each_model_are_counted_by_themselves() -> None:
    # Else a summariser that works would hide a classifier that has died.
    model = Model(poison={"bad"})
    with batching(model, model_of=lambda shape: shape == 20) as batcher:
        for expected in (1, 2, 3):
            play(batcher.submit(rows("bad", shape=10), soon()))
            play(batcher.submit(rows("good", shape=20), soon()))
            assert batcher.failed_in_a_row == expected
        play(batcher.submit(rows("good", shape=11), soon()))  # of the same model
        assert batcher.failed_in_a_row == 0


@pytest.mark.parametrize("raises", [False, True], ids=["gives up rows", "raises"])
def test_failed_rows_are_counted_and_logged_once_for_a_batch(
    caplog: pytest.LogCaptureFixture, raises: bool
) -> None:
    # Rows that score NaN are answered 200 with an error in place: nothing else would tell of them.
    model = Model(poison={"bad", "worse"} if raises else set())
    if not raises:
        model.change = lambda found: [
            RowFailed("not a number") if row in ("bad", "worse") else row for row in found
        ]
    watcher = Watcher()
    with batching(model, watcher) as batcher:
        play(batcher.submit(rows("a", "bad", "b", "worse"), soon()))
        play(batcher.submit(rows("c"), soon()))
        batcher.stop()  # what is told last is told by now
    assert watcher.failed == 2
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    reason = "ValueError" if raises else "not a number"
    assert line == f"the model failed on 2 of 4 rows ({reason})"


@pytest.mark.parametrize("error", [MemoryError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_the_model_raises_the_next_caller_is_served(error: type[BaseException]) -> None:
    # A thread that ends leaves a service that is alive, ready and silent.
    model = Model(poison={"bad"}, error=error())
    with batching(model) as batcher:
        with suppress(DeadlinePassed):
            play(batcher.submit(rows("bad"), soon(0.5)))
        assert play(batcher.submit(rows("good"), soon(2))).results == ["good"]


@pytest.mark.parametrize("breaks", ["waited", "batch"])
def test_a_watcher_that_breaks_does_not_stop_the_service(breaks: str) -> None:
    # Metrics are for looking on.
    watcher = Watcher(breaks=breaks)
    with batching(Model(), watcher) as batcher:
        with suppress(DeadlinePassed):
            play(batcher.submit(rows("a"), soon(0.5)))
        watcher.breaks = ""
        assert play(batcher.submit(rows("b"), soon(2))).results == ["b"]


# The end


def test_stop_ends_the_thread_after_the_batch_it_is_in() -> None:
    model = Model()
    before = threading.active_count()

    async def scene(batcher: Batcher) -> None:
        held, waiting = await fill(batcher, model, 1, "waits")
        stopping = threading.Thread(target=batcher.stop)
        stopping.start()
        await asyncio.sleep(0.02)
        assert stopping.is_alive()  # the batch is still in the model
        model.go.set()
        assert (await held).results == ["held"]
        stopping.join(5)
        assert not stopping.is_alive()
        waiting.cancel()

    with batching(model) as batcher:
        play(scene(batcher))
    batcher.stop()  # a second time is no other
    assert threading.active_count() == before
    assert model.read == ["held"]


def test_stop_does_not_wait_for_ever_for_a_model_that_hangs() -> None:
    # SIGTERM: nothing is in flight any more, its caller has left, but the device does not answer.
    # The process must be gone within the grace period; the thread ends with it.
    model = Model()

    async def scene(batcher: Batcher) -> bool:
        [held] = await fill(batcher, model, 0)
        held.cancel()
        stopping = threading.Thread(target=batcher.stop)
        stopping.start()
        await asyncio.to_thread(stopping.join, 3)
        was_waiting = stopping.is_alive()
        model.go.set()
        stopping.join()
        return was_waiting

    with batching(model) as batcher:
        assert not play(scene(batcher))


def test_who_comes_after_the_end_is_told_by_his_deadline() -> None:
    with batching(Model()) as batcher:
        batcher.stop()
        with pytest.raises(DeadlinePassed):
            play(batcher.submit(rows("late"), soon(0.05)))


def test_an_event_loop_that_ends_with_jobs_pending_leaves_a_batcher_that_works() -> None:
    model = Model()

    async def leave(batcher: Batcher) -> None:
        await fill(batcher, model, 3, "waits")

    with batching(model) as batcher:
        asyncio.run(leave(batcher))  # cancels what is pending, and closes the loop
        model.go.set()
        assert play(batcher.submit(rows("next"), soon(2))).results == ["next"]
    assert model.read == ["held", "next"]


class ClosingLoop(asyncio.SelectorEventLoop):
    """A loop that is closed between being asked whether it is and being called."""

    def call_soon_threadsafe(  # type: ignore[override]
        self, *arguments: Any, **named: Any
    ) -> asyncio.Handle:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("Event loop is closed")
        return super().call_soon_threadsafe(*arguments, **named)


def test_a_loop_that_closes_at_the_wrong_moment_does_not_end_the_thread() -> None:
    with batching(Model()) as batcher:
        with asyncio.Runner(loop_factory=ClosingLoop) as runner, pytest.raises(DeadlinePassed):
            runner.run(batcher.submit(rows("lost"), soon(0.1)))
        assert play(batcher.submit(rows("next"), soon(2))).results == ["next"]


# What the metrics see


def test_the_gauges_follow_what_waits_while_a_long_job_is_worked_off() -> None:
    # A queue that is shown full until its last job ends would have an operator add machines.
    model, watcher = Model(cost_s=lambda rows: 0.005), Watcher()
    with batching(model, watcher) as batcher:
        play(batcher.submit(rows(*range(100)), soon()))
    tokens = [tokens for _, tokens in watcher.queues[1:]]
    assert tokens[0] == 1_000
    assert tokens[-1] == 0
    assert all(earlier - later <= 200 for earlier, later in pairwise(tokens))
