"""A worker's calls meet in front of the model: scored as one, each with its own answer."""

import threading
import time
from collections.abc import Sequence

import pytest

from tocsin_models.errors import EmptyInput
from tocsin_serving.archive.blocks import Block
from tocsin_serving.archive.rows import Reject
from tocsin_serving.archive.scoring import Prepared, ScoredBlock
from tocsin_serving.archive.worker import WINDOW_S, _Together

ROWS = 50


def block(number: int) -> Prepared:
    rows = tuple(
        Reject(file="a.jsonl", number=row, id=None, error=EmptyInput("empty"), raw=b"")
        for row in range(ROWS)
    )
    return Prepared(block=Block(number=number, rows=rows, size_bytes=1))


class Model:
    """Takes a while for a call, however much is in it, and notes what came together."""

    def __init__(self, bad: int = -1, seconds: float = 0.1) -> None:
        self.windows: list[list[int]] = []
        self._bad, self._seconds = bad, seconds

    def __call__(self, prepared: Sequence[Prepared]) -> list[ScoredBlock]:
        numbers = [item.block.number for item in prepared]
        self.windows.append(numbers)
        time.sleep(self._seconds)
        if self._bad in numbers:
            raise ValueError("bad")
        return [ScoredBlock(number=n, results=(), rejects=(), filtered=0) for n in numbers]


def ask_at_once(together: _Together, calls: int) -> dict[int, int | str]:
    answers: dict[int, int | str] = {}

    def ask(number: int) -> None:
        try:
            [scored] = together([block(number)])
            answers[number] = scored.number
        except ValueError as error:
            answers[number] = str(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(calls)]
    for thread in threads:
        thread.start()
        time.sleep(0.005)
    for thread in threads:
        thread.join(timeout=10)
    return answers


def test_calls_that_wait_are_scored_together_and_each_gets_its_own() -> None:
    """Blocks scored one by one fill half-empty batches: two workers ran at half the rate."""
    model = Model()
    assert ask_at_once(_Together(model), 12) == {number: number for number in range(12)}
    # The first had nobody to wait for; it measured the rate by which the others are bounded.
    assert model.windows[0] == [0]
    assert max(map(len, model.windows)) >= 3
    assert sorted(number for window in model.windows for number in window) == list(range(12))


def test_a_slow_model_is_given_no_more_than_a_kill_may_cost() -> None:
    """Issue 5 allows 500 rows or three seconds of work to be lost, whichever is more."""
    model = Model(seconds=0.9)
    ask_at_once(_Together(model), 5)
    assert max(map(len, model.windows)) * 0.9 <= WINDOW_S + 0.9


def test_what_fails_together_is_told_to_each_and_the_next_goes_on() -> None:
    """A call whose answer never comes would hang its worker, and with it the run."""
    model = Model(bad=3)
    together = _Together(model)
    answers = ask_at_once(together, 6)
    assert len(answers) == 6
    assert answers[3] == "bad"
    [scored] = together([block(9)])
    assert scored.number == 9


@pytest.mark.parametrize("calls", [1, 7])
def test_a_call_of_several_blocks_stays_in_order(calls: int) -> None:
    together = _Together(Model(seconds=0.0))
    for first in range(calls):
        numbers = [first, first + 100, first + 50]
        assert [s.number for s in together([block(n) for n in numbers])] == numbers
