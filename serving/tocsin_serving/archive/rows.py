"""A row as it lies in a file -> a row that can be scored, a reject, or one that is not wanted."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tocsin_models.errors import EmptyInput, InputError, TocsinError, UndecodableInput
from tocsin_models.records import Article
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.where import Condition

# The longest article in our corpora has 60,000 characters; a million is a book, or an accident
# in an export, and a classifier would sit on it for seconds while all else waits.
MAX_TEXT_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """A row as a reader found it. ``number`` is its line or row in ``file``, from 1; ``start`` is
    where a reader begins to read it again: a byte, a row, or a file of the source.

    ``values`` are its columns, or why there are none; a text file is an ``Article`` instead.
    ``id`` is what a text file is called, which is known before it is read.
    """

    file: str
    number: int
    start: int
    raw: bytes
    values: dict[str, Any] | Article | TocsinError
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that can be scored. ``columns`` are those that are carried along."""

    file: str
    number: int
    article: Article
    columns: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""

    def reject(self, error: TocsinError) -> "Reject":
        return Reject(
            file=self.file, number=self.number, id=self.article.id, error=error, raw=self.raw
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that cannot be scored, and why. ``id`` is None where the row could not be read;
    ``reason`` is what an earlier run said, where that says more than ``error``."""

    file: str
    number: int
    id: str | None
    error: TocsinError
    raw: bytes
    reason: str | None = None

    def to_record(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "row": self.number,
            "id": self.id,
            "reason": self.reason or f"{type(self.error).__name__}: {self.error}",
            # Bytes that are not UTF-8 are written as \xff: a reader of JSON refuses surrogates.
            "raw": self.raw.decode("utf-8", errors="backslashreplace"),
        }


@dataclass(frozen=True, slots=True)
class Filtered:
    """A row that ``--where`` does not want."""


AnyRow: TypeAlias = Row | Reject | Filtered


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """How rows are to be understood. ``is_one_source`` false gives rows without an id the name of
    their file too, since the same number comes once in each."""

    asked: Asked
    is_one_source: bool
    conditions: tuple[Condition, ...]

    def read(self, raw: RawRow, duplicate_of: str | None = None) -> AnyRow:
        """``duplicate_of`` says where the row's id stands already, if it does."""
        id = raw.id
        try:
            if isinstance(raw.values, TocsinError):
                raise raw.values
            if isinstance(raw.values, Article):
                id, columns, article = raw.values.id, {}, raw.values
                if article.format == "html" and self.asked.unit == "passage":
                    raise InputError("an HTML page is no passage; use --unit article")
            else:
                columns = dict(raw.values)
                if not all(condition.holds(columns) for condition in self.conditions):
                    return Filtered()
                id = self._take_id(columns, raw)
                article = Article(id=id, text=self._take_text(columns))
            _check_text(article.text)
            if duplicate_of:
                raise InputError(
                    f"the id stands already in {duplicate_of}; give each row an id of its own"
                )
        except TocsinError as error:
            return Reject(file=raw.file, number=raw.number, id=id, error=error, raw=raw.raw)
        return Row(file=raw.file, number=raw.number, article=article, columns=columns, raw=raw.raw)

    def _take_id(self, columns: dict[str, Any], raw: RawRow) -> str:
        id = columns.pop(self.asked.id_column or "id", None)
        if id is None:
            return str(raw.number) if self.is_one_source else f"{raw.file}:{raw.number}"
        if isinstance(id, bool) or not isinstance(id, str | int):
            raise InputError(f"id is {name_type(id)}; write a string or a whole number")
        return str(id)

    def _take_text(self, columns: dict[str, Any]) -> str:
        name = self.asked.text_column
        if name not in columns:
            raise InputError(
                f"the row has no {name}; name the column that holds the text with --text-column"
            )
        text = columns.pop(name)
        if not isinstance(text, str):
            raise InputError(f"{name} is {name_type(text)}; write a string")
        return text


def row_reader(asked: Asked, sources: int) -> RowReader:
    return RowReader(asked=asked, is_one_source=sources == 1, conditions=asked.conditions)


def parse_object(raw: bytes) -> dict[str, Any] | TocsinError:
    """A line of JSON as the columns of a row, or why it is none."""
    try:
        return _parse(raw)
    except TocsinError as error:
        return error


def to_raw(values: Any) -> bytes:
    """A row of a format that is not text, or a cell of it, as JSON, as rejects show it."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace")


def name_type(value: object) -> str:
    names: dict[type, str] = {bool: "true or false", int: "a number", float: "a number"}
    names |= {str: "a string", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _check_text(text: str) -> None:
    if not text.strip():
        raise EmptyInput("the text holds nothing but white space; leave the row out or fill it")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InputError(
            f"the text has {len(text):,} characters, at most {MAX_TEXT_CHARACTERS:,} are read; "
            "split it into several rows"
        )
    if not _is_unicode(text):
        raise UndecodableInput(
            "the text holds half of a surrogate pair, which is no character; mend the escape "
            "(\\ud800)"
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
            f"the row is {name_type(values)}, not an object; write id and text as its fields"
        )
    return values


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
