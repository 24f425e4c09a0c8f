"""Rows of a JSON Lines archive: one line in, one ``Row`` or one ``Reject`` out; none vanishes.

A row is an object with ``text`` and, if it has one, ``id``. Its other columns are carried along.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeAlias

from tocsin_models.errors import (
    EmptyInput,
    InputError,
    TocsinError,
    UndecodableInput,
    UnreadableFile,
)

STANDARD_INPUT = "-"

# Formats that are easily handed in by mistake, by their first bytes.
_NOT_JSON_LINES = {
    b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a Parquet file",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that can be scored. ``number`` is its line, from 1; ``raw`` the line as it came,
    without its line end; ``columns`` all but ``id`` and ``text``."""

    number: int
    id: str
    text: str
    columns: dict[str, Any]
    raw: bytes

    def reject(self, error: TocsinError) -> "Reject":
        return Reject(number=self.number, id=self.id, error=error, raw=self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that cannot be scored, and why. ``id`` is None where the row could not be read."""

    number: int
    id: str | None
    error: TocsinError
    raw: bytes

    def to_record(self, file: str) -> dict[str, Any]:
        return {
            "file": file,
            "row": self.number,
            "id": self.id,
            "reason": f"{type(self.error).__name__}: {self.error}",
            # Bytes that are not UTF-8 are written as \xff: a reader of JSON refuses surrogates.
            "raw": self.raw.decode("utf-8", errors="backslashreplace"),
        }


AnyRow: TypeAlias = Row | Reject


@contextmanager
def open_rows(path: str) -> Iterator[tuple[BufferedReader, int | None]]:
    """The bytes of a file, or of standard input for ``-``, and how many there are where known.

    Raises:
        UnreadableFile: the path is missing, is a directory, or may not be read.
        UndecodableInput: the file is compressed, columnar or UTF-16.
    """
    if path == STANDARD_INPUT:
        stream = sys.stdin.buffer
        assert isinstance(stream, BufferedReader)
        _check_format(stream, "standard input")
        yield stream, None
        return
    with _open(path) as handle:
        _check_format(handle, path)
        # 0 for a named pipe, as in tocsin score <(zcat archive.jsonl.gz).
        yield handle, Path(path).stat().st_size or None


def read_rows(lines: Iterable[bytes]) -> Iterator[AnyRow]:
    """Rows and rejects in the order of the lines. Blank lines are skipped, but counted."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield read_row(line.rstrip(b"\r\n"), number)


def read_row(raw: bytes, number: int) -> AnyRow:
    """One line as a row. A row without an id, or with null, is called by its line number; the
    same id may come twice."""
    id: str | None = None
    try:
        values = _parse(raw)
        id = _read_id(values, number)
        text = _read_text(values)
    except TocsinError as error:
        return Reject(number=number, id=id, error=error, raw=raw)
    columns = {name: value for name, value in values.items() if name not in ("id", "text")}
    return Row(number=number, id=id, text=text, columns=columns, raw=raw)


def split_chunks(rows: Iterable[AnyRow], max_rows: int, max_bytes: int) -> Iterator[list[AnyRow]]:
    """Rows in groups of at most ``max_rows``; a group ends once it holds ``max_bytes``."""
    chunk: list[AnyRow] = []
    size_bytes = 0
    for row in rows:
        chunk.append(row)
        size_bytes += len(row.raw)
        if len(chunk) >= max_rows or size_bytes >= max_bytes:
            yield chunk
            chunk, size_bytes = [], 0
    if chunk:
        yield chunk


def _open(path: str) -> BufferedReader:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise UnreadableFile(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise UnreadableFile(f"{path} is a directory; name one JSON Lines file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UnreadableFile(f"{path} cannot be read: {reason}; check the path") from None


def _check_format(stream: BufferedReader, name: str) -> None:
    head = stream.peek(4)
    for magic, what in _NOT_JSON_LINES.items():
        if head.startswith(magic):
            raise UndecodableInput(
                f"{name} is {what}; hand in JSON Lines in UTF-8, one object a line"
            )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UndecodableInput(
            f"not UTF-8 at byte {error.start} of the row; convert the file to UTF-8"
        ) from None
    try:
        values = json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_float)
    except json.JSONDecodeError as error:
        # error.msg names what is wrong and never quotes the document.
        raise InputError(
            f"not JSON: {error.msg} at character {error.pos}; write one object a line"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(
            "not JSON: a number out of range or NaN, or nested too deeply; write plain JSON values"
        ) from None
    if not isinstance(values, dict):
        raise InputError(
            f"the row is {_name_type(values)}, not an object; write id and text as its fields"
        )
    return values


def _read_id(values: dict[str, Any], number: int) -> str:
    id = values.get("id")
    if id is None:
        return str(number)
    if isinstance(id, bool) or not isinstance(id, str | int):
        raise InputError(f"id is {_name_type(id)}; write a string or a whole number")
    return str(id)


def _read_text(values: dict[str, Any]) -> str:
    if "text" not in values:
        raise InputError("the row has no text; name the column that holds the article text")
    text = values["text"]
    if not isinstance(text, str):
        raise InputError(f"text is {_name_type(text)}; write a string")
    if not text.strip():
        raise EmptyInput("text holds nothing but white space; leave the row out or fill it")
    if not _is_unicode(text):
        raise UndecodableInput(
            "text holds half of a surrogate pair, which is no character; mend the escape (\\ud800)"
        )
    return text


def _is_unicode(text: str) -> bool:
    # ASCII is decided from a flag in the string; encoding is only paid where it can fail.
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _parse_float(digits: str) -> float:
    # 1e999 reads as infinity, which could not be written as JSON again.
    value = float(digits)
    if math.isinf(value):
        raise ValueError("out of range")
    return value


def _name_type(value: object) -> str:
    names: dict[type, str] = {bool: "true or false", int: "a number", float: "a number"}
    names |= {str: "a string", list: "a list", dict: "an object", type(None): "null"}
    return names[type(value)]
