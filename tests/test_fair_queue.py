"""Rows that wait: each comes out once, in batches of one shape, and none waits without end."""

import random
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tocsin_serving.fair_queue import AGEING, SHORT, FairQueue, Row, Waiting

SHAPES = ("a", "b", "c")
LONGEST = 40
ANY_ROW = st.builds(
    Row, shape=st.sampled_from(SHAPES), tokens=st.integers(1, LONGEST), payload=st.none()
)
# Twelve rows of at most 40 tokens are a short job; of 20 on average, as many as these a long one.
ROWS = st.lists(ANY_ROW, min_size=1, max_size=12)
LONG_ROWS = st.builds(
    lambda seed, rows: [
        Row(shape=drawn.choice(SHAPES), tokens=drawn.randint(1, LONGEST), payload=None)
        for drawn in [random.Random(seed)]
        for _ in range(rows)
    ],
    st.integers(0, 1_000),
    st.integers(SHORT // 15, SHORT // 12),
)
BUDGETS = st.integers(1, 4 * LONGEST)


@dataclass(eq=False)
class Job:
    """A caller: the rows that he still waits for, by their number."""

    rows: Sequence[Row]
    waiting: dict[int, Row] = field(default_factory=dict)
    is_live: bool = True

    def __post_init__(self) -> None:
        self.waiting = dict(enumerate(self.rows))

    @property
    def tokens(self) -> int:
        return sum(row.tokens for row in self.waiting.values())


def make_queue() -> FairQueue:
    return FairQueue()


def join(queue: FairQueue, rows: Sequence[Row]) -> Job:
    job = Job(rows)
    queue.add(job, rows)
    return job


def leave(queue: FairQueue, job: Job) -> None:
    job.is_live = False
    queue.drop(job)


def take(queue: FairQueue, budget: int) -> list[Waiting]:
    batch = queue.take(budget)
    for waiting in batch:
        del waiting.job.waiting[waiting.index]
    return batch


def article(shape: Hashable, tokens: int, rows: int) -> list[Row]:
    return [Row(shape=shape, tokens=tokens, payload=None)] * rows


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Callers come and leave and batches are taken, in any order; a set per caller is the judge."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = make_queue()
        self.jobs: list[Job] = []

    @rule(rows=ROWS | LONG_ROWS)
    def come(self, rows: list[Row]) -> None:
        self.jobs.append(join(self.queue, rows))

    @precondition(lambda self: any(job.is_live for job in self.jobs))
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        leave(self.queue, data.draw(st.sampled_from([job for job in self.jobs if job.is_live])))

    @rule(budget=BUDGETS)
    def run(self, budget: int) -> None:
        waited = {id(job): dict(job.waiting) for job in self.jobs}
        # ``take`` deletes each row from its job's set: one that came out twice would not be there.
        batch = take(self.queue, budget)
        assert bool(batch) == any(waited[id(job)] for job in self.jobs if job.is_live)
        assert len({waiting.row.shape for waiting in batch}) <= 1
        assert len(batch) == 1 or sum(waiting.row.tokens for waiting in batch) <= budget
        for waiting in batch:
            assert waiting.job.is_live
            assert waited[id(waiting.job)].pop(waiting.index) is waiting.row
        self.check_order_and_fill(batch, budget)

    def check_order_and_fill(self, batch: list[Waiting], budget: int) -> None:
        """A caller's rows of one shape come in order, and no batch ends while all would fit."""
        if not batch:
            return
        shape = batch[0].row.shape
        for job in self.jobs:
            taken = [waiting.index for waiting in batch if waiting.job is job]
            left = [index for index, row in job.waiting.items() if row.shape == shape]
            assert taken == sorted(taken)
            assert not taken or not left or max(taken) < min(left)
        room = budget - sum(waiting.row.tokens for waiting in batch)
        nexts = [
            next((row.tokens for row in job.waiting.values() if row.shape == shape), None)
            for job in self.jobs
            if job.is_live
        ]
        assert not any(nexts) or not all(tokens <= room for tokens in nexts if tokens)

    @invariant()
    def tokens_are_those_of_the_callers_who_are_there(self) -> None:
        assert self.queue.tokens == sum(job.tokens for job in self.jobs if job.is_live)


# A row lost is a request that hangs, a row twice is a wasted inference, a count that drifts closes
# the service or opens it without bound.
test_every_row_comes_out_once = AnyOrderOfEvents.TestCase
test_every_row_comes_out_once.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None
)


@given(st.lists(LONG_ROWS, min_size=2, max_size=5), BUDGETS)
def test_articles_that_came_together_are_read_side_by_side(
    brought: list[list[Row]], budget: int
) -> None:
    # At any moment two who still wait have been given the same, but for the last row of each and
    # for what filled up a batch of another's shape.
    queue = make_queue()
    jobs = [join(queue, rows) for rows in brought]
    wholes = [job.tokens for job in jobs]
    while take(queue, budget):
        got = [whole - job.tokens for whole, job in zip(wholes, jobs, strict=True) if job.waiting]
        assert not got or max(got) - min(got) <= len(SHAPES) * (budget + LONGEST)


@given(LONG_ROWS, LONG_ROWS, st.integers(0, 20), BUDGETS)
def test_an_article_that_comes_later_never_gets_ahead(
    first_rows: list[Row], second_rows: list[Row], batches: int, budget: int
) -> None:
    # It may catch up with what the older one has been given, and no more.
    queue = make_queue()
    first = join(queue, first_rows)
    whole = first.tokens
    for _ in range(batches):
        take(queue, budget)
    second = join(queue, second_rows)
    second_whole = second.tokens
    while first.waiting and second.waiting:
        take(queue, budget)
        ahead = (second_whole - second.tokens) - (whole - first.tokens)
        assert ahead <= len(SHAPES) * (budget + LONGEST)


EVENTS = st.lists(
    st.one_of(ROWS, LONG_ROWS, BUDGETS.map(lambda budget: -budget)), min_size=1, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_whoever_comes_later_a_row_has_its_turn(events: list[list[Row] | int]) -> None:
    # The bounds. A short job waits for what was there before it, and for nobody who comes later.
    # A row of a long one also lets pass ``AGEING`` times what stands before it in its job, and then
    # whatever waits at that moment. And each shape may fill up one batch with later rows.
    queue = make_queue()
    jobs: list[Job] = []  # all of them, so that no two have one id
    clock = most_waiting = 0
    came: dict[int, tuple[int, int]] = {}
    largest = 4 * LONGEST
    drain = [-largest] * sum(len(event) for event in events if not isinstance(event, int))
    for event in [*events, *drain]:
        if not isinstance(event, int):
            ahead = queue.tokens
            jobs.append(join(queue, event))
            came[id(jobs[-1])] = (clock, ahead)
            most_waiting = max(most_waiting, queue.tokens)
            continue
        for waiting in take(queue, -event):
            start, ahead = came[id(waiting.job)]
            before = sum(row.tokens for row in waiting.job.rows[: waiting.index])
            whole = sum(row.tokens for row in waiting.job.rows)
            waits = ahead + whole if whole <= SHORT else AGEING * before + most_waiting
            assert clock - start <= waits + (1 + len(SHAPES)) * largest
            clock += waiting.row.tokens
    assert queue.tokens == 0


@pytest.mark.parametrize("rows", [12, 30, 200])
@pytest.mark.parametrize("length", [16, 64, 256])
def test_an_article_is_read_to_its_end_while_single_passages_never_stop_coming(
    length: int, rows: int
) -> None:
    # Overload is made of newcomers. If each of them is served before what an article has left, the
    # article is never finished however long it waits: admitted, half computed, and then 504.
    queue, budget, room = make_queue(), 2_048, 65_536

    def fill() -> None:
        while queue.tokens < room:
            join(queue, article(length, length, 1))

    fill()
    reading = join(queue, [Row(shape=64 + 16 * (i % 4), tokens=64, payload=i) for i in range(rows)])
    served = 0
    while reading.waiting and served <= 2 * room + AGEING * rows * 64:
        served += sum(waiting.row.tokens for waiting in take(queue, budget))
        fill()
    left = len(reading.waiting)
    assert not left, f"{left} of {rows} rows still wait after {served} tokens"


@pytest.mark.parametrize("shapes", [("a",), ("b",), ("b", "c", "d")], ids=["same", "other", "many"])
@pytest.mark.parametrize("articles", [1, 3, AGEING // 2])
@pytest.mark.parametrize("batches", [0, 1, 5, 20])
def test_one_passage_behind_articles_of_500_is_next_or_the_one_after(
    shapes: tuple[str, ...], articles: int, batches: int
) -> None:
    # An editor's call must not wait until an archive's articles are read. A queue of 65,536 tokens
    # admits three of these; past ``AGEING`` of them the oldest rows come first.
    queue, budget = make_queue(), 1_000
    rows = [Row(shape=shapes[index % len(shapes)], tokens=64, payload=None) for index in range(500)]
    for _ in range(articles):
        join(queue, rows)
    for _ in range(batches):
        take(queue, budget)
    editor = join(queue, article("a", 16, 1))
    take(queue, budget)
    take(queue, budget)
    assert not editor.waiting


def test_a_row_larger_than_a_batch_comes_alone() -> None:
    # The summariser's rows can be: refusing them would leave them in the queue for ever.
    queue = make_queue()
    join(queue, article("summary", 4_096, 2))
    assert [len(take(queue, 2_048)) for _ in range(3)] == [1, 1, 0]


class Payload:
    """What a row holds of a text; counted as long as the queue keeps it."""


@pytest.mark.parametrize("live_rows", [0, 500, 3_000])
def test_callers_who_queue_and_leave_for_ever_do_not_fill_the_memory(live_rows: int) -> None:
    # While the model is busy nothing is taken, so what is dropped must go without being reached.
    queue = make_queue()
    kept: weakref.WeakSet[Payload] = weakref.WeakSet()
    stayed = join(queue, article("a", 1, live_rows)) if live_rows else None
    for number in range(20_000):
        payload = Payload()
        kept.add(payload)
        leave(queue, join(queue, [Row(shape=number % 7, tokens=5, payload=payload)]))
    del payload
    assert len(kept) <= max(1_024, live_rows) + 1
    assert queue.tokens == live_rows
    while batch := take(queue, 100):
        assert batch[0].job is stayed
    assert not kept


def test_callers_who_were_served_leave_nothing_behind() -> None:
    # Each was told from his own list of rows, which the queue must not keep.
    queue = make_queue()
    kept: weakref.WeakSet[Job] = weakref.WeakSet()
    for number in range(200):
        kept.add(join(queue, article(number % 7, 10, 5)))
        while take(queue, 30):
            pass
    assert not kept


@given(st.lists(ROWS, min_size=2, max_size=8), st.integers(1, 7))
def test_who_leaves_does_not_change_the_order_of_the_others(
    brought: list[list[Row]], place: int
) -> None:
    # So many rows are swept out at once, and what is left must keep its turns.
    orders = []
    for has_leaver in (False, True):
        queue = make_queue()
        jobs = [join(queue, rows) for rows in brought[:place]]
        leavers = [join(queue, article(shape, 1, 700)) for shape in SHAPES if has_leaver]
        jobs += [join(queue, rows) for rows in brought[place:]]
        for leaver in leavers:
            leave(queue, leaver)
        order = []
        while batch := take(queue, LONGEST):
            order += [(jobs.index(waiting.job), waiting.index) for waiting in batch]
        orders.append(order)
    assert orders[0] == orders[1]
