"""Files that are there with all of their bytes, on the disk, or not at all."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin_models.errors import InputError


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Pieces of bytes as a file; see ``making``."""
    with making(path) as scratch, scratch.open("wb") as handle:
        for piece in pieces:
            handle.write(piece)


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name, and is on the disk, when the context ends.

    Raises:
        InputError: it cannot be written; what was there before stays.
    """
    scratch = path.with_name(path.name + ".tmp")
    with writing(path):
        try:
            yield scratch
            _settle(scratch, path)
        except OSError:
            # Room for what comes next: on a full disk half a file is the worst thing to keep.
            scratch.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into a line that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path} cannot be written: {reason}; mend that (free space, another place) and run "
            "the same command again: it goes on where it stopped"
        ) from None


def _settle(scratch: Path, path: Path) -> None:
    """Put a written file on the disk, then give it its name; the folder's entry is synced too."""
    with scratch.open("rb+") as handle:
        os.fsync(handle.fileno())
    scratch.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a MiB at a time."""
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            yield chunk


def count_lines(path: Path) -> int:
    """How many line ends a file holds."""
    return sum(chunk.count(b"\n") for chunk in chunks(path))


def hash_path(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    for chunk in chunks(path):
        digest.update(chunk)
    return digest.hexdigest()
