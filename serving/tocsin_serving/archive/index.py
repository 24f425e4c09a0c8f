"""The first pass over an input: what it holds, cut into blocks, before anything is scored.

It costs a small part of the scoring, and everything that must not depend on where a run was killed
is decided here: blocks, which ids come twice, names and types of the columns carried along.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tocsin_models.errors import ConfigError, EmptyInput, InputError
from tocsin_serving.archive.asked import RECORD_NAMES, Asked
from tocsin_serving.archive.blocks import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    InputChanged,
    RowDigest,
    Span,
)
from tocsin_serving.archive.columns import Column, ColumnTypes
from tocsin_serving.archive.duplicates import IdLedger
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.readers import read_header, read_rows
from tocsin_serving.archive.rows import RawRow, Row, row_reader
from tocsin_serving.archive.streams import hash_file, is_address

_SENTENCE = re.compile(r"[.,;:!?…](\s|$)|[\"“”„]")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file of the input as it was read. ``size_bytes`` is None where nobody knows it."""

    name: str
    kind: str
    size_bytes: int | None
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """``spans`` cover the input in its order, each row once."""

    files: tuple[InputFile, ...]
    spans: tuple[Span, ...]
    columns: tuple[Column, ...]

    @property
    def rows(self) -> int:
        return sum(span.rows for span in self.spans)

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Index":
        spans = (
            Span(**{**span, "duplicates": {int(k): v for k, v in span["duplicates"].items()}})
            for span in record["spans"]
        )
        return cls(
            files=tuple(InputFile(**file) for file in record["files"]),
            spans=tuple(spans),
            columns=tuple(Column(**column) for column in record["columns"]),
        )


def make_index(
    sources: Sequence[Source],
    asked: Asked,
    labels: Sequence[str],
    scratch: Path,
    advance: Callable[[int], None] = lambda rows: None,
) -> Index:
    """Read every row once. ``labels`` are the model's, whose columns take names; ``scratch`` is a
    folder for a while; ``advance`` is told of rows read.

    Raises:
        EmptyInput: there is no row.
        InputError: no row, or a table's header, has a column that was asked for.
        ConfigError: rows are to be chosen by a column, and text files have none.
    """
    if asked.where and any(source.kind == "texts" for source in sources):
        raise ConfigError("tocsin score", ["--where: a text file has no columns; leave it out"])
    for source in sources:
        _check_header(source, asked)
    stamps = _stamps(sources)
    files = hash_files(sources)
    reader = row_reader(asked, len(sources))
    ledger, types = IdLedger(scratch), ColumnTypes()
    spans: list[Span] = []
    order = readable = objects = 0
    seen: set[str] = set()
    for span, rows in _cut(sources, asked.limit):
        for raw in rows:
            row = reader.read(raw)
            if isinstance(raw.values, dict):
                objects += 1
                seen.update(raw.values) if len(seen) < 50 else None
            if isinstance(row, Row):
                readable += 1
                types.add(row.columns)
                ledger.add(row.article.id, order, row.number)
            order += 1
        spans.append(span)
        advance(span.rows)
    if not spans:
        raise EmptyInput(f"{_names(sources)} holds no rows; write at least one")
    wanted = [asked.text_column, *(condition.column for condition in asked.conditions)]
    if asked.id_column:
        wanted.append(asked.id_column)
    if objects and len(seen) < 50:
        for name in wanted:
            _check_column(name, seen, asked, _names(sources))
    if _stamps(sources) != stamps:
        raise InputChanged(f"{_names(sources)} changed while it was read; wait, and start again")
    return Index(
        files=files,
        spans=_mark_duplicates(spans, ledger, sources),
        columns=types.columns([*RECORD_NAMES[asked.kind], *(f"score_{name}" for name in labels)]),
    )


def hash_files(sources: Sequence[Source]) -> tuple[InputFile, ...]:
    """Every file with its size and SHA-256."""
    found = []
    for source in sources:
        for path in source.paths:
            name = source.name if len(source.paths) == 1 and source.kind != "texts" else path
            if source.kind == "dataset":
                from tocsin_serving.archive.hub_rows import fingerprint

                size_bytes, sha256 = None, fingerprint(source)
            else:
                size_bytes = None if is_address(path) else Path(path).stat().st_size
                sha256 = hash_file(path)
            found.append(
                InputFile(name=name, kind=source.kind, size_bytes=size_bytes, sha256=sha256)
            )
    return tuple(found)


def input_differences(before: Sequence[InputFile], now: Sequence[InputFile]) -> list[str]:
    """How the files of an input differ from what they were, a file a line, in words."""
    old, new = ({file.name: file for file in files} for files in (before, now))
    problems = [f"{name}: was read then, is not named now" for name in old if name not in new]
    problems += [f"{name}: was not read then" for name in new if name not in old]
    for name in old.keys() & new.keys():
        if old[name].sha256 != new[name].sha256:
            problems.append(
                f"{name}: has changed (SHA-256 {old[name].sha256[:12]} then, "
                f"{new[name].sha256[:12]} now)"
            )
    if not problems and [file.name for file in before] != [file.name for file in now]:
        problems.append("the same files in another order")
    return sorted(problems)


def _cut(sources: Sequence[Source], limit: int | None) -> Iterator[tuple[Span, list[RawRow]]]:
    """The sources in blocks. A block ends once it is full, and with its source."""
    number, left = 0, limit
    for index, source in enumerate(sources):
        rows: list[RawRow] = []
        size_bytes = 0
        for raw in islice(read_rows(source), left):
            rows.append(raw)
            size_bytes += len(raw.raw)
            if len(rows) == BLOCK_ROWS or size_bytes >= BLOCK_BYTES:
                yield _span(number, index, rows, size_bytes), rows
                left = None if left is None else left - len(rows)
                number, rows, size_bytes = number + 1, [], 0
        if rows:
            yield _span(number, index, rows, size_bytes), rows
            left = None if left is None else left - len(rows)
            number += 1


def _span(number: int, source: int, rows: Sequence[RawRow], size_bytes: int) -> Span:
    digest = RowDigest()
    for raw in rows:
        digest.add(raw)
    return Span(
        number=number,
        source=source,
        first=rows[0].number,
        start=rows[0].start,
        rows=len(rows),
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
    )


def _mark_duplicates(
    spans: Sequence[Span], ledger: IdLedger, sources: Sequence[Source]
) -> tuple[Span, ...]:
    from bisect import bisect_right

    begins, order = [], 0
    for span in spans:
        begins.append(order)
        order += span.rows
    marks: dict[int, dict[int, str]] = {}
    for duplicate in ledger.duplicates():
        number = bisect_right(begins, duplicate.order) - 1
        first = sources[spans[bisect_right(begins, duplicate.first) - 1].source]
        where = first.name if first.kind == "texts" else f"row {duplicate.first_number}"
        if first.kind != "texts" and len(sources) > 1:
            where += f" of {first.name}"
        marks.setdefault(number, {})[duplicate.order - begins[number]] = where
    return tuple(
        replace(span, duplicates=marks[span.number]) if span.number in marks else span
        for span in spans
    )


def _check_header(source: Source, asked: Asked) -> None:
    header = read_header(source)
    if header is None:
        return
    for name in (asked.text_column, asked.id_column):
        if name is not None:
            _check_column(name, set(header), asked, source.name)
    if source.kind == "parquet":
        from tocsin_serving.archive.parquet import check_text_column

        check_text_column(source, asked.text_column)


def _check_column(name: str, columns: set[str], asked: Asked, where: str) -> None:
    if name in columns:
        return
    if not all(map(_is_name, columns)):
        # A table without a header begins with a row, which is copy and not for a terminal.
        raise InputError(
            f"{where} has no column {name}, but {len(columns)} columns that do not look like "
            "names; does the first line name the columns?"
        )
    shown = ", ".join(sorted(columns)[:20]) + (", …" if len(columns) > 20 else "")
    option = {asked.text_column: "--text-column", asked.id_column: "--id-column"}.get(name)
    raise InputError(
        f"{where} has no column {name}; its columns are {shown}; "
        f"name one of them with {option or '--where'}"
    )


def _is_name(column: str) -> bool:
    """Whether a column is called like one: four words at most, and no sentence."""
    return len(column) <= 40 and len(column.split()) <= 4 and not _SENTENCE.search(column.strip())


def _names(sources: Sequence[Source]) -> str:
    first = sources[0].name
    return first if len(sources) == 1 else f"{first} and {len(sources) - 1} more"


def _stamps(sources: Sequence[Source]) -> list[tuple[int, int]]:
    """Size and time of change of the files on this machine: whether they stayed as they are."""
    paths = [path for source in sources if source.kind != "dataset" for path in source.paths]
    found = [Path(path).stat() for path in paths if not is_address(path)]
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]
