"""Labels of texts that are not ours to ship: kept beside a hash, joined where the text is at hand.

A row of ``training/standoff/*.jsonl`` is ``{"id", "sha256", "article", "source", "labels"}``: the
hash of one passage's text, the article and the collection it is of, and its labels. It never holds
the text. A passage of an article that has no paragraphs also has ``within``, the hash of the whole
text, and ``start`` and ``end``, its code points there, runs of white space folded.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin_eval.cells import Problems, Record, is_whole
from tocsin_eval.tables import Source, read_table
from tocsin_models.errors import DataError
from tocsin_training.lines import check_file, write_lines
from tocsin_training.progress import say
from tocsin_training.texts import fold_spaces, paragraphs_of, read_texts, undo_tokens

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandoffLabels:
    """The labels of one passage, sorted; ``sha256`` is ``text_sha256`` of its text."""

    place: str
    id: str
    sha256: str
    article: str
    source: str
    labels: tuple[str, ...]
    piece: "Piece | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A passage that no line break sets apart: ``[start:end]`` of the text with hash ``within``."""

    within: str
    start: int
    end: int


def text_sha256(text: str) -> str:
    """SHA-256, in hex, of a text's UTF-8 with every run of white space folded to one space."""
    # Half a surrogate pair has no UTF-8. Its bytes are let through, so that the hash is that of no
    # text there can be; read_texts gives none such anyway.
    return hashlib.sha256(fold_spaces(text).encode(errors="surrogatepass")).hexdigest()


def read_standoff(sources: Sequence[Source]) -> list[StandoffLabels]:
    """The rows of some stand-off files, in their order.

    Raises:
        DataError: with every mistake: a row is not in this form, an id comes twice, one hash has
            different labels; or there is no row.
    """
    problems = Problems()
    rows: list[StandoffLabels] = []
    ids: dict[str, str] = {}
    hashes: dict[str, StandoffLabels] = {}
    for source in sources:
        for record in read_table(source, problems):
            row = _row(record)
            rows.append(row)
            if row.id and (place := ids.setdefault(row.id, row.place)) != row.place:
                record.complain(f"'id' was already used in {place}")
            first = hashes.setdefault(row.sha256, row)
            if row.sha256 and first.labels != row.labels:
                record.complain(f"has the hash of {first.place} and other labels; keep one of them")
    problems.raise_if_any()
    if not rows:
        raise DataError(f"{', '.join(map(str, sources))}: no row to read; at least one is needed")
    return rows


def join_labels(standoff: Sequence[Source], texts: Sequence[Source], out: Path) -> int:
    """Write the rows of ``standoff`` whose text is in ``texts`` to ``out``, in their order.

    A line is ``{"id", "article", "source", "text", "labels"}``, as ``tocsin train classifier``
    reads it; a piece of a tokenised text is written as people type (``undo_tokens``). ``texts`` are
    tables (``read_texts``); each of their texts is looked at whole and cut at newlines. How many
    were found and how many not is said on standard error, by source.

    Returns:
        How many were found, at least 1; ``out`` is there in full, or not changed at all.

    Raises:
        DataError: a table cannot be read, ``out`` is one of them or cannot be written, or no text
            was found.
    """
    check_file(out, [*standoff, *texts])
    rows = read_standoff(standoff)
    found = _find_texts(rows, texts)
    _say_counts(rows, found)
    kept = [row for row in rows if row.sha256 in found]
    if not kept:
        raise DataError(
            f"none of the {len(rows):,} passages was found in {', '.join(map(str, texts))}; a "
            "passage is found where it is a text, a paragraph or a line, whole and unchanged"
        )
    write_lines(out, (_line(row, found[row.sha256]) for row in kept))
    return len(kept)


def _row(record: Record) -> StandoffLabels:
    if "text" in record.values:
        record.complain("has a 'text'; stand-off files are made to do without")
    return StandoffLabels(
        place=record.place,
        id=record.text("id"),
        sha256=_hash(record, "sha256"),
        article=record.text("article"),
        source=record.text("source"),
        labels=record.labels(),
        piece=_piece(record) if "within" in record.values else None,
    )


def _hash(record: Record, name: str) -> str:
    value = record.text(name)
    if value and not _SHA256.fullmatch(value):
        record.complain(f"{name!r} is not 64 digits of lower-case hex")
    return value


def _piece(record: Record) -> Piece:
    start: Any = record.values.get("start")
    end: Any = record.values.get("end")
    if not (is_whole(start) and is_whole(end) and 0 <= start < end):
        record.complain("'start' and 'end' are not two whole numbers with 0 <= start < end")
        start, end = 0, 1
    return Piece(within=_hash(record, "within"), start=start, end=end)


def _find_texts(rows: Sequence[StandoffLabels], sources: Sequence[Source]) -> dict[str, str]:
    """Hash -> text, white space folded, for those of the rows that some tables hold.

    Raises:
        DataError: a table cannot be read.
    """
    wanted = {row.sha256 for row in rows if row.piece is None}
    pieces: dict[str, list[tuple[str, Piece]]] = {}
    for row in rows:
        if row.piece is not None:
            pieces.setdefault(row.piece.within, []).append((row.sha256, row.piece))
    found: dict[str, str] = {}
    problems = Problems()
    for source in sources:
        for texts in read_texts(source, problems):
            for text in dict.fromkeys([*texts, *paragraphs_of(texts)]):
                whole = text_sha256(text)
                if whole in wanted:
                    found.setdefault(whole, fold_spaces(text))
                for sha256, piece in pieces.get(whole, ()):
                    part = fold_spaces(text)[piece.start : piece.end]
                    if text_sha256(part) == sha256:
                        found.setdefault(sha256, undo_tokens(part))
    problems.raise_if_any()
    return found


def _say_counts(rows: Sequence[StandoffLabels], found: dict[str, str]) -> None:
    all_counts = Counter(row.source for row in rows)
    counts = Counter(row.source for row in rows if row.sha256 in found)
    for source, count in sorted(all_counts.items()):
        say(f"{source}: {counts[source]:,} found, {count - counts[source]:,} not")


def _line(row: StandoffLabels, text: str) -> str:
    values = {
        "id": row.id,
        "article": row.article,
        "source": row.source,
        "text": text,
        "labels": list(row.labels),
    }
    return json.dumps(values, ensure_ascii=False) + "\n"
