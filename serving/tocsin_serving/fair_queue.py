"""Rows that wait for the model: handed out in batches of one shape, and fairly between jobs.

A row's turn is fixed when its job comes. Jobs of a few passages wait in line, by the clock of
tokens served. The rows of a longer job give way to who comes later: their turn is the clock plus
``AGEING`` times the tokens before them in the job (least attained service first, with ageing;
Nuyens and Wierman 2008). So a call of one passage that comes while an article of 500 is being read
is next, and no stream of newcomers, however dense, leaves the article less than a share of
1 / ``AGEING`` once what was there before it has been read. Sharing among all alike would be no
better than starving: under overload every job would crawl, and all would miss their deadlines.
"""

import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

AGEING = 16
# Tokens of a job that waits in line: what a batch holds on a CPU. Jobs that share the model finish
# together, and their callers then come back together, while the model has nothing to do.
SHORT = 2_048

# Rows of jobs that were dropped stay until they are reached; past this many, and more than there
# are others, they are swept out, so that clients who leave cannot fill the memory.
_SWEEP = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a call of a model: what the model reads, and its cost in tokens, padding included.
    Only rows of one ``shape`` may share a call."""

    shape: Hashable
    tokens: int
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Row number ``index`` of ``job``, in the queue."""

    job: Any
    index: int
    row: Row


# Turn, order of arrival, row.
_Heap: TypeAlias = list[tuple[int, int, Waiting]]


@dataclass(slots=True)
class _Left:
    """What still waits of a job."""

    rows: int
    tokens: int


class FairQueue:
    """Not safe for threads: the batcher holds its lock around every call.

    ``tokens`` is what waits of jobs that were not dropped. Jobs are told apart by identity.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self._served_tokens = 0
        self._left: dict[Any, _Left] = {}
        self._heaps: dict[Hashable, _Heap] = {}
        self._numbers = count()
        self._dropped_rows = 0

    def add(self, job: Any, rows: Sequence[Row]) -> None:
        """Queue a new job's rows."""
        tokens = sum(row.tokens for row in rows)
        ageing = AGEING if tokens > SHORT else 0
        before = 0
        for index, row in enumerate(rows):
            entry = (
                self._served_tokens + ageing * before,
                next(self._numbers),
                Waiting(job=job, index=index, row=row),
            )
            heapq.heappush(self._heaps.setdefault(row.shape, []), entry)
            before += row.tokens
        self._left[job] = _Left(len(rows), tokens)
        self.tokens += tokens

    def drop(self, job: Any) -> None:
        """Nobody wants the rest of a job; what was served of it, or dropped before, stays so."""
        left = self._left.pop(job, None)
        if left is None:
            return
        self.tokens -= left.tokens
        self._dropped_rows += left.rows
        if self._dropped_rows > max(_SWEEP, sum(left.rows for left in self._left.values())):
            self._sweep()

    def take(self, budget: int) -> list[Waiting]:
        """The next batch: the row whose turn it is, and others of its shape within ``budget``
        tokens, in the order of their turns. Empty when nothing waits."""
        heads = [
            (*heap[0][:2], shape) for shape in list(self._heaps) if (heap := self._live(shape))
        ]
        if not heads:
            return []
        shape = min(heads, key=lambda head: head[:2])[2]
        batch: list[Waiting] = []
        room = budget
        while (heap := self._live(shape)) and (not batch or heap[0][2].row.tokens <= room):
            waiting = heapq.heappop(heap)[2]
            room -= waiting.row.tokens
            self._count(waiting)
            batch.append(waiting)
        return batch

    def _count(self, waiting: Waiting) -> None:
        tokens = waiting.row.tokens
        self._served_tokens += tokens
        self.tokens -= tokens
        left = self._left[waiting.job]
        left.rows -= 1
        left.tokens -= tokens
        if not left.rows:
            del self._left[waiting.job]

    def _live(self, shape: Hashable) -> _Heap:
        """The heap of a shape with a row on top that is wanted; an empty one is forgotten."""
        heap = self._heaps.get(shape, [])
        while heap and heap[0][2].job not in self._left:
            heapq.heappop(heap)
            self._dropped_rows -= 1
        if not heap:
            self._heaps.pop(shape, None)
        return heap

    def _sweep(self) -> None:
        for shape, heap in self._heaps.items():
            live = [entry for entry in heap if entry[2].job in self._left]
            heapq.heapify(live)
            self._heaps[shape] = live
        self._dropped_rows = 0
