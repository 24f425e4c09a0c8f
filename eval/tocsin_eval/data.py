"""Readers of labelled passages and of articles with reference summaries.

JSON Lines, UTF-8, one object a line; a name ending in ``.zst`` is read through ``zstandard`` as a
stream. What is wrong with a file is told by its name, the line and the field, never by the text in
it: messages end up in logs, and copy is confidential (design, rule 4).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tocsin_models.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPassage:
    """One passage with its labels, sorted. ``article`` groups passages of the same article."""

    id: str
    article: str
    text: str
    labels: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSummary:
    """One article and the summary an editor wrote: one item of ``highlights`` a sentence."""

    id: str
    paragraphs: tuple[str, ...]
    highlights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """One JSON object and where it stands, so that every complaint can say so."""

    path: Path
    line: int
    fields: Mapping[str, Any]
    place: str = ""

    def error(self, problem: str) -> DataError:
        return DataError(f"{self.path}, line {self.line}: {self.place}{problem}")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            raise self.error(f"{name!r} is {_kind(value)}; it must be a string")
        if not value.strip() and value != default:
            raise self.error(f"{name!r} is empty")
        if not _is_unicode(value):
            raise self.error(f"{name!r} holds half of a surrogate pair, which is not a character")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise self.error(f"{name!r} is {_kind(value)}; it must be a list of strings")
        for position, item in enumerate(value):
            if not isinstance(item, str) or not item.strip() or not _is_unicode(item):
                found = _kind(item) if not isinstance(item, str) else "empty or not Unicode"
                raise self.error(f"item {position} of {name!r} is {found}; it must be a string")
        return tuple(value)

    def rows(self, name: str) -> Iterator["_Row"]:
        value = self.fields[name]
        if not isinstance(value, list):
            raise self.error(f"{name!r} is {_kind(value)}; it must be a list of objects")
        for position, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.error(f"item {position} of {name!r} is {_kind(item)}, not an object")
            yield _Row(self.path, self.line, item, f"item {position} of {name!r}: ")


def read_passages(paths: Sequence[Path]) -> list[LabelledPassage]:
    """Labelled passages of some files, in the order of the files and of their lines.

    A line is either a passage, ``{"id", "text", "labels": […]}`` with ``article`` and ``source``
    where they are known, or an article, ``{"id", "passages": [{"text", "labels": […]}, …]}``, whose
    passages get the ids ``id:0``, ``id:1``, … What is marked ``"boilerplate": true`` is left out:
    cleaning drops it before a classifier sees it. A passage without ``article`` is its own group.

    Raises:
        DataError: a file cannot be read, a line is not in this form, two passages have the same
            id, or no passage is left.
    """
    passages: list[LabelledPassage] = []
    seen: dict[str, str] = {}
    for row in (row for path in paths for row in _rows(path)):
        for passage in _article(row) if "passages" in row.fields else _single(row):
            if passage.id in seen:
                raise row.error(f"id {passage.id[:80]!r} was already used in {seen[passage.id]}")
            seen[passage.id] = f"{row.path}, line {row.line}"
            passages.append(passage)
    if not passages:
        names = ", ".join(map(str, paths)) or "no file"
        raise DataError(f"{names}: no labelled passage to read; at least one is needed")
    return passages


def read_summaries(path: Path, limit: int | None = None) -> list[ReferenceSummary]:
    """The first ``limit`` articles of a file (all without one), with their reference summaries.

    A line is ``{"id", "highlights": […]}`` with either ``article``, a string that becomes one
    paragraph, or ``paragraphs``, a list of strings.

    Raises:
        DataError: as for ``read_passages``.
    """
    summaries: list[ReferenceSummary] = []
    seen: set[str] = set()
    for row in _rows(path):
        if limit is not None and len(summaries) >= limit:
            break
        identifier = row.text("id")
        if identifier in seen:
            raise row.error(f"id {identifier[:80]!r} was already used in this file")
        seen.add(identifier)
        whole = "paragraphs" not in row.fields
        paragraphs = (row.text("article"),) if whole else row.texts("paragraphs")
        highlights = row.texts("highlights")
        if not paragraphs or not highlights:
            raise row.error(f"{'highlights' if paragraphs else 'paragraphs'!r} has no item")
        summaries.append(
            ReferenceSummary(id=identifier, paragraphs=paragraphs, highlights=highlights)
        )
    if not summaries:
        raise DataError(f"{path}: no article to read; at least one is needed")
    return summaries


def data_sha256(paths: Sequence[Path]) -> str:
    """SHA-256 over the bytes of some files, one after the other; names do not count."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise _unreadable(path, error) from None
    return digest.hexdigest()


def _single(row: _Row) -> Iterator[LabelledPassage]:
    identifier = row.text("id")
    return _passage(row, identifier, row.text("article", default=identifier), row)


def _article(row: _Row) -> Iterator[LabelledPassage]:
    article = row.text("id")
    for index, passage in enumerate(row.rows("passages")):
        yield from _passage(passage, f"{article}:{index}", article, row)


def _passage(row: _Row, identifier: str, article: str, outer: _Row) -> Iterator[LabelledPassage]:
    """The passage of a row, or nothing where it is boilerplate."""
    is_boilerplate = row.fields.get("boilerplate", False)
    if not isinstance(is_boilerplate, bool):
        raise row.error(f"'boilerplate' is {_kind(is_boilerplate)}; it must be true or false")
    labels = row.texts("labels")
    if len(set(labels)) < len(labels):
        raise row.error("'labels' names a label twice")
    text = row.text("text")
    if not is_boilerplate:
        yield LabelledPassage(
            id=identifier,
            article=article,
            text=text,
            labels=tuple(sorted(labels)),
            source=outer.text("source", default=""),
        )


def _rows(path: Path) -> Iterator[_Row]:
    """The objects of a file, blank lines left out. Lines end at LF alone, as JSON Lines has it."""
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(_lines(path, stream), start=1):
                if line.strip():
                    yield _Row(path, number, _parse(path, number, line))
    except OSError as error:
        raise _unreadable(path, error) from None


def _lines(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    if path.suffix != ".zst":
        yield from stream
        return
    pending = b""
    for block in _decompressed(path, stream):
        *lines, pending = (pending + block).split(b"\n")
        yield from lines
    yield pending


def _decompressed(path: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """Blocks of a zstandard file. Several frames one after another are one file, as ``cat`` joins
    them. The end of each frame is checked: ``zstandard.open`` takes a file cut short for whole."""
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


def _parse(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at byte {error.start} of the line"
    except json.JSONDecodeError as error:
        # error.msg says what was expected; error.doc is the text, and is left out.
        problem = f"is not JSON: {error.msg} at character {error.pos}"
    except (ValueError, RecursionError) as error:
        problem = f"is not JSON that can be read ({type(error).__name__})"
    else:
        if isinstance(fields, dict):
            return fields
        problem = f"is {_kind(fields)}; each line must be an object"
    raise DataError(f"{path}, line {number}: {problem}")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _kind(value: object) -> str:
    if value is None:
        return "missing or null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror}); name a JSON Lines file")
