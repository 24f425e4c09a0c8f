"""A source -> its raw rows, one after the other, from any place in it."""

import csv
from collections import deque
from collections.abc import Iterator

from tocsin_models.errors import EmptyInput, InputError, TocsinError, UndecodableInput
from tocsin_models.reading import decode, guess_format
from tocsin_models.records import Article
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.rows import RawRow, parse_object
from tocsin_serving.archive.streams import (
    MAX_ROW_BYTES,
    Damaged,
    Line,
    read_lines,
    read_whole,
    strip_compression,
)

_BOM = b"\xef\xbb\xbf"
# How far a record of CSV may reach over line ends: as far as a row of any other format. A quotation
# mark that nobody closed would otherwise swallow the rest of the file.
_MAX_RECORD_BYTES = MAX_ROW_BYTES
csv.field_size_limit(MAX_ROW_BYTES)


def read_rows(source: Source, start: int = 0, number: int = 1) -> Iterator[RawRow]:
    """The rows of a source from ``start``, the first of which has ``number``. Blank lines are no
    rows, but counted. What cannot be read of a damaged file is one row, the last.

    Raises:
        TocsinError: the source as a whole cannot be used.
    """
    match source.kind:
        case "jsonl":
            return _read_json_lines(source, start, number)
        case "csv" | "tsv":
            return _read_table(source, start, number)
        case "parquet":
            from tocsin_serving.archive.parquet import read_parquet

            return read_parquet(source, start)
        case "texts":
            return _read_texts(source, start)
        case "dataset":
            from tocsin_serving.archive.hub_rows import read_dataset

            return read_dataset(source, start)


def read_header(source: Source) -> tuple[str, ...] | None:
    """Names of the columns that every row has; None where each row has its own.

    Raises:
        TocsinError: there is no header, or it names a column twice.
    """
    if source.kind in ("csv", "tsv"):
        return _read_names(source)[0]
    if source.kind == "parquet":
        from tocsin_serving.archive.parquet import read_names

        return read_names(source)
    if source.kind == "dataset":
        from tocsin_serving.archive.hub_rows import read_dataset_names

        return read_dataset_names(source)
    return None


def _read_json_lines(source: Source, start: int, number: int) -> Iterator[RawRow]:
    [path] = source.paths
    try:
        for line in read_lines(path, start, number):
            raw = line.raw.removeprefix(_BOM) if line.start == 0 else line.raw
            if not raw.strip():
                continue
            raw = raw.rstrip(b"\r\n")
            values = _too_long(line) or parse_object(raw)
            yield RawRow(
                file=source.name, number=line.number, start=line.start, raw=raw, values=values
            )
    except Damaged as damage:
        yield _remainder(source.name, damage)


def _read_table(source: Source, start: int, number: int) -> Iterator[RawRow]:
    """CSV as RFC 4180 has it, TSV likewise; the first line names the columns.

    A record whose quotation marks are wrong costs its first line only: the next line begins a
    record again, so that a mark left open costs that row and whatever else it truly spoils. One
    that is wrong otherwise is one reject with all of its lines: none of them is a row of its own.
    """
    [path] = source.paths
    names, first = _read_names(source)
    begin = (start, number) if start else (first.start, first.number)
    lines = _Lines(read_lines(path, *begin))
    while True:
        lines.begin()
        error: TocsinError | None = None
        fields: list[str] = []
        try:
            fields = next(csv.reader(lines.feed(), strict=True, delimiter=_delimiter(source)), [])
            if fields and len(fields) != len(names):
                error = InputError(
                    f"the row has {_count(len(fields), 'column')}, the first line names "
                    f"{len(names)}; a quotation mark may be missing or stray"
                )
        except (csv.Error, _TooLong) as failure:
            lines.keep_first()
            error = InputError(
                f"no quotation mark closes the row within {_MAX_RECORD_BYTES:,} bytes, and no row "
                "may be longer; close it, or split the row into several"
                if isinstance(failure, _TooLong)
                else "the row cannot be read: a quotation mark is not closed, or stands inside a "
                'field; close it, and write one inside a field twice ("")'
            )
        if not lines.used:
            break
        if not lines.are_utf8:
            error = UndecodableInput("not UTF-8; convert the file to UTF-8")
        if not error and not fields:
            continue
        line = lines.used[0]
        yield RawRow(
            file=source.name,
            number=line.number,
            start=line.start,
            raw=b"".join(item.raw for item in lines.used).rstrip(b"\r\n"),
            values=_too_long(line) or error or dict(zip(names, fields, strict=True)),
        )
    if lines.damage:
        yield _remainder(source.name, lines.damage)


class _TooLong(Exception):
    """A record reaches over more than ``_MAX_RECORD_BYTES``."""


class _Lines:
    """Lines for ``csv.reader``: ``used`` are those that the present record took, and ``are_utf8``
    is true of them."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.begin()
        self.damage: Damaged | None = None
        self._lines = lines
        self._waiting: deque[Line] = deque()

    def begin(self) -> None:
        self.used: list[Line] = []
        self.are_utf8 = True

    def feed(self) -> Iterator[str]:
        size_bytes = 0
        while line := self._next():
            self.used.append(line)
            size_bytes += line.size_bytes
            if size_bytes > _MAX_RECORD_BYTES:
                raise _TooLong
            yield self._decode(line)

    def keep_first(self) -> None:
        """Give all but the first of ``used`` back: they begin records of their own."""
        self._waiting.extendleft(reversed(self.used[1:]))
        del self.used[1:]
        self.are_utf8 = True
        for line in self.used:
            self._decode(line)

    def _decode(self, line: Line) -> str:
        try:
            return line.raw.decode("utf-8")
        except UnicodeDecodeError:
            self.are_utf8 = False
            # Where the record ends must be known all the same.
            return line.raw.decode("utf-8", "surrogateescape")

    def _next(self) -> Line | None:
        if self._waiting:
            return self._waiting.popleft()
        try:
            return next(self._lines, None)
        except Damaged as damage:
            self.damage = damage
            return None


def _read_names(source: Source) -> tuple[tuple[str, ...], Line]:
    """The names in the first record, and an empty line where the second begins."""
    [path] = source.paths
    used: list[Line] = []

    def feed() -> Iterator[str]:
        for line in read_lines(path):
            used.append(line)
            if line.start + line.size_bytes > _MAX_RECORD_BYTES:
                raise csv.Error("too long")
            yield line.raw.decode("utf-8-sig" if line.start == 0 else "utf-8")

    try:
        reader = csv.reader(feed(), strict=True, delimiter=_delimiter(source))
        names = next((fields for fields in reader if fields), None)
    except (csv.Error, UnicodeDecodeError, Damaged) as error:
        raise UndecodableInput(
            f"{source.name}: its first line cannot be read ({type(error).__name__}); it must name "
            "the columns, in UTF-8"
        ) from None
    if names is None:
        raise EmptyInput(f"{source.name} holds no rows; its first line must name the columns")
    if len(set(names)) < len(names):
        raise InputError(
            f"{source.name}: its first line names a column twice; give each a name of its own"
        )
    last = used[-1]
    after = Line(number=last.number + 1, start=last.start + last.size_bytes, raw=b"", size_bytes=0)
    return tuple(names), after


def _read_texts(source: Source, start: int) -> Iterator[RawRow]:
    for index in range(start, len(source.paths)):
        path, data = source.paths[index], b""
        values: Article | TocsinError
        try:
            data = read_whole(path)
            text = decode(data, "the file")
            format = guess_format(strip_compression(path), text)
            values = Article(id=source.ids[index], text=text, format=format)
        except TocsinError as error:
            values = error
        yield RawRow(
            file=path, number=1, start=index, raw=data, values=values, id=source.ids[index]
        )


def _remainder(file: str, damage: Damaged) -> RawRow:
    return RawRow(
        file=file,
        number=damage.number,
        start=damage.start,
        raw=damage.raw,
        values=UndecodableInput(
            f"{damage.reason}: nothing from this row on can be read; copy the file again"
        ),
    )


def _too_long(line: Line) -> TocsinError | None:
    if line.size_bytes == len(line.raw):
        return None
    return InputError(
        f"the row has {line.size_bytes:,} bytes, at most {MAX_ROW_BYTES:,} are read or kept here; "
        "split it into several rows"
    )


def _delimiter(source: Source) -> str:
    return "\t" if source.kind == "tsv" else ","


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("s" if number != 1 else "")
