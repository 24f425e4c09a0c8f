"""``tocsin``: the command line. Each command stands in a file of ``commands``."""

import io
import logging
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from tocsin_models.errors import TocsinError
from tocsin_serving.commands.analyse import analyse
from tocsin_serving.commands.evaluate import EVALUATE_CODES, evaluate
from tocsin_serving.commands.keys import keys_app
from tocsin_serving.commands.models import models
from tocsin_serving.commands.report import report_command
from tocsin_serving.commands.score import score
from tocsin_serving.commands.serve import serve
from tocsin_serving.commands.shared import EXIT_CODES, EXIT_REFUSED, print_error
from tocsin_serving.commands.train import train_app
from tocsin_serving.options import ManyFiles

LABELS = (
    "Labels of the embedded model: claim, an assertion that the outlet does not vouch for; threat, "
    "harm announced or held out; retaliation, force as an answer to an earlier act; diplomacy, "
    "parties dealing with each other by political means. A passage has any number of them."
)

app = typer.Typer(
    name="tocsin",
    help="Read conflict news: label each passage, and write a summary whose every sentence says "
    "where in the article it stands.\n\n" + LABELS,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    # A rich traceback prints local variables, and those hold article text.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_READ, _SERVE, _MAKE = "Read articles", "Serve", "Make models"
app.command(rich_help_panel=_READ, epilog=EXIT_CODES)(analyse)
app.command(rich_help_panel=_READ, epilog=EXIT_CODES)(score)
app.command("report", rich_help_panel=_READ, epilog=EXIT_CODES)(report_command)
app.command(rich_help_panel=_SERVE, epilog=EXIT_CODES)(serve)
app.command(rich_help_panel=_MAKE, cls=ManyFiles, epilog=EVALUATE_CODES)(evaluate)
app.command(rich_help_panel=_MAKE, epilog=EXIT_CODES)(models)
app.add_typer(train_app, name="train", rich_help_panel=_MAKE)
app.add_typer(keys_app, name="keys", rich_help_panel=_SERVE)


def main() -> None:
    """Run the command line and exit; an error that the caller can mend is one line."""
    warnings.showwarning = _show_warning
    _show_notes()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal in Latin-1 shows \u2019 for what it cannot spell, instead of a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except TocsinError as error:
        print_error(error)
        sys.exit(EXIT_REFUSED)
    finally:
        _flush()


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(f"tocsin {installed_version('tocsin')}")
        raise typer.Exit


def _show_notes() -> None:
    """What takes seconds says so, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("tocsin: %(message)s"))
    notes = logging.getLogger("tocsin")
    notes.handlers = [handler]
    notes.setLevel(logging.INFO)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of ours is for the person at the terminal: one line, no source code."""
    print(f"tocsin: warning: {message}", file=sys.stderr)


def _flush() -> None:
    """Send what is left, and keep the interpreter's own flush from complaining about a reader
    that has gone (``tocsin analyse … | head``)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
