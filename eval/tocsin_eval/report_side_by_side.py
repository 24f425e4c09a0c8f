"""Subjects side by side: their numbers, and what the first has more than each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tocsin_eval.report_numbers import (
    describe_number,
    format_p,
)
from tocsin_eval.report_parts import (
    Cell,
    Column,
    Table,
    build_cell,
    build_whisker,
    mark_best,
)
from tocsin_eval.verdict import HEADLINES

Record: TypeAlias = Mapping[str, Any]

# Labels whose F1 stands in the headline table; of more, only in the table of labels.
_HEADLINE_LABELS = 12

_OF_PASSAGES = ("average_precision", "roc_auc", "brier", "ece", "behaviour", "behaviour_pairs")
_OF_SUMMARIES = (
    *("rouge1", "rouge2", "rougeLsum", "bertscore", "nli_support", "coverage", "density"),
    *("compression", "novel_2grams", "repeated_trigrams", "most_alike", "unsupported_share"),
    *("empty_share", "sentences", "words", "position"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``numbers`` are those of the headline, ``others`` all the rest."""

    title: str
    numbers: Table
    others: Table


def standing_of(record: Record, name: str) -> str:
    """Candidate, incumbent, or what kind of subject it is."""
    gate = record["gate"] or {}
    if name == record["subjects"][0]["name"]:
        return "candidate"
    if name == gate.get("incumbent"):
        return "incumbent"
    kind: str = next(one["kind"] for one in record["subjects"] if one["name"] == name)
    return kind


def _columns(record: Record, subjects: Iterable[Record]) -> list[Column]:
    columns = []
    for one in subjects:
        standing = standing_of(record, one["name"])
        columns.append(
            Column(title=one["name"], note=standing, is_candidate=standing == "candidate")
        )
    return columns


def build_glances(
    record: Record, classifying: Sequence[Record], summarising: Sequence[Record]
) -> Iterator[Table]:
    """The number that decides, of every subject, drawn to scale."""
    for subjects, wanted in ((classifying, HEADLINES[0][0]), (summarising, HEADLINES[1][0])):
        number = describe_number(wanted)
        intervals = [one["metrics"].get(wanted) for one in subjects]
        known = [found for found in intervals if found and found["value"] is not None]
        if not known:
            continue
        most = max(found["high"] or found["value"] for found in known)
        end = 1.0 if number.unit == "share" else min(100.0, 10.0 * (int(most / 10) + 1))
        rows = []
        for one, found in zip(subjects, intervals, strict=True):
            cell = build_cell(number, found)
            picture = build_whisker(
                found, (0.0, end), f"{cell.text} ({cell.range or 'no interval'})"
            )
            heading = Cell(text=one["name"], note=standing_of(record, one["name"]))
            rows.append((heading, cell, Cell(text="", whisker=picture)))
        yield Table(
            caption=f"{number.title} with its 95% interval",
            columns=(
                Column(title="subject", kind="text"),
                Column(title=number.title),
                Column(title=f"0 to {end:g}", kind="picture"),
            ),
            rows=tuple(rows),
        )


def _names_of_passages(is_single_label: bool, labels: Sequence[str]) -> list[str]:
    """Names of the headline numbers of a classifier."""
    first = ["accuracy", "macro_f1"] if is_single_label else ["macro_f1", "micro_f1"]
    each = [f"f1_{label}" for label in labels] if len(labels) <= _HEADLINE_LABELS else []
    return [*first, *each, *_OF_PASSAGES]


def build_headlines(
    record: Record,
    classifying: Sequence[Record],
    summarising: Sequence[Record],
    labels: Sequence[str],
) -> Iterator[Table]:
    if classifying:
        names = _names_of_passages(classifying[0]["is_single_label"], labels)
        yield build_numbers("Labels of passages", record, classifying, names, labels)
    if summarising:
        yield build_numbers("Summaries", record, summarising, _OF_SUMMARIES, labels)


def build_every_number(
    record: Record,
    classifying: Sequence[Record],
    summarising: Sequence[Record],
    labels: Sequence[str],
) -> Iterator[Table]:
    subjects = [one for one in record["subjects"] if one in classifying or one in summarising]
    names = dict.fromkeys(name for one in subjects for name in one["metrics"])
    if names:
        yield build_numbers("Every number", record, subjects, list(names), labels)


def build_numbers(
    caption: str,
    record: Record,
    subjects: Sequence[Record],
    names: Sequence[str],
    labels: Sequence[str],
) -> Table:
    rows = []
    has_best = False
    for name in names:
        intervals = [one["metrics"].get(name) for one in subjects]
        values = [found["value"] if found else None for found in intervals]
        if all(value is None for value in values):
            continue
        number = describe_number(name, labels)
        cells = [build_cell(number, found) for found in intervals]
        cells = mark_best(cells, values, number)
        has_best = has_best or any(cell.is_best for cell in cells)
        less = "less is better" if number.better == "less" else ""
        rows.append((Cell(text=number.title, note=less), *cells))
    best = "Bold: the best of a row, told apart or not. " if has_best else ""
    return Table(
        caption=caption,
        columns=(Column(title="number", kind="text"), *_columns(record, subjects)),
        rows=tuple(rows),
        note=f"{best}With each number stands its 95% interval.",
    )


def build_comparisons(
    record: Record, is_single_label: bool, labels: Sequence[str]
) -> Iterator[Comparison]:
    wanted = [*_names_of_passages(is_single_label, labels), *_OF_SUMMARIES]
    for comparison in record["comparisons"]:
        items = {
            item["name"]: item
            for item in comparison["numbers"]
            if item["difference"]["value"] is not None
        }
        what = "summaries" if "rouge1" in items else "passages"
        headline = [items[name] for name in wanted if name in items]
        others = [item for name, item in items.items() if name not in wanted]
        caption = f"{comparison['first']} − {comparison['second']}, {what}"
        ends = _ends(items.values(), labels)
        yield Comparison(
            title=caption,
            numbers=_differences(caption, comparison["first"], headline, labels, ends),
            others=_differences(caption, comparison["first"], others, labels, ends),
        )


def _ends(items: Iterable[Record], labels: Sequence[str]) -> dict[str, float]:
    """How far the scale of differences reaches to both sides, by unit."""
    ends: dict[str, float] = {}
    for item in items:
        unit = describe_number(item["name"], labels).unit
        parts = [abs(value) for value in item["difference"].values() if value is not None]
        ends[unit] = max(ends.get(unit, 0.0), *parts)
    return {unit: end or 1.0 for unit, end in ends.items()}


def _differences(
    caption: str,
    first: str,
    items: Sequence[Record],
    labels: Sequence[str],
    ends: Mapping[str, float],
) -> Table:
    rows = []
    for item in items:
        number = describe_number(item["name"], labels)
        found = item["difference"]
        low, high = found["low"], found["high"]
        has_range = low is not None and high is not None
        text = number.format_change(found["value"])
        range_ = f"{number.format_change(low)} to {number.format_change(high)}" if has_range else ""
        # Counts of words and of sentences share no scale.
        end = ends[number.unit]
        is_drawn = number.unit != "count" and has_range
        picture = build_whisker(found, (-end, end), f"{text} ({range_})", has_zero=True)
        rows.append(
            (
                Cell(text=number.title, note="less is better" if number.better == "less" else ""),
                Cell(text=number.judge(found["value"], item["p_holm"])),
                Cell(text=text, range=range_),
                Cell(text="", whisker=picture if is_drawn else None),
                Cell(text=format_p(item["p_bootstrap"])),
                Cell(text=format_p(item["p_randomisation"])),
                Cell(text=format_p(item["p_holm"])),
            )
        )
    columns = (
        Column(title="number", kind="text"),
        Column(title=f"{first} is", kind="text"),
        Column(title="difference"),
        Column(title="around 0", kind="picture"),
        Column(title="p", note="bootstrap"),
        Column(title="p", note="randomisation"),
        Column(title="p", note="Holm"),
    )
    return Table(caption=caption, columns=columns, rows=tuple(rows))
