"""What a long command says on the way."""

import sys


def say(line: str) -> None:
    """One line of progress, on standard error: standard output belongs to results."""
    print(line, file=sys.stderr, flush=True)
