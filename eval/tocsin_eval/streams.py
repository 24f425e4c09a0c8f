"""The lines and the bytes of a file, plain or compressed by gzip or zstandard."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tocsin_models.errors import DataError

COMPRESSED = (".gz", ".zst")


def split_name(path: Path) -> tuple[str, str]:
    """Stem and kind of a file: ``desk.csv.gz`` gives ``("desk", ".csv")``."""
    inner = Path(path.stem) if path.suffix in COMPRESSED else path
    return inner.stem, inner.suffix.lower()


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their LF, which alone ends one, as JSON Lines has it.

    Raises:
        DataError: the file cannot be read, is damaged or is cut short.
    """
    pending = b""
    for block in _blocks(path):
        *lines, pending = (pending + block).split(b"\n")
        yield from lines
    if pending:
        yield pending


def read_bytes(path: Path) -> bytes:
    """All that a file holds, uncompressed; raises as ``read_lines`` does."""
    return b"".join(_blocks(path))


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that cannot be opened."""
    return DataError(
        f"{path}: cannot be read ({error.strerror}); name a file of JSON Lines, CSV, TSV or "
        "Parquet, or a data set as org/name"
    )


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            if path.suffix == ".gz":
                yield from _gzip_blocks(path, stream)
            elif path.suffix == ".zst":
                yield from _zstandard_blocks(path, stream)
            else:
                while block := stream.read(1 << 20):
                    yield block
    except OSError as error:
        raise unreadable(path, error) from None


def _gzip_blocks(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked:
            while block := unpacked.read(1 << 20):
                yield block
    except EOFError:
        raise DataError(f"{path}: ends in the middle of its gzip data; copy it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(f"{path}: is damaged, or is not a gzip file") from None


def _zstandard_blocks(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Several frames one after another are one file, as ``cat`` joins them. The end of each frame
    is checked: ``zstandard.open`` takes a file cut short for whole."""
    import zstandard

    frame = None
    try:
        while block := stream.read(1 << 20):
            while block:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(block)
                block = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    except zstandard.ZstdError:
        raise DataError(f"{path}: is damaged, or is not a zstandard file") from None
    if frame is not None:
        raise DataError(f"{path}: ends in the middle of a zstandard frame; copy the file again")
