"""The rows of one file, by its format: JSON Lines, CSV and TSV, Parquet."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tocsin_eval.cells import Problems, Record, kind_of
from tocsin_eval.streams import read_bytes, read_lines
from tocsin_models.errors import DataError


def read_json_lines(path: Path, problems: Problems) -> Iterator[Record]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                values = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                problems.add(f"{place}: is not UTF-8 at byte {error.start} of the line")
            except json.JSONDecodeError as error:
                # error.msg says what was expected; error.doc is the text, and is left out.
                problems.add(f"{place}: is not JSON: {error.msg} at character {error.pos}")
            except (ValueError, RecursionError) as error:
                problems.add(f"{place}: is not JSON that can be read ({type(error).__name__})")
            else:
                if isinstance(values, dict):
                    yield Record(
                        table=str(path),
                        place=place,
                        number=number,
                        values=values,
                        problems=problems,
                    )
                else:
                    problems.add(f"{place}: is {kind_of(values)}; each line must be an object")


def read_csv(path: Path, delimiter: str | None, problems: Problems) -> Iterator[Record]:
    """Rows below a line of column names. Without a delimiter it is the comma, or where the names
    hold none the semicolon or tab that they do (as spreadsheets write CSV in half of Europe)."""
    csv.field_size_limit(2**31 - 1)
    lines, before = _decoded(path, problems), problems.count
    first = next(lines, "")
    if problems.count > before:
        return  # without its names no row means anything
    if delimiter is None:
        delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(_chain(first, lines), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        names = [name or f"column {number}" for number, name in enumerate(names, start=1)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{path}, line 1: names the column {twice[0]!r} twice")
        number, line = 0, reader.line_num
        for cells in reader:
            place, line = f"{path}, line {line + 1}", reader.line_num
            if not cells:
                continue
            number += 1
            if len(cells) != len(names):
                problems.add(f"{place}: has {len(cells)} cells, line 1 names {len(names)} columns")
                continue
            yield Record(
                table=str(path),
                place=place,
                number=number,
                values=dict(zip(names, cells, strict=True)),
                problems=problems,
                is_uniform=True,
            )
    except csv.Error as error:
        # Its messages name marks and never cells; what follows cannot be told apart any more.
        raise DataError(f"{path}, line {reader.line_num}: is not CSV: {error}") from None


def _decoded(path: Path, problems: Problems) -> Iterator[str]:
    for number, line in enumerate(read_lines(path), start=1):
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            yield line.decode(encoding) + "\n"
        except UnicodeDecodeError as error:
            problems.add(f"{path}, line {number}: is not UTF-8 at byte {error.start} of the line")
            yield line.decode(encoding, errors="replace") + "\n"


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def records(
    table: str, rows: Iterator[tuple[int, Mapping[str, Any] | str]], problems: Problems
) -> Iterator[Record]:
    for number, values in rows:
        place = f"{table}, row {number}"
        if isinstance(values, str):
            problems.add(f"{place}: {values}")
        else:
            yield Record(
                table=table,
                place=place,
                number=number,
                values=values,
                problems=problems,
                is_uniform=True,
            )


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Row numbers from 1 with the row, or with what is wrong with it."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(read_bytes(path)))
        names = _names_of_schema(file.schema_arrow.metadata or {})
        for batch in file.iter_batches(batch_size=1024):
            for row in _rows_of_batch(batch):
                number += 1
                yield number, row if isinstance(row, str) else name_classes(row, names)
    except (pyarrow.ArrowException, OSError):
        raise DataError(f"{path}: is damaged, or is not a Parquet file") from None


def _rows_of_batch(batch: Any) -> Iterator[dict[str, Any] | str]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            broken = [name for name in batch.schema.names if not _is_readable(batch[name][index])]
            if broken:
                yield f"{broken[0]!r} is not UTF-8"
            else:
                yield from batch.slice(index, 1).to_pylist()


def _is_readable(cell: Any) -> bool:
    try:
        cell.as_py()
    except UnicodeDecodeError:
        return False
    return True


def _names_of_schema(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Parquet that ``datasets`` wrote holds classes as numbers, and their names beside them."""
    try:
        return class_names(json.loads(metadata[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def class_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the classes of each column that holds classes, from features as ``datasets`` writes
    them."""
    found: dict[str, list[str]] = {}
    for column, feature in features.items():
        while isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            found[column] = feature["names"]
    return found


def name_classes(row: dict[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """Classes by name instead of number; -1, which stands for a hidden one, becomes None."""

    def name(value: Any, known: list[str]) -> Any:
        if isinstance(value, list):
            return [name(item, known) for item in value]
        return known[value] if isinstance(value, int) and 0 <= value < len(known) else None

    return row | {column: name(row[column], known) for column, known in names.items()}
