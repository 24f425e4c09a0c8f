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
    """Told after every few blocks what was done since the last call."""

    def __call__(self, rows: int, tokens: int = 0, rejects: int = 0) -> None: ...


@contextmanager
def show_progress(
    what: str, total_rows: int | None, is_quiet: bool, done_rows: int = 0
) -> Iterator[Advance]:
    """Rows, rows a second, tokens a second, rejects and the time left, on standard error.

    ``total_rows`` is None while nobody knows it; then no time left is shown. ``done_rows`` were
    done by an earlier run, and do not count for the rate. Tokens are those that the classifier
    reads, padding not counted.
    """
    if is_quiet:
        yield lambda rows, tokens=0, rejects=0: None
    elif sys.stderr.isatty():
        with _bar(what, total_rows, done_rows) as advance:
            yield advance
    else:
        yield _Log(what, total_rows, done_rows)


class _Tally:
    """What has been done, in words."""

    def __init__(self, what: str, total_rows: int | None, done_rows: int) -> None:
        self._what = what
        self._total_rows = total_rows
        self._done_rows = done_rows
        self._rows = self._tokens = self._rejects = 0
        self.started = monotonic()

    def add(self, rows: int, tokens: int, rejects: int) -> None:
        self._rows += rows
        self._tokens += tokens
        self._rejects += rejects

    def format(self, now: float) -> str:
        seconds = max(now - self.started, 1e-3)
        done = self._done_rows + self._rows
        of = f" of {self._total_rows:,}" if self._total_rows else ""
        line = f"{self._what} {done:,}{of} rows, {self._rows / seconds:,.0f} rows/s"
        if self._tokens:
            line += f", {self._tokens / seconds:,.0f} tokens/s"
        if self._rejects:
            line += f", {self._rejects:,} rejected"
        return line

    def left_s(self, now: float) -> float | None:
        if not self._total_rows or not self._rows:
            return None
        left = self._total_rows - self._done_rows - self._rows
        return max(left, 0) * (now - self.started) / self._rows


@contextmanager
def _bar(what: str, total_rows: int | None, done_rows: int) -> Iterator[Advance]:
    console = Console(stderr=True, highlight=False)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    tally = _Tally(what, total_rows, done_rows)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total_rows, completed=done_rows, counts=what)

        def advance(rows: int, tokens: int = 0, rejects: int = 0) -> None:
            tally.add(rows, tokens, rejects)
            progress.update(task, advance=rows, counts=tally.format(monotonic()))

        yield advance


class _Log:
    def __init__(self, what: str, total_rows: int | None, done_rows: int) -> None:
        self._tally = _Tally(what, total_rows, done_rows)
        self._said = self._tally.started

    def __call__(self, rows: int, tokens: int = 0, rejects: int = 0) -> None:
        self._tally.add(rows, tokens, rejects)
        now = monotonic()
        if now - self._said < LOG_EVERY_S:
            return
        self._said = now
        line = self._tally.format(now)
        if (left_s := self._tally.left_s(now)) is not None:
            line += f", about {left_s:.0f} s left"
        print(f"tocsin: {line}", file=sys.stderr, flush=True)
