"""The report as one HTML file: nothing in it runs, and nothing is loaded from elsewhere."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tocsin_eval import plots
from tocsin_eval.plots import Style
from tocsin_eval.report_numbers import format_number, labels_of
from tocsin_eval.report_parts import join_words, plural
from tocsin_eval.report_view import View, view

_TEMPLATE = "report.html.jinja"

# Of further labels the numbers are told, and no curves: four panels a label.
MOST_LABELS = 24
# Panels that stand open; the rest one opens.
_OPEN_LABELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A picture as a ``data:`` address, and what it says in words."""

    address: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPanels:
    label: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A line of the key: ``style`` is how the series ``name`` is drawn."""

    name: str
    style: Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Plots:
    """``labels`` stand open, ``more`` in a part to open; ``left_out`` have no panel."""

    keys: tuple[Key, ...]
    trades: tuple[Key, ...]
    labels: tuple[LabelPanels, ...]
    more: tuple[LabelPanels, ...]
    left_out: tuple[str, ...]


def render_html(record: Mapping[str, Any]) -> str:
    """The report of a record; the same bytes for the same record."""
    shown = view(record)
    drawn = _plots(record)
    positions = _positions(record)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plural"] = plural
    return environment.get_template(_TEMPLATE).render(
        view=shown,
        plots=drawn,
        positions=positions,
        contents=_contents(shown, drawn),
    )


def _contents(shown: View, drawn: Plots | None) -> list[tuple[str, str]]:
    """The parts that there are: (id, title)."""
    parts = (
        ("numbers", "Numbers", shown.headlines),
        ("differences", "Differences", shown.comparisons),
        ("labels", "By label", shown.labels),
        ("curves", "Curves", drawn),
        ("confusion", "Confusion", shown.labels and shown.labels.confusions),
        ("slices", "For whom", shown.slices),
        ("behaviour", "Behaviour", shown.behaviour),
        ("errors", "Worst errors", shown.worst),
        ("doubts", "Doubtful labels", shown.doubts),
        ("summaries", "Summaries", shown.summaries),
        ("cost", "Speed and cost", shown.cost),
        ("provenance", "Provenance", shown.provenance),
        ("guide", "How to read this", shown.guide),
    )
    return [(name, title) for name, title, part in parts if part]


def _plots(record: Mapping[str, Any]) -> Plots | None:
    subjects: Sequence[Mapping[str, Any]] = record["subjects"]
    drawn = {index: one["curves"] for index, one in enumerate(subjects) if one["curves"]}
    if not drawn:
        return None
    own = next(iter(drawn))
    labels = [
        label
        for label in labels_of(subjects[own]["metrics"])
        if any(label in curves for curves in drawn.values())
    ]
    panels = [
        LabelPanels(label=label, panels=tuple(_panels(record, drawn, own, label)))
        for label in labels[:MOST_LABELS]
    ]
    return Plots(
        keys=_keys(record, drawn),
        trades=tuple(Key(name=name, style=style) for name, style in plots.TRADES),
        labels=tuple(panels[:_OPEN_LABELS]),
        more=tuple(panels[_OPEN_LABELS:]),
        left_out=tuple(labels[MOST_LABELS:]),
    )


def _keys(record: Mapping[str, Any], drawn: Mapping[int, Any]) -> tuple[Key, ...]:
    return tuple(
        Key(name=record["subjects"][index]["name"], style=plots.style_of(index)) for index in drawn
    )


def _panels(
    record: Mapping[str, Any], drawn: Mapping[int, Any], own: int, label: str
) -> Iterator[Panel]:
    subjects, total = record["subjects"], record["data"]["passages"]
    curves = {index: found[label] for index, found in drawn.items() if label in found}
    points = {index: _operating_points(subjects[index], label, total) for index in curves}
    chosen = {index: point for index, point in points.items() if point}
    carried = _carried(subjects[own], label)
    share = carried / total if carried is not None and total else None

    def told(name: str, number: str) -> str:
        """The words under a plot: a number of each subject."""
        each = (
            f"{subjects[index]['name']} "
            f"{format_number(subjects[index]['metrics'].get(number, {}).get('value'), 3)}"
            for index in curves
        )
        return f"{name}, {label}: {', '.join(each)}"

    yield _panel(
        plots.plot_precision_recall(
            {index: found["precision_recall"] for index, found in curves.items()},
            {index: (point[1], point[2]) for index, point in chosen.items()},
            share,
        ),
        told("Precision over recall; average precision", f"average_precision_{label}"),
    )
    yield _panel(
        plots.plot_roc(
            {index: found["roc"] for index, found in curves.items()},
            {index: (point[0], point[1]) for index, point in chosen.items()},
        ),
        told("ROC curve; area under it", f"roc_auc_{label}"),
    )
    reliability = {index: found["reliability"] for index, found in curves.items()}
    yield _panel(
        plots.plot_reliability(reliability),
        told("Share that carries the label over mean score; Brier score", f"brier_{label}"),
    )
    if own in curves:
        threshold = subjects[own]["thresholds"].get(label)
        if subjects[own]["is_single_label"]:
            threshold = None
        yield _panel(
            plots.plot_thresholds(curves[own]["thresholds"], threshold),
            f"Precision, recall and F1 of {subjects[own]['name']} over the threshold, {label}; "
            f"stored threshold {format_number(threshold, 3)}",
        )


def _operating_points(
    subject: Mapping[str, Any], label: str, total: int
) -> tuple[float, float, float] | None:
    """False positive rate, recall and precision at the stored threshold."""
    found = subject["confusion"]
    if not found:
        return None
    index = labels_of(subject["metrics"]).index(label)
    carried, given = found["carried"][index], found["given_together"][index][index]
    hits = found["given"][index][index]
    if not given or not carried or carried == total:
        return None
    return (given - hits) / (total - carried), hits / carried, hits / given


def _carried(subject: Mapping[str, Any], label: str) -> int | None:
    if not subject["confusion"]:
        return None
    index = labels_of(subject["metrics"]).index(label)
    return int(subject["confusion"]["carried"][index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    panel: Panel
    keys: tuple[Key, ...]


def _positions(record: Mapping[str, Any]) -> Positions | None:
    found = {
        index: one["summaries"]["positions"]
        for index, one in enumerate(record["subjects"])
        if one["summaries"] and one["summaries"]["positions"]
    }
    if not found:
        return None
    means = [
        f"{record['subjects'][index]['name']} {format_number(sum(values) / len(values), 2)}"
        for index, values in found.items()
    ]
    words = f"Histogram of the position of chosen sentences; mean of {join_words(means)}"
    return Positions(panel=_panel(plots.plot_positions(found), words), keys=_keys(record, found))


def _panel(svg: str, words: str) -> Panel:
    encoded = base64.b64encode(svg.encode()).decode()
    return Panel(address=f"data:image/svg+xml;base64,{encoded}", words=words)
