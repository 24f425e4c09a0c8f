"""What several commands share: exit codes, what they print, and what an extra has to have."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from tocsin_models.errors import TocsinError

EXIT_GATE = 1
EXIT_REFUSED = 2
EXIT_REJECTS = 3

EXIT_CODES = (
    "Exit codes: 0 all is answered; 2 an input, a model or an option cannot be used (one line on "
    "standard error says why); 3 score wrote some rows to rejects.jsonl; 130 interrupted "
    "(the same score command goes on)."
)


def print_error(error: TocsinError, prefix: str = "") -> None:
    """A refusal, as one line on standard error; several problems are a line each."""
    from tocsin_serving.render import make_visible

    lines = [make_visible(line) for line in f"{prefix}{error}".split("\n")]
    print("tocsin: error: " + "\n".join(lines), file=sys.stderr, flush=True)


def print_table(table: Any) -> None:
    from tocsin_serving.render import open_console

    open_console().print(table)


def print_json(record: dict[str, Any]) -> None:
    """JSON is UTF-8 (RFC 8259), whatever the locale says."""
    from tocsin_serving.lines import format_line

    sys.stdout.flush()
    sys.stdout.buffer.write(format_line(record).encode() + b"\n")
    sys.stdout.buffer.flush()


def check_extra(extra: str, modules: Sequence[str]) -> None:
    """Name every missing package of an extra at once, before anything heavy is imported."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise TocsinError(
            f"this needs {', '.join(missing)}, not installed here: pip install 'tocsin[{extra}]'"
        )
