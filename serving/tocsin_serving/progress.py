"""How far a run over an archive is: a bar at a terminal, plain lines in a log, or nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

# A log line that often is seen to move and does not fill a log: 720 an hour.
LOG_EVERY_S = 5.0


class Advance(Protocol):
    """Told after every chunk what was read since the last call."""

    def __call__(self, rows: int, size_bytes: int) -> None: ...


@contextmanager
def show_progress(total_bytes: int | None, is_quiet: bool) -> Iterator[Advance]:
    """Rows, rows a second, and the time left by the share of bytes read, on standard error.

    ``total_bytes`` is None for a stream; then no time left is shown.
    """
    if is_quiet:
        yield lambda rows, size_bytes: None
    elif sys.stderr.isatty():
        with _bar(total_bytes) as advance:
            yield advance
    else:
        yield _Log(total_bytes)


@contextmanager
def _bar(total_bytes: int | None) -> Iterator[Advance]:
    console = Console(stderr=True, highlight=False)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    started = monotonic()
    rows_read = 0
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total_bytes, counts="0 rows")

        def advance(rows: int, size_bytes: int) -> None:
            nonlocal rows_read
            rows_read += rows
            counts = _format_counts(rows_read, monotonic() - started)
            progress.update(task, advance=size_bytes, counts=counts)

        yield advance


class _Log:
    def __init__(self, total_bytes: int | None) -> None:
        self._total_bytes = total_bytes
        self._started = self._said = monotonic()
        self._rows = self._bytes = 0

    def __call__(self, rows: int, size_bytes: int) -> None:
        self._rows += rows
        self._bytes += size_bytes
        now = monotonic()
        if now - self._said < LOG_EVERY_S:
            return
        self._said = now
        elapsed_s = now - self._started
        line = _format_counts(self._rows, elapsed_s)
        if self._total_bytes:
            left_s = elapsed_s * (self._total_bytes - self._bytes) / self._bytes
            line += f", about {max(left_s, 0):.0f} s left"
        print(f"tocsin: {line}", file=sys.stderr, flush=True)


def _format_counts(rows: int, elapsed_s: float) -> str:
    return f"{rows:,} rows, {rows / max(elapsed_s, 1e-3):,.0f} rows/s"
