"""Blocks: the rows that are scored, kept and resumed together, a function of the input alone."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin_models.errors import InputError
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.readers import read_rows
from tocsin_serving.archive.rows import AnyRow, RawRow, RowReader

# A killed run loses the block in the model and the one being written: at most 500 rows. The bytes
# bound what tokenising takes: about 100 bytes a byte of text.
BLOCK_ROWS = 250
BLOCK_BYTES = 2_000_000


class InputChanged(InputError):
    """The input is not what it was when the run began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a block lies: ``rows`` rows of source number ``source`` from ``start``, the first of
    which is row ``first``. ``sha256`` is of their raw bytes; ``duplicates`` tells, by the row's
    place in the block, where its id stands already."""

    number: int
    source: int
    first: int
    start: int
    rows: int
    size_bytes: int
    sha256: str
    duplicates: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The rows of a span, read. May travel to another process."""

    number: int
    rows: tuple[AnyRow, ...]
    size_bytes: int


class RowDigest:
    """SHA-256 of rows as they lie in the file."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: RawRow) -> None:
        self._digest.update(b"%d:" % len(row.raw))
        self._digest.update(row.raw)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def read_blocks(
    sources: Sequence[Source], spans: Iterable[Span], reader: RowReader
) -> Iterator[Block]:
    """The blocks of some spans, in their order; nothing between them is read where the source can
    be entered in the middle.

    Raises:
        InputChanged: a block is not what it was when the index was made.
    """
    rows: Iterator[RawRow] = iter(())
    follows: tuple[int, int] | None = None
    for span in spans:
        source = sources[span.source]
        if follows != (span.source, span.number):
            rows = read_rows(source, span.start, span.first)
        follows = (span.source, span.number + 1)
        digest = RowDigest()
        found = []
        for position in range(span.rows):
            raw = next(rows, None)
            if raw is None:
                break
            digest.add(raw)
            found.append(reader.read(raw, span.duplicates.get(position)))
        if len(found) < span.rows or digest.hexdigest() != span.sha256:
            raise InputChanged(
                f"{source.name}: rows from {span.first} on are not what they were when this run "
                "began; put the file back as it was, or name a new folder"
            )
        yield Block(number=span.number, rows=tuple(found), size_bytes=span.size_bytes)
