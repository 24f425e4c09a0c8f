"""What a report is made of: tables and cases, the same for a browser and for Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from tocsin_eval.report_numbers import ABSENT, Number, format_number

ColumnKind: TypeAlias = Literal["text", "number", "picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """An interval as a picture: places between 0 (left) and 1 (right); ``zero`` is where a
    difference of nothing stands, ``text`` says the same in words."""

    value: float
    low: float
    high: float
    zero: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """``range`` is the 95% interval, ``note`` a smaller second line, ``shade`` 0 (white) to 1."""

    text: str
    range: str = ""
    note: str = ""
    is_best: bool = False
    shade: float = 0.0
    whisker: Whisker | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    title: str
    note: str = ""
    kind: ColumnKind = "number"
    is_candidate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first cell of a row is its heading; each row is as long as ``columns``."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows)

    def cut(self, first: int, end: int | None = None) -> "Table":
        """The same table with some of its rows."""
        return replace(self, rows=self.rows[first:end])


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    label: str
    text: str
    is_asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A text and what a classifier scored it."""

    text: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something that a person should read: what is the matter, and the texts in question."""

    title: str
    note: str
    texts: tuple[Said, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Cases of one kind; ``name`` is their suite's."""

    name: str
    title: str
    note: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryPair:
    """A summary beside what people wrote of the article."""

    id: str
    note: str
    summary: tuple[str, ...]
    reference: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    term: str
    text: str
    is_code: bool = False


def build_scores(scores: Mapping[str, float], asked: str | None) -> tuple[Score, ...]:
    return tuple(
        Score(label=label, text=format_number(score, 2), is_asked=label == asked)
        for label, score in scores.items()
    )


def build_cell(number: Number, interval: Mapping[str, Any] | None) -> Cell:
    """The value with its interval; a dash where it was not measured or does not exist."""
    if interval is None or interval["value"] is None:
        return Cell(text=ABSENT)
    return Cell(text=number.format(interval["value"]), range=number.format_range(interval))


def build_whisker(
    interval: Mapping[str, Any] | None, ends: tuple[float, float], text: str, has_zero: bool = False
) -> Whisker | None:
    """A picture of an interval on a scale from the first end to the second."""
    if interval is None or interval["value"] is None:
        return None
    first, last = ends

    def place(value: float | None) -> float:
        known = interval["value"] if value is None else value
        return min(1.0, max(0.0, (known - first) / (last - first)))

    return Whisker(
        value=place(interval["value"]),
        low=place(interval["low"]),
        high=place(interval["high"]),
        zero=place(0.0) if has_zero else None,
        text=text,
    )


def mark_best(cells: Sequence[Cell], values: Sequence[float | None], number: Number) -> list[Cell]:
    """The same cells, the best of them marked, unless all are alike or none is better."""
    known = [value for value in values if value is not None]
    if number.better is None or len(known) < 2 or min(known) == max(known):
        return list(cells)
    best = max(known) if number.better == "more" else min(known)
    return [replace(cell, is_best=value == best) for cell, value in zip(cells, values, strict=True)]


def drop_empty(table: Table) -> Table:
    """Without the columns, beyond the first, that say nothing in any row."""
    kept = [
        index
        for index in range(len(table.columns))
        if index == 0 or any(row[index].text != ABSENT or row[index].whisker for row in table.rows)
    ]
    return replace(
        table,
        columns=tuple(table.columns[index] for index in kept),
        rows=tuple(tuple(row[index] for index in kept) for row in table.rows),
    )


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def join_words(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(words)
    return f"{', '.join(first)} and {last}" if first else last
