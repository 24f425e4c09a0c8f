"""Files of lines that are there in full, or not changed at all."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tocsin_eval.tables import Source, is_file
from tocsin_models.errors import DataError


def check_file(out: Path, read: Sequence[Source]) -> None:
    """Refuse a place for a file before anything is read.

    Raises:
        DataError: ``out`` is a directory, or one of the files that are ``read``.
    """
    if out.is_dir():
        raise DataError(f"{out}: is a directory; --out names a file")
    if any(is_file(source) and Path(source).resolve() == out.resolve() for source in read):
        raise DataError(f"{out}: is also read; give --out another name")


def write_lines(out: Path, lines: Iterable[str]) -> None:
    """All of a file or nothing of it; each line brings its newline.

    Raises:
        DataError: it cannot be written.
    """
    partial = ""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=out.parent, prefix=f".{out.name}.", delete=False
        ) as stream:
            partial = stream.name
            stream.writelines(lines)
            stream.flush()
            os.fsync(stream.fileno())
        Path(partial).chmod(0o644)
        Path(partial).replace(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        if partial:
            Path(partial).unlink(missing_ok=True)
