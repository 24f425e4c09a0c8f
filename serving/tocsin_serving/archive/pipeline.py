"""The embedded engine: one thread reads and tokenises, one runs the model, one writes, one joins.

What lies between them is bounded, so that memory does not grow with the input, and what is scored
but not yet on the disk is bounded too, so that a kill costs little.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any, Protocol

from tocsin_models.errors import InputError
from tocsin_serving.archive.blocks import BLOCK_BYTES, BLOCK_ROWS, read_blocks
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.plan import Plan
from tocsin_serving.archive.progress import Advance
from tocsin_serving.archive.rows import row_reader
from tocsin_serving.archive.scoring import Models, Prepared, prepare_block, score_blocks
from tocsin_serving.archive.store import Store

# A window is what the model is given at once: about this much work, or one block. Killed, a run
# loses a window in the model and one that is being written: at most 500 rows or 3 s of work.
WINDOW_S = 1.0
WINDOW_ROWS = 16 * BLOCK_ROWS
# Blocks that have been read and wait: a bound on rows and, with BLOCK_BYTES, on memory.
LOOK_AHEAD_BLOCKS = 4


class TooManyRejects(InputError):
    """More rows were rejected than the caller allows."""


class Engine(Protocol):
    """Scores what is missing of a run and commits it."""

    def __call__(
        self,
        plan: Plan,
        sources: Sequence[Source],
        models: Models,
        store: Store,
        advance: Advance,
        max_rejects: int | None,
    ) -> None: ...


def score_embedded(
    plan: Plan,
    sources: Sequence[Source],
    models: Models,
    store: Store,
    advance: Advance,
    max_rejects: int | None = None,
) -> None:
    """Score the blocks that are missing, in this process.

    Raises:
        TooManyRejects: then what was scored is kept, and the run can go on.
        InputChanged: a block is not what it was when the run began.
    """
    asked, columns = plan.asked, plan.index.columns
    with (
        _LookAhead(_prepared(plan, sources, models, store)) as ahead,
        ThreadPoolExecutor(1, thread_name_prefix="commit") as writer,
        ThreadPoolExecutor(1, thread_name_prefix="join") as joiner,
    ):
        joins: dict[int, Future[None]] = {
            shard: joiner.submit(store.join, shard) for shard in store.unjoined()
        }
        written: Future[None] | None = None
        rows_per_s = bytes_per_s = 0.0
        try:
            while window := _take(ahead, rows_per_s * WINDOW_S, bytes_per_s * WINDOW_S):
                started = monotonic()
                scored = score_blocks(window, models, asked, columns)
                rows = sum(block.rows for block in scored)
                seconds = max(monotonic() - started, 1e-3)
                rows_per_s = rows / seconds
                bytes_per_s = sum(item.block.size_bytes for item in window) / seconds
                if written:
                    written.result()
                written = writer.submit(_commit, store, scored)
                advance(
                    rows,
                    sum(block.tokens for block in scored),
                    sum(len(block.rejects) for block in scored),
                )
                for shard, join in list(joins.items()):
                    if join.done():
                        join.result()
                        del joins[shard]
                for shard in store.unjoined():
                    if shard not in joins:
                        joins[shard] = joiner.submit(store.join, shard)
                check_rejects(store, max_rejects)
            if written:
                written.result()
            check_rejects(store, max_rejects)
            for join in joins.values():
                join.result()
        finally:
            for join in joins.values():
                join.cancel()


def check_rejects(store: Store, max_rejects: int | None) -> None:
    """
    Raises:
        TooManyRejects: with the rejects until now written out.
    """
    if max_rejects is None or store.counts.rejected <= max_rejects:
        return
    path = store.write_rejects()
    raise TooManyRejects(
        f"{store.counts.rejected:,} rows were rejected, --max-rejects allows {max_rejects:,}; see "
        f"{path}. What was scored is kept: the same command with a higher number goes on"
    )


def _prepared(
    plan: Plan, sources: Sequence[Source], models: Models, store: Store
) -> Iterator[Prepared]:
    spans = [plan.index.spans[number] for number in store.missing()]
    reader = row_reader(plan.asked, len(sources))
    for block in read_blocks(sources, spans, reader):
        yield prepare_block(block, models, plan.asked)


def _take(ahead: "_LookAhead", most_rows: float, most_bytes: float) -> list[Prepared]:
    """The next window: blocks up to so many rows and bytes, at least one; empty at the end.

    Both count: rows may become longer, and a second's worth of short ones take far more than one.
    """
    most_rows, most_bytes = min(most_rows, WINDOW_ROWS), min(most_bytes, BLOCK_BYTES)
    window: list[Prepared] = []
    rows = size_bytes = 0
    while (item := ahead.peek()) is not None:
        rows += len(item.block.rows)
        size_bytes += item.block.size_bytes
        if window and (rows > most_rows or size_bytes > most_bytes):
            break
        window.append(item)
        ahead.next()
    return window


def _commit(store: Store, scored: Sequence[Any]) -> None:
    for block in scored:
        store.commit(block)


class _LookAhead:
    """Items that a thread makes ahead of their use, never more than ``LOOK_AHEAD_BLOCKS``."""

    def __init__(self, items: Iterator[Prepared]) -> None:
        self._items = items
        self._queue: queue.Queue[Prepared | BaseException | None] = queue.Queue(LOOK_AHEAD_BLOCKS)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="read", daemon=True)
        self._waiting: Prepared | None = None
        self._is_over = False

    def __enter__(self) -> "_LookAhead":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue

    def peek(self) -> Prepared | None:
        """The next item, left where it is; None at the end. What reading raised is raised here."""
        if self._waiting is None and not self._is_over:
            item = self._queue.get()
            if isinstance(item, BaseException):
                self._is_over = True
                raise item
            self._is_over = item is None
            self._waiting = item
        return self._waiting

    def next(self) -> None:
        self._waiting = None

    def _fill(self) -> None:
        try:
            for item in self._items:
                self._queue.put(item)
                if self._stopped.is_set():
                    return
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
