"""``tocsin report``: a run over an archive, as a table, a picture or a page.

The page holds everything in itself and asks nothing of a network; text of articles stands in it,
escaped, because it is for the people who own them.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from tocsin_models.errors import InputError
from tocsin_serving.archive.tally import NO_MONTH, Tally

# Okabe and Ito (2008): told apart by colour-blind readers too. The hatch tells them apart in print.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#999999")
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo", "--")
_MOST_TICKS = 24
# Nothing in the file may depend on when it was made: the same run gives the same bytes.
_STYLE: dict[Any, Any] = {"svg.hashsalt": "tocsin", "svg.fonttype": "none", "hatch.linewidth": 0.6}


def counts_table(tally: Tally) -> Table:
    """Rows per month and label."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("month", no_wrap=True)
    for name in ("rows", *tally.labels):
        table.add_column(name, justify="right")
    for month in tally.months:
        table.add_row(month, *_cells(tally, month))
    table.add_section()
    table.add_row("all", *_totals(tally))
    return table


def write_picture(path: Path, tally: Tally) -> None:
    """The report as ``.html`` or the timeline alone as ``.png``.

    Raises:
        InputError: the path ends in neither, or cannot be written.
    """
    match path.suffix.lower():
        case ".html":
            content = render_page(tally).encode("utf-8", "xmlcharrefreplace")
        case ".png":
            content = draw_timeline(tally, "png")
        case other:
            raise InputError(f"{path} ends in {other!r}; a report is written as .html or .png")
    try:
        scratch = path.with_name(path.name + ".tmp")
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}; name another place"
        ) from None


def draw_timeline(tally: Tally, kind: str) -> bytes:
    """Labels stacked month by month, ``svg`` or ``png``. A row with two labels counts in both."""
    months = [month for month in every_month(tally.months) if month != NO_MONTH]
    with rc_context(_STYLE):
        figure = Figure(figsize=(max(6.0, min(16.0, 0.35 * len(months) + 3)), 3.8))
        axes = figure.add_subplot()
        bottom = [0] * len(months)
        for number, label in enumerate(tally.labels):
            heights = [tally.carried[label].get(month, 0) for month in months]
            axes.bar(
                range(len(months)),
                heights,
                bottom=bottom,
                label=label,
                color=_COLOURS[number % len(_COLOURS)],
                hatch=_HATCHES[number % len(_HATCHES)],
                edgecolor="white",
                linewidth=0.4,
            )
            bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
        step = -(-len(months) // _MOST_TICKS) or 1
        axes.set_xticks(range(0, len(months), step), months[::step], rotation=60, ha="right")
        axes.set_ylabel(f"{tally.unit}s that carry the label")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
        figure.tight_layout()
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, metadata=metadata, dpi=150)
    return buffer.getvalue()


def every_month(months: Sequence[str]) -> list[str]:
    """The months from the first to the last, those without a row among them, so that a gap in the
    archive is a gap in the picture; ``NO_MONTH`` last where there is one."""
    dated = sorted(month for month in months if month != NO_MONTH)
    found = []
    if dated:
        (year, month), (last_year, last) = (map(int, dated[i].split("-")) for i in (0, -1))
        while (year, month) <= (last_year, last):
            found.append(f"{year}-{month:02}")
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found + [NO_MONTH] * (NO_MONTH in months)


def render_page(tally: Tally) -> str:
    """The page: what was scored, the timeline, the counts, the sharpest passages of each label
    with links to the files of their rows (relative: the page belongs beside the results)."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tocsin_serving.archive", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    has_months = any(month != NO_MONTH for month in tally.months)
    return environment.get_template("report.html.jinja").render(
        tally=tally,
        timeline=_inline(draw_timeline(tally, "svg")) if has_months else "",
        rows=[(month, _cells(tally, month)) for month in tally.months],
        totals=_totals(tally),
        facts=_facts(tally.manifest),
    )


def _inline(svg: bytes) -> Any:
    """The drawing without its XML head, as markup: it is ours, and its texts matplotlib escaped."""
    from markupsafe import Markup

    return Markup(re.sub(r"^.*?(?=<svg)", "", svg.decode(), flags=re.DOTALL))


def _cells(tally: Tally, month: str) -> list[str]:
    found = [tally.rows[month], *(tally.carried[label].get(month, 0) for label in tally.labels)]
    return [f"{number:,}" for number in found]


def _totals(tally: Tally) -> list[str]:
    found = [
        sum(tally.rows.values()),
        *(sum(tally.carried[label].values()) for label in tally.labels),
    ]
    return [f"{number:,}" for number in found]


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts, model = manifest["counts"], manifest["models"]["classifier"]
    thresholds = ", ".join(f"{label} ≥ {value:.2f}" for label, value in model["thresholds"].items())
    return [
        ("rows", ", ".join(f"{name} {number:,}" for name, number in counts.items())),
        ("input", ", ".join(item["name"] for item in manifest["inputs"])),
        ("classifier", f"{model['name']} {model['revision'][:19]} {model['precision']}"),
        ("thresholds", thresholds),
    ]
