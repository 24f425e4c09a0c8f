"""Progress: a bar at a terminal, plain lines in a log, nothing when asked."""

import io
import sys

import pytest

from tocsin_serving.archive import progress


def test_a_log_gets_plain_lines_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A bar redrawn into a log file makes it unreadable and large.
    clock = iter([0.0, 1.0, 10.0, 11.0, 20.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with progress.show_progress("scored", 400, is_quiet=False, done_rows=100) as advance:
        for _ in range(4):
            advance(50, tokens=500, rejects=1)
    assert capsys.readouterr().err.splitlines() == [
        "tocsin: scored 200 of 400 rows, 10 rows/s, 100 tokens/s, 2 rejected, about 20 s left",
        "tocsin: scored 300 of 400 rows, 10 rows/s, 100 tokens/s, 4 rejected, about 10 s left",
    ]


@pytest.mark.parametrize("total_rows", [4000, None])
def test_a_terminal_gets_a_bar_with_the_rate(
    monkeypatch: pytest.MonkeyPatch, total_rows: int | None
) -> None:
    # While the input is read for the first time nobody knows how many rows there are.
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.show_progress("read", total_rows, is_quiet=False) as advance:
        advance(1234)
    assert "read 1,234 " in terminal.getvalue()
    assert "rows/s" in terminal.getvalue()


def test_a_quiet_run_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.show_progress("scored", 4000, is_quiet=True) as advance:
        advance(1234)
    assert capsys.readouterr() == ("", "")
