"""Kept answers: a second run computes nothing, and a killed one goes on where it was."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tocsin_eval
import tocsin_models
from tocsin_eval import store
from tocsin_eval.store import Kept, Store
from tocsin_models.errors import DataError, ModelError

KEY = {"task": "classify", "data": "d", "subject": "s"}
ROWS = ["one", "three", "seven", "eleven", "thirteen"]


class Counter:
    """Answers each word by its length; ``dies_at`` a word as a machine does."""

    def __init__(self, dies_at: str = "", header: Mapping[str, Any] | None = None) -> None:
        self.header = header or {"precision": "f32"}
        self.loads = 0
        self.asked: list[str] = []
        self._dies_at = dies_at

    def load(self) -> tuple[Mapping[str, Any], Any]:
        self.loads += 1
        return self.header, self.answer

    def answer(self, rows: Sequence[str]) -> list[int]:
        if self._dies_at in rows:
            raise ModelError("the machine died")
        self.asked += rows
        return [len(row) for row in rows]


def ask(folder: Path, counter: Counter, key: Mapping[str, str] = KEY) -> Kept:
    return Store(folder).answers(key, ROWS, counter.load, at_once=2)


def test_a_second_run_loads_nothing(tmp_path: Path) -> None:
    first, second = Counter(), Counter()
    assert ask(tmp_path, first).answers == [3, 5, 5, 6, 8]
    kept = ask(tmp_path, second)
    assert (kept.answers, kept.header) == ([3, 5, 5, 6, 8], {"precision": "f32"})
    assert (second.loads, second.asked) == (0, [])


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_what_was_answered_before_a_kill_is_not_asked_again(tmp_path: Path, cut: int) -> None:
    # A kill may cut the last line short; the half answer must be computed again, not believed.
    with pytest.raises(ModelError):
        ask(tmp_path, Counter(dies_at="thirteen"))
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    second = Counter()
    assert ask(tmp_path, second).answers == [3, 5, 5, 6, 8]
    assert second.asked == (["thirteen"] if cut == 0 else ["eleven", "thirteen"])
    assert ask(tmp_path, Counter()).answers == [3, 5, 5, 6, 8]
    assert [found.suffix for found in tmp_path.iterdir()] == [".jsonl"]


def test_another_key_is_another_file(tmp_path: Path) -> None:
    # An answer of other weights, data or options under the same name would be a wrong report.
    for changed in ({}, {"data": "e"}, {"subject": "t"}, {"task": "summarise"}, {"device": "cuda"}):
        counter = Counter()
        ask(tmp_path, counter, KEY | changed)
        assert counter.asked == ROWS
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("package", [tocsin_models, tocsin_eval], ids=lambda one: one.__name__)
def test_answers_of_other_code_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: ModuleType
) -> None:
    # A gate that passes on the answers of yesterday's cleaning has not run today's.
    source = tmp_path / "code" / "inner" / "cleaning.py"
    source.parent.mkdir(parents=True)
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "code")])
    monkeypatch.setattr(store, "_code_sha256", store._code_sha256.__wrapped__)
    for code, asked in (("LEAST = 1", ROWS), ("LEAST = 1", []), ("LEAST = 2", ROWS)):
        source.write_text(code)
        counter = Counter()
        ask(tmp_path / "cache", counter)
        assert counter.asked == asked


@pytest.mark.parametrize("package", ["transformers", "tokenizers", "scikit-learn", "sentencex"])
def test_answers_of_another_version_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    # An upgrade that changes a score would be measured on the day the folder is deleted.
    ask(tmp_path, Counter())
    monkeypatch.setattr(store, "version", lambda name: "0" if name == package else version(name))
    counter = Counter()
    ask(tmp_path, counter)
    assert counter.asked == ROWS


def test_answers_of_another_precision_are_not_mixed_with_these(tmp_path: Path) -> None:
    # Half f32 and half int8 is a model that nobody has.
    with pytest.raises(ModelError):
        ask(tmp_path, Counter(dies_at="seven"))
    second = Counter(header={"precision": "int8"})
    assert ask(tmp_path, second).header == {"precision": "int8"}
    assert second.asked == ROWS


@pytest.mark.parametrize("content", [b"", b"\n", b"not json\n", b"\xff\xfe\n", b"{}", b"{}\n\n3\n"])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    ask(tmp_path, Counter())
    [path] = tmp_path.iterdir()
    path.write_bytes(content)
    counter = Counter()
    assert ask(tmp_path, counter).answers == [3, 5, 5, 6, 8]
    assert counter.asked == ROWS


def test_progress_counts_every_row_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        ask(tmp_path, Counter(dies_at="seven"))
    ticks: list[int] = []
    Store(tmp_path).answers(KEY, ROWS, Counter().load, at_once=2, progress=ticks.append)
    assert ticks == [2, 2, 1]


def test_a_line_separator_inside_an_answer_does_not_split_it(tmp_path: Path) -> None:
    # U+2028 ends a line for str.splitlines, and copy from word processors holds it.
    answers = ["a\u2028b", "a\nb", "a\x85b", "“a”"]

    def load() -> tuple[Mapping[str, Any], Any]:
        return {}, lambda rows: [answers[row] for row in rows]

    for _ in range(2):
        assert Store(tmp_path).answers(KEY, range(4), load, at_once=4).answers == answers


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written .*name another --out"):
        ask(tmp_path / "cache", Counter())


def test_the_file_is_json_lines_that_a_person_can_read(tmp_path: Path) -> None:
    ask(tmp_path, Counter())
    [path] = tmp_path.iterdir()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [{"precision": "f32"}, 3, 5, 5, 6, 8]
