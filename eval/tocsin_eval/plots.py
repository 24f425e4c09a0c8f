"""Plots of a report as SVG: small panels, one look, the same bytes for the same numbers.

Series differ in colour (Okabe and Ito 2008, "Color Universal Design": told apart by colour-blind
readers), in dashes and in markers, so they survive a grey printer. Text stays text: the reader's
own sans-serif is used, which knows more scripts than the font that matplotlib brings.
"""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from tocsin_eval.bootstrap import Interval

Points: TypeAlias = Sequence[Sequence[float]]

_INK, _FAINT = "#1c2126", "#c9ced6"
_WIDTH_IN, _HEIGHT_IN = 3.2, 2.9

_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tocsin",
    "svg.id": "tocsin",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#5b6470",
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.7,
    "grid.linestyle": "-",
    "text.color": _INK,
    "xtick.color": "#5b6470",
    "ytick.color": "#5b6470",
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.dash_capstyle": "butt",
    "path.simplify": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a series is drawn. ``dashes`` are lengths of ink and gap in units of the line's width,
    none for a full line; ``marker`` is matplotlib's."""

    colour: str
    dashes: tuple[float, ...]
    marker: str
    width: float = 1.5


_STYLES = (
    Style(colour="#0072b2", dashes=(), marker="o", width=2.2),
    Style(colour="#d55e00", dashes=(5, 2), marker="s"),
    Style(colour="#009e73", dashes=(1.2, 1.6), marker="^"),
    Style(colour="#333333", dashes=(6, 2, 1.2, 2), marker="D"),
    Style(colour="#cc79a7", dashes=(9, 2), marker="v"),
    Style(colour="#8c6d00", dashes=(3, 1.5, 1.2, 1.5, 1.2, 1.5), marker="P"),
)
# Precision, recall and F1 of one subject.
TRADES = (
    ("precision", Style(colour="#0072b2", dashes=(), marker="")),
    ("recall", Style(colour="#d55e00", dashes=(5, 2), marker="")),
    ("F1", Style(colour="#333333", dashes=(1.2, 1.6), marker="", width=2.2)),
)


def style_of(index: int) -> Style:
    """Of the subject with this place in the record; the first is the candidate. Colours come again
    after six subjects, with dashes longer than before."""
    style = _STYLES[index % len(_STYLES)]
    if (turn := index // len(_STYLES)) == 0:
        return style
    dashes = tuple((1 + turn) * length for length in style.dashes or (12.0, 1.5))
    return Style(colour=style.colour, dashes=dashes, marker=style.marker)


def plot_precision_recall(
    curves: Mapping[int, Points], chosen: Mapping[int, tuple[float, float]], share: float | None
) -> str:
    """Precision over recall of each subject, by its place. ``chosen`` is the (recall, precision) at
    the stored threshold, ``share`` the precision of giving the label always."""

    def draw(axes: Axes) -> None:
        if share is not None:
            axes.axhline(share, color=_FAINT, linewidth=1.2)
        for index, points in curves.items():
            recall, precision = zip(*points, strict=True)
            _line(axes, recall, precision, style_of(index), drawstyle="steps-pre")
        _mark(axes, chosen)
        _unit_square(axes, "recall", "precision")

    return _render("Precision and recall", draw)


def plot_roc(curves: Mapping[int, Points], chosen: Mapping[int, tuple[float, float]]) -> str:
    """True positive rate over false positive rate; ``chosen`` as (false, true) positive rate."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.2)
        for index, points in curves.items():
            false_rate, true_rate = zip(*points, strict=True)
            _line(axes, false_rate, true_rate, style_of(index))
        _mark(axes, chosen)
        _unit_square(axes, "false positive rate", "true positive rate")

    return _render("ROC", draw)


def plot_reliability(curves: Mapping[int, Points]) -> str:
    """Share that carries the label over mean score of each bin: (score, share, rows); the more rows
    a bin has, the larger its marker."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=1.2)
        for index, points in curves.items():
            score, share, rows = zip(*points, strict=True)
            style = style_of(index)
            _line(axes, score, share, style)
            most = max(rows)
            axes.scatter(
                score,
                share,
                s=[8 + 32 * (count / most) ** 0.5 for count in rows],
                marker=style.marker,
                facecolor="white",
                edgecolor=style.colour,
                linewidth=1.2,
                clip_on=False,
                zorder=3 if index else 4,
            )
        _unit_square(axes, "mean score", "share with the label")

    return _render("Reliability", draw)


def plot_thresholds(points: Points, threshold: float | None) -> str:
    """Precision, recall and F1 over the threshold: (threshold, precision, recall, F1)."""

    def draw(axes: Axes) -> None:
        cuts, *columns = zip(*points, strict=True)
        for (_, style), values in zip(TRADES, columns, strict=True):
            _line(axes, cuts, values, style)
        if threshold is not None:
            axes.axvline(threshold, color=_INK, linewidth=1.0)
            is_left = threshold <= 0.7
            axes.annotate(
                f"stored {threshold:.2f}",
                (threshold, 0),
                xytext=(3 if is_left else -3, 3),
                textcoords="offset points",
                ha="left" if is_left else "right",
                fontsize=8.5,
            )
        _unit_square(axes, "threshold", "precision, recall, F1")

    return _render("Thresholds", draw)


def plot_positions(positions: Mapping[int, Sequence[float]]) -> str:
    """Where in the article the chosen sentences stand, 0 the start: share of the summaries in each
    tenth, a stepped line a subject."""

    def draw(axes: Axes) -> None:
        edges = [number / 10 for number in range(11)]
        for index, values in positions.items():
            counts = [0] * 10
            for value in values:
                counts[min(int(value * 10), 9)] += 1
            heights = [count / len(values) for count in counts]
            style = style_of(index)
            _line(axes, edges, [*heights, heights[-1]], style, drawstyle="steps-post")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("mean position in the article")
        axes.set_ylabel("share of summaries")

    return _render("Where the sentences come from", draw, width_in=4.8)


def plot_learning_curve(sizes: Sequence[int], numbers: Mapping[str, Sequence[Interval]]) -> str:
    """Each of the ``numbers`` over the passages trained on, doubling to the right, with its 95%
    interval; unlike the plots of a report it stands alone, so it brings its legend."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        for index, (name, found) in enumerate(numbers.items()):
            style = style_of(index)
            values = [item.value for item in found]
            _line(axes, sizes, values, style)
            axes.errorbar(
                sizes,
                values,
                # With few articles a value may lie outside of its own interval.
                yerr=[
                    [max(item.value - item.low, 0.0) for item in found],
                    [max(item.high - item.value, 0.0) for item in found],
                ],
                linestyle="none",
                marker=style.marker,
                color=style.colour,
                capsize=2.5,
                linewidth=1.0,
                markersize=5,
                label=name,
            )
        # A curve rises to the right, so what is below its end is free.
        axes.legend(loc="lower right", frameon=False, fontsize=8.5)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("passages trained on")
        axes.set_ylabel("held-out passages")

    return _render("Learning curve", draw, width_in=4.8)


def _line(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    style: Style,
    drawstyle: Any = "default",
) -> None:
    axes.plot(
        x,
        y,
        color=style.colour,
        linewidth=style.width,
        linestyle=(0, style.dashes) if style.dashes else "-",
        drawstyle=drawstyle,
        clip_on=False,
        zorder=2.5 if style.width > 2 else 2.2,
    )


def _mark(axes: Axes, chosen: Mapping[int, tuple[float, float]]) -> None:
    for index, (x, y) in chosen.items():
        style = style_of(index)
        axes.plot(
            [x],
            [y],
            linestyle="none",
            marker=style.marker,
            markersize=6.5,
            markerfacecolor=style.colour,
            markeredgecolor="white",
            markeredgewidth=1.0,
            clip_on=False,
            zorder=4 if index else 5,
        )


def _unit_square(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(0.25))
        axis.set_major_formatter(lambda value, _: f"{value:g}")


def _render(title: str, draw: Callable[[Axes], None], width_in: float = _WIDTH_IN) -> str:
    with _look():
        figure = Figure(figsize=(width_in, _HEIGHT_IN))
        axes = figure.add_axes((0.58 / width_in, 0.16, 1 - 0.70 / width_in, 0.73))
        axes.set_title(title, pad=7)
        draw(axes)
        written = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nothing)
    # Without the prolog: the document type would name an address elsewhere.
    svg = written.getvalue()
    return svg[svg.index("<svg") :].strip()


@contextmanager
def _look() -> Iterator[None]:
    """Our settings, whatever the user's are. A letter that matplotlib's font lacks is no trouble:
    the browser draws the text."""
    known: Any = {name: value for name, value in _RC.items() if name in matplotlib.rcParams}
    with matplotlib.rc_context(known), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield
