"""The results of a run, counted: rows per label and month, and each label's sharpest passages.

One pass over the shards, whatever their number: what is kept is a count a month and a label, and
ten passages a label.
"""

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin_models.errors import InputError
from tocsin_serving.archive.parquet import read_columns
from tocsin_serving.archive.store import MANIFEST, Store

# Columns that hold a date in most archives, the likeliest first.
DATE_COLUMNS = (
    *("published", "published_at", "date", "datetime", "pubdate", "pub_date", "versioncreated"),
    *("created", "created_at", "timestamp", "time"),
)
NO_MONTH = "no date"
MOST_TOP = 1_000

_MONTH = re.compile(r"(\d{4})-?(0[1-9]|1[0-2])(?:\D|$|(?=\d\d(?:\D|$)))")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Top:
    """A passage that carries a label: its score, the row it is of, and that row's place. ``text``
    is empty where the results do not hold it, as those of ``--unit passage`` do not."""

    score: float
    part: str
    row: int
    id: str = field(compare=False)
    month: str = field(compare=False)
    passage: int | None = field(compare=False)
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """``rows`` counts rows by month, ``carried`` rows by label and month. A row carries a label
    where its text, or one of its passages, does. Months stand as in ``2025-03``, in order."""

    unit: str
    labels: tuple[str, ...]
    date_column: str | None
    months: tuple[str, ...]
    rows: Mapping[str, int]
    carried: Mapping[str, Mapping[str, int]]
    top: Mapping[str, Sequence[Top]]
    manifest: Mapping[str, Any]


def tally_results(folder: Path, date_column: str | None = None, top: int = 10) -> Tally:
    """Count the results of a finished run.

    Raises:
        InputError: the folder holds no finished run with labels, or no such column.
    """
    manifest = Store(folder).read_manifest()
    if manifest is None:
        raise InputError(
            f"{folder} holds no {MANIFEST}: no finished run of `tocsin score`; finish it by "
            "running the same command again"
        )
    if not manifest["labels"]:
        raise InputError(f"{folder} holds summaries only; a report counts labels")
    column = _date_column(manifest, date_column)
    unit, labels = manifest["asked"]["unit"], tuple(manifest["labels"])
    rows: Counter[str] = Counter()
    carried: dict[str, Counter[str]] = {label: Counter() for label in labels}
    best: defaultdict[str, list[Top]] = defaultdict(list)
    for part in sorted(folder.glob("part-*")):
        for number, row in enumerate(_read(part, labels, column), start=1):
            month = month_of(row.get(column)) if column else NO_MONTH
            rows[month] += 1
            for label in _labels(row):
                carried[label][month] += 1
            for label, found in _candidates(row, part.name, number, month, unit):
                if len(best[label]) < top:
                    heapq.heappush(best[label], found)
                else:
                    heapq.heappushpop(best[label], found)
    return Tally(
        unit=unit,
        labels=labels,
        date_column=column,
        months=tuple(sorted(rows)),
        rows=rows,
        carried=carried,
        top={label: sorted(best[label], key=lambda one: -one.score) for label in labels},
        manifest=manifest,
    )


def month_of(value: Any) -> str:
    """``2025-03`` of a date that begins with year and month (ISO 8601), else ``NO_MONTH``."""
    found = _MONTH.match(str(value).strip()) if value is not None else None
    return f"{found[1]}-{found[2]}" if found else NO_MONTH


def _date_column(manifest: Mapping[str, Any], asked: str | None) -> str | None:
    names = {column["name"]: column["written_as"] for column in manifest["columns"]}
    if asked is not None:
        if asked not in names:
            known = ", ".join(names) or "none"
            raise InputError(f"--date-column {asked}: no such column; there are {known}")
        return str(names[asked])
    by_lower = {name.lower(): written for name, written in names.items()}
    return next((by_lower[name] for name in DATE_COLUMNS if name in by_lower), None)


def _read(part: Path, labels: Sequence[str], column: str | None) -> Iterator[dict[str, Any]]:
    if part.suffix == ".jsonl":
        with part.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
        return
    scores = [f"score_{label}" for label in labels]
    names = ["id", "labels", "passages", *scores, *([column] if column else [])]
    yield from read_columns(part, names)


def _labels(row: Mapping[str, Any]) -> list[str]:
    """The labels of a row, as Parquet has them (a text), a passage (a list) or an article (an
    object by label)."""
    found = row["labels"]
    return [name for name in found.split(", ") if name] if isinstance(found, str) else list(found)


def _candidates(
    row: Mapping[str, Any], part: str, number: int, month: str, unit: str
) -> Iterator[tuple[str, Top]]:
    if unit == "article":
        passages = row["passages"]
    else:  # where a column called passages is the input's own
        scores = row.get("scores") or {
            name.removeprefix("score_"): value
            for name, value in row.items()
            if name.startswith("score_")
        }
        passages = [{"index": None, "text": "", "labels": _labels(row), "scores": scores}]
    for passage in passages:
        for label in passage["labels"]:
            yield (
                label,
                Top(
                    score=passage["scores"][label],
                    part=part,
                    row=number,
                    id=str(row["id"]),
                    month=month,
                    passage=passage["index"],
                    text=passage["text"],
                ),
            )
