"""Parquet, in and out. The only file of the batch scorer that imports ``pyarrow``."""

import base64
import datetime
import decimal
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tocsin_models.errors import InputError, TocsinError, UndecodableInput
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.columns import Column, to_cell
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.rows import RawRow, to_raw
from tocsin_serving.archive.streams import open_bytes

_BATCH_ROWS = 256
# Rows of JSON that are turned into a row group at once; what lies in memory is ten times this.
_GROUP_BYTES = 8_000_000
# What pyarrow raises for a cell that Python has no value for: text that is not UTF-8, the year
# 10000, nanoseconds where pandas is not installed, a time zone that nobody knows.
_NO_VALUE = (ValueError, OverflowError, LookupError)

_ARROW = {
    "string": pa.string(),
    "json": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}


def read_parquet(source: Source, start: int) -> Iterator[RawRow]:
    """The rows from row ``start`` (from 0) on, a batch of a row group in memory at a time."""
    number = 0
    try:
        with _open(source) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if number + rows <= start:
                    number += rows
                    continue
                batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False)
                for batch in batches:
                    if number + batch.num_rows <= start:
                        number += batch.num_rows
                        continue
                    for row in _read_batch(source, number, batch):
                        number += 1
                        if number > start:
                            yield row
    except (pa.ArrowException, OSError) as error:
        yield RawRow(
            file=source.name,
            number=number + 1,
            start=number,
            raw=b"",
            values=UndecodableInput(
                f"the Parquet data are damaged ({type(error).__name__}): nothing from this row on "
                "can be read; copy the file again"
            ),
        )


def read_names(source: Source) -> tuple[str, ...]:
    with _open(source) as file:
        return tuple(file.schema_arrow.names)


def check_text_column(source: Source, name: str) -> None:
    """
    Raises:
        InputError: the column does not hold text.
    """
    with _open(source) as file:
        found = file.schema_arrow.field(name).type
    value = found.value_type if pa.types.is_dictionary(found) else found
    if not (
        pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_null(value)
    ):
        raise InputError(
            f"{source.name}: column {name} holds {found}, not text; name another with --text-column"
        )


def to_plain(value: Any) -> Any:
    """A value of Arrow as JSON can have it: times in ISO 8601, NaN as null."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [to_plain(item) for item in value]
        case tuple():
            return [to_plain(item) for item in value]
        case dict():
            return {str(name): to_plain(item) for name, item in value.items()}
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def parquet_schema(asked: Asked, labels: Sequence[str], columns: Sequence[Column]) -> pa.Schema:
    """The same for every file of a run, whatever rows it holds."""
    scores = [pa.field(f"score_{label}", pa.float64()) for label in labels]
    carried = [pa.field(_name(column.written_as), _ARROW[column.type]) for column in columns]
    text = pa.string()
    summary = pa.struct(
        {
            **{"text": text, "method": text, "style": text, "windows": pa.int64()},
            "sentences": pa.list_(
                pa.struct(
                    {
                        **{"text": text, "start": pa.int64(), "end": pa.int64()},
                        **{"passage": pa.int64(), "score": pa.float64()},
                        **{"replaced": pa.bool_(), "reason": text},
                    }
                )
            ),
            **({"focus": pa.list_(text)} if asked.focus else {}),
            **{"reason": text, "checked": pa.int64(), "replaced": pa.int64()},
        }
    )
    piece = {"text": text, "start": pa.int64(), "end": pa.int64()}
    passage = pa.struct(
        {
            **{"index": pa.int64(), "kind": text, **piece, "labels": pa.list_(text)},
            "scores": pa.struct({label: pa.float64() for label in labels}),
            "windows": pa.int64(),
        }
    )
    summaries = [pa.field("summary_text", text), pa.field("summary", summary)]
    if asked.kind == "passage":
        own = [pa.field("id", text), pa.field("labels", text), *scores]
        own.append(pa.field("windows", pa.int64()))
    elif asked.kind == "summarise":
        own = [pa.field("id", text), pa.field("text", text), *summaries]
    else:
        own = [pa.field("id", text), pa.field("language", text)]
        own += [pa.field("warnings", pa.list_(text)), pa.field("text", text)]
        own += [pa.field("labels", text), *scores, pa.field("reason", text)]
        own.append(pa.field("passages", pa.list_(passage)))
        own.append(pa.field("dropped", pa.list_(pa.struct({**piece, "reason": text}))))
        own += summaries if asked.needs_summariser else []
    return pa.schema([*own, *carried])


def flatten(
    record: Mapping[str, Any], asked: Asked, labels: Sequence[str], columns: Sequence[Column]
) -> dict[str, Any]:
    """A line of the results as a row of ``parquet_schema``: as it stands, and what a spreadsheet
    wants beside it. The score of an article is the highest of its passages."""
    own = dict(record)
    # First, since a column may have a name that only other records take: model, summary, passages.
    carried = [own.pop(column.written_as, None) for column in columns]
    row = {name: value for name, value in own.items() if name != "model"}
    row["id"] = to_cell(record["id"], "string")
    if asked.kind == "passage":
        row["labels"] = ", ".join(record["labels"])
        row |= {f"score_{label}": record["scores"].get(label) for label in labels}
        row.setdefault("windows", 1)
    elif asked.kind == "article":
        row["labels"] = ", ".join(label for label in labels if label in record["labels"])
        for label in labels:
            scores = [passage["scores"].get(label) for passage in record["passages"]]
            row[f"score_{label}"] = max((x for x in scores if x is not None), default=None)
    if "summary" in own:
        row["summary_text"] = own["summary"]["text"]
    for column, value in zip(columns, carried, strict=True):
        row[_name(column.written_as)] = to_cell(value, column.type)
    return row


def write_parquet(
    path: Path,
    lines: Iterator[str],
    asked: Asked,
    labels: Sequence[str],
    columns: Sequence[Column],
    metadata: Mapping[str, str],
) -> int:
    """Lines of the results as one file; how many there were."""
    schema = parquet_schema(asked, labels, columns).with_metadata(dict(metadata))
    count = 0
    # Through Python's own file, whose errors say what the operating system said.
    with path.open("wb") as handle, pq.ParquetWriter(handle, schema, compression="zstd") as writer:
        for group in _groups(lines):
            rows = [flatten(json.loads(line), asked, labels, columns) for line in group]
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def count_rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def read_ids(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["id"]):
            yield from batch.column(0).to_pylist()


def read_columns(path: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file of results, those of ``names`` that it has, some rows in memory a time."""
    with pq.ParquetFile(path) as file:
        known = [name for name in names if name in file.schema_arrow.names]
        for batch in file.iter_batches(_BATCH_ROWS, columns=known):
            yield from batch.to_pylist()


def _groups(lines: Iterator[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size_bytes = 0
    for line in lines:
        group.append(line)
        size_bytes += len(line)
        if size_bytes >= _GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


@contextmanager
def _open(source: Source) -> Iterator[pq.ParquetFile]:
    [path] = source.paths
    with open_bytes(path) as stream:
        try:
            # Without these two a row group is read into memory whole.
            file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        except (pa.ArrowException, OSError) as error:
            raise UndecodableInput(
                f"{source.name}: its Parquet footer cannot be read ({type(error).__name__}); the "
                "file may have been cut short: copy it again"
            ) from None
        yield file


def _raw_row(source: Source, number: int, values: dict[str, Any]) -> RawRow:
    plain = {name: to_plain(value) for name, value in values.items()}
    return RawRow(
        file=source.name, number=number, start=number - 1, raw=to_raw(plain), values=plain
    )


def _read_batch(source: Source, number: int, batch: pa.RecordBatch) -> Iterator[RawRow]:
    """The rows of a batch, the first of which is the one behind ``number``."""
    try:
        rows = batch.to_pylist()
    except _NO_VALUE:
        # One odd cell, in whatever column, costs its row and not the run.
        for index in range(batch.num_rows):
            yield _read_cells(source, number + index + 1, batch, index)
        return
    for index, values in enumerate(rows):
        yield _raw_row(source, number + index + 1, values)


def _read_cells(source: Source, number: int, batch: pa.RecordBatch, index: int) -> RawRow:
    values: dict[str, Any] = {}
    pieces: list[bytes] = []
    error: TocsinError | None = None
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        cell = column[index]
        try:
            values[name] = _to_python(cell)
            shown = to_raw(to_plain(values[name]))
        except _NO_VALUE as failure:
            error = error or _no_value(name, failure)
            shown = _show(cell)
        pieces.append(to_raw(name) + b": " + shown)
    row = _raw_row(source, number, values)
    return replace(row, raw=b"{%b}" % b", ".join(pieces), values=error) if error else row


def _to_python(cell: Any) -> Any:
    """A cell as ``to_pylist`` has it. Nanoseconds, for which that needs pandas, as pandas writes
    them."""
    kind = cell.type
    if not (cell.is_valid and pa.types.is_timestamp(kind) and kind.unit == "ns"):
        return cell.as_py()
    microseconds, rest = divmod(cell.value, 1000)
    time = pa.scalar(microseconds, pa.timestamp("us", kind.tz)).as_py()
    if not rest:
        return time
    text = time.isoformat(timespec="microseconds")
    end = len("2024-05-01T10:00:00.000000")
    return f"{text[:end]}{rest:03}{text[end:]}"


def _no_value(column: str, failure: Exception) -> TocsinError:
    match failure:
        case UnicodeDecodeError():
            return UndecodableInput(f"column {column} is not UTF-8; write it anew as UTF-8")
        case OverflowError():
            return InputError(
                f"column {column} holds a date or time that is out of range; write one of the "
                "years 1 to 9999"
            )
    return InputError(
        f"column {column} holds a value that cannot be read ({type(failure).__name__}); write it "
        "as text"
    )


def _show(cell: Any) -> bytes:
    """Such a cell in ``raw``: never JSON, so that its row is not taken for a mended one."""
    value = cell.value if pa.types.is_dictionary(cell.type) else cell
    if not (pa.types.is_string(value.type) or pa.types.is_large_string(value.type)):
        return b"?"
    text = value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _name(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
