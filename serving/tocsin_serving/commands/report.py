"""``tocsin report``: the results of a run, counted and drawn."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tocsin_serving.commands.shared import print_table


def report_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished tocsin score.")],
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to draw it: .html for the page, .png for the timeline; OUT/report.html "
            "without it.",
        ),
    ] = None,
    date_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Column that holds the date; published, date, … without it."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=1_000, help="Sharpest passages to show for each label.")
    ] = 10,
) -> None:
    """Count the results of a run by label and month, and draw them.

    Example: tocsin report results/

    Example: tocsin report results/ --draw timeline.png --date-column filed
    """
    from tocsin_serving.archive.report import counts_table, write_picture
    from tocsin_serving.archive.tally import tally_results

    tally = tally_results(out, date_column, top)
    target = draw or out / "report.html"
    write_picture(target, tally)
    print_table(counts_table(tally))
    if tally.date_column is None:
        print("tocsin: no column holds a date; name one with --date-column", file=sys.stderr)
    print(f"tocsin: drawn into {target}", file=sys.stderr)
