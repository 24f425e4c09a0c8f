"""Readers of labelled passages and of articles with reference summaries, from any table.

A row is one of three things, told by its fields (``columns.py`` says which column is which field):

- a passage: ``text`` and ``labels``; ``id``, ``article``, ``source`` and ``kind`` where known;
- a whole article: ``passages``, a list of ``{"text", "labels"}``, the headline first; what is
  marked ``"boilerplate": true`` is left out, as cleaning drops it before a classifier sees it;
- an article with its summary: ``summary`` (a string) or ``highlights`` (a sentence an item), and
  ``paragraphs`` (a list), ``text`` or ``article`` (a string, cut at blank lines).

A whole article with a summary is both, and so is a passage. All mistakes of all files are told at
once, by file, line and field, never by the text in them.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin_eval.cells import Problems, Record, json_list
from tocsin_eval.columns import list_names, no_column, pick_fields
from tocsin_eval.names import Name
from tocsin_eval.tables import Source, read_table, source_stem, update_digest
from tocsin_models.errors import DataError
from tocsin_models.records import Kind
from tocsin_models.sentences import split_sentences

_KINDS: dict[str, Kind] = {"headline": "headline", "body": "body", "caption": "caption"}
_ROW = frozenset(("text", "labels", "summary", "highlights", "paragraphs"))
_OF_A_PASSAGE = frozenset(("id", "article", "text", "labels", "source", "kind", "boilerplate"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPassage:
    """One passage with its labels, sorted. ``article`` groups passages of the same article.

    ``position`` is its index in the article, from 0 and with boilerplate counted; None where it is
    not known. ``names`` are those listed with a whole article. ``columns`` are the other columns
    of its row, and of a whole article's row, as text.
    """

    id: str
    article: str
    text: str
    labels: tuple[str, ...]
    source: str
    kind: Kind = "body"
    position: int | None = None
    names: tuple[Name, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSummary:
    """One article and the summary an editor wrote: one item of ``highlights`` a sentence.

    ``has_headline`` where the first paragraph is known to be the headline. ``columns`` are the
    other columns of the row as text, its ``source`` among them.
    """

    id: str
    paragraphs: tuple[str, ...]
    highlights: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    has_headline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationData:
    """What a model is measured on; not both are empty. ``left_out`` are the ids of boilerplate,
    which others may well have predicted."""

    passages: tuple[LabelledPassage, ...]
    summaries: tuple[ReferenceSummary, ...]
    left_out: frozenset[str] = frozenset()


def read_evaluation(
    sources: Sequence[Source], columns: Mapping[str, str] | None = None
) -> EvaluationData:
    """All labelled passages and all reference summaries of some sources, in their order.

    Raises:
        DataError: with every mistake of every source, or that there is nothing to read.
    """
    reader = _Reader(columns or {}, sources)
    for source in sources:
        reader.read(source)
    reader.problems.raise_if_any()
    if not reader.passages and not reader.summaries:
        raise DataError(f"{_names(sources)}: no row to read; at least one is needed")
    return EvaluationData(
        passages=tuple(reader.passages),
        summaries=tuple(reader.summaries),
        left_out=frozenset(reader.left_out),
    )


def read_passages(
    sources: Sequence[Source],
    columns: Mapping[str, str] | None = None,
    *,
    beside: Sequence[Source] = (),
) -> list[LabelledPassage]:
    """Labelled passages of some sources, in the order of the sources and of their rows.

    Passages of a whole article get the ids ``id:0``, ``id:1``, … A passage without ``article`` is
    its own group. A row without ``id`` is called by its source and number, ``desk-3``; those in
    ``beside``, read in the same run, are told apart from these.

    Raises:
        DataError: with every mistake: a source cannot be read, a row is not in this form, two
            passages have the same id; or that no passage is left.
    """
    reader = _Reader(columns or {}, [*beside, *sources], has_summaries=False)
    for source in sources:
        reader.read(source)
    reader.problems.raise_if_any()
    if not reader.passages:
        raise DataError(f"{_names(sources)}: no labelled passage to read; at least one is needed")
    return reader.passages


def read_both(
    train: Sequence[Source], dev: Sequence[Source], columns: Mapping[str, str] | None = None
) -> tuple[list[LabelledPassage], list[LabelledPassage]]:
    """What is trained on and what is held out, each as ``read_passages`` gives it.

    Raises:
        DataError: as there, with every mistake of both.
    """
    problems = Problems()
    found = []
    for sources, beside in ((train, dev), (dev, train)):
        reader = _Reader(columns or {}, [*beside, *sources], has_summaries=False, problems=problems)
        for source in sources:
            reader.read(source)
        found.append(reader.passages)
    problems.raise_if_any()
    for sources, passages in zip((train, dev), found, strict=True):
        if not passages:
            raise DataError(
                f"{_names(sources)}: no labelled passage to read; at least one is needed"
            )
    return found[0], found[1]


def read_summaries(
    source: Source, limit: int | None = None, columns: Mapping[str, str] | None = None
) -> list[ReferenceSummary]:
    """The first ``limit`` articles of a source (all without one), with their reference summaries.

    Raises:
        DataError: as for ``read_passages``.
    """
    reader = _Reader(columns or {}, [source], has_passages=False)
    reader.read(source, limit)
    reader.problems.raise_if_any()
    if not reader.summaries:
        raise DataError(f"{source}: no article to read; at least one is needed")
    return reader.summaries


def data_sha256(sources: Sequence[Source]) -> str:
    """SHA-256 over the bytes of some files, one after the other; names do not count. Of a data set
    its rows count, as JSON, one a line."""
    digest = hashlib.sha256()
    for source in sources:
        update_digest(digest, source)
    return digest.hexdigest()


class _Reader:
    """Rows of several sources -> passages and summaries, with what is wrong collected."""

    def __init__(
        self,
        columns: Mapping[str, str],
        sources: Sequence[Source],
        *,
        has_passages: bool = True,
        has_summaries: bool = True,
        problems: Problems | None = None,
    ) -> None:
        self.passages: list[LabelledPassage] = []
        self.summaries: list[ReferenceSummary] = []
        self.left_out: set[str] = set()
        self.problems = Problems() if problems is None else problems
        self._columns = columns
        self._has_passages = has_passages
        self._has_summaries = has_summaries
        self._stems = _stems(sources)
        self._taken: dict[tuple[str, str], str] = {}

    def read(self, source: Source, limit: int | None = None) -> None:
        """Read a source, at most ``limit`` summaries of it."""
        for record in read_table(source, self.problems):
            if limit is not None and len(self.summaries) >= limit:
                return
            if (picked := pick_fields(record, self._columns)) is None:
                continue
            fields, others = picked
            identifier = fields.name("id", f"{self._stems[str(source)]}-{record.number}")
            if "passages" in fields.values:
                self._read_article(fields, others, identifier)
            else:
                self._read_row(fields, others, identifier)

    def _read_article(self, fields: Record, others: Record, identifier: str) -> None:
        if not self._take("article", identifier, fields):
            return
        passages, left_out = _passages(fields, others, identifier)
        self.left_out |= left_out
        if self._has_passages:
            self.passages += [p for p in passages if self._take("passage", p.id, fields)]
        if self._has_summaries and (_has_summary(fields) or not self._has_passages):
            paragraphs = tuple(passage.text for passage in passages)
            has_headline = bool(passages) and passages[0].kind == "headline"
            self._add_summary(fields, others, identifier, paragraphs, has_headline)

    def _read_row(self, fields: Record, others: Record, identifier: str) -> None:
        has_labels = fields.values.get("labels") is not None
        wants_summary = self._has_summaries and (_has_summary(fields) or not self._has_passages)
        if self._has_passages and not fields.is_uniform and not _ROW.intersection(fields.values):
            fields.complain(
                "is no passage (text, labels), no whole article (passages) and no article with its "
                f"summary (summary, paragraphs); it has {list_names(others.values)}"
            )
            return
        if self._has_passages and (has_labels or not wants_summary):
            needed = ("text", "labels")
            if _is_complete(fields, others, needed) and self._take("passage", identifier, fields):
                passage = LabelledPassage(
                    id=identifier,
                    article=fields.name("article", identifier),
                    text=fields.text("text"),
                    labels=fields.labels(),
                    source=fields.name("source", ""),
                    kind=_kind(fields, "body"),
                    columns=others.scalars(frozenset()),
                )
                if fields.flag("boilerplate"):
                    self.left_out.add(identifier)
                else:
                    self.passages.append(passage)
        if wants_summary:
            name = _place_of_the_text(fields, has_labels)
            needed = (name, "highlights" if "highlights" in fields.values else "summary")
            if _is_complete(fields, others, needed):
                paragraphs = _paragraphs(fields, name)
                self._add_summary(fields, others, identifier, paragraphs, False)

    def _add_summary(
        self,
        fields: Record,
        others: Record,
        identifier: str,
        paragraphs: tuple[str, ...],
        has_headline: bool,
    ) -> None:
        if not self._take("summary", identifier, fields):
            return
        columns = others.scalars(frozenset())
        if source := fields.name("source", ""):
            columns["source"] = source
        self.summaries.append(
            ReferenceSummary(
                id=identifier,
                paragraphs=paragraphs,
                highlights=_highlights(fields),
                columns=columns,
                has_headline=has_headline,
            )
        )

    def _take(self, what: str, identifier: str, record: Record) -> bool:
        """Whether an id was free; it is taken from now on. One that could not be read is free."""
        if place := self._taken.get((what, identifier)):
            record.complain(f"id {identifier[:80]!r} was already used in {place}")
        elif identifier:
            self._taken[what, identifier] = record.place
        return not place


def _passages(
    fields: Record, others: Record, article: str
) -> tuple[list[LabelledPassage], set[str]]:
    """The passages of a whole article that are not boilerplate, and the ids of those that are. The
    first is its headline, unless it says otherwise or stands alone."""
    source, outer = fields.name("source", ""), others.scalars(frozenset())
    names = _listed_names(others.values.get("names"))
    kept: list[tuple[int, Record, str, tuple[str, ...]]] = []
    left_out: set[str] = set()
    for index, row in enumerate(fields.rows("passages")):
        is_boilerplate, labels, text = row.flag("boilerplate"), row.labels(), row.text("text")
        if is_boilerplate:
            left_out.add(f"{article}:{index}")
        else:
            kept.append((index, row, text, labels))
    passages = [
        LabelledPassage(
            id=f"{article}:{index}",
            article=article,
            text=text,
            labels=labels,
            source=source,
            kind=_kind(row, "headline" if number == 0 and len(kept) > 1 else "body"),
            position=index,
            names=names,
            columns=outer | row.scalars(_OF_A_PASSAGE),
        )
        for number, (index, row, text, labels) in enumerate(kept)
    ]
    return passages, left_out


def _listed_names(found: object) -> tuple[Name, ...]:
    """The names of an article as ``training/corpus`` lists them; a column ``names`` of any other
    make is somebody else's, and is left alone."""
    listed = found if isinstance(found, list) else []
    if not all(
        isinstance(name, dict)
        and isinstance(name.get("kind"), str)
        and isinstance(name.get("forms"), list)
        and all(isinstance(form, str) and form for form in name["forms"])
        and name["forms"]
        for name in listed
    ):
        return ()
    return tuple(Name(kind=name["kind"], forms=tuple(name["forms"])) for name in listed)


def _kind(record: Record, default: Kind) -> Kind:
    found = record.name("kind", "")
    if found and found not in _KINDS:
        record.complain(
            "'kind' is none of headline, body and caption; --columns kind= leaves the column alone"
        )
    return _KINDS.get(found, default)


def _has_summary(fields: Record) -> bool:
    """Whether a row has a summary, or should: one that is null stands beside labels only."""
    given = [fields.values[name] for name in ("summary", "highlights") if name in fields.values]
    is_null = all(value is None for value in given)
    return bool(given) and not (is_null and fields.values.get("labels") is not None)


def _place_of_the_text(fields: Record, has_labels: bool) -> str:
    """The field that holds an article's text; ``article`` is its name where ``text`` is there."""
    given = [name for name in ("paragraphs", "text") if fields.values.get(name) is not None]
    return given[0] if given else "text" if fields.is_uniform and has_labels else "article"


def _is_complete(fields: Record, others: Record, needed: Sequence[str]) -> bool:
    """Whether a table has the columns needed. Rows of JSON Lines are told of one by one."""
    missing = [name for name in needed if fields.is_uniform and name not in fields.values]
    for name in missing:
        fields.complain_of_columns(no_column(name, name, [*fields.values, *others.values]))
    return not missing


def _paragraphs(fields: Record, name: str) -> tuple[str, ...]:
    if _is_plain(fields.values.get(name)):
        return tuple(part for part in re.split(r"\n\s*\n", fields.text(name)) if part.strip())
    return fields.items(name) if name == "paragraphs" else (fields.text(name),)


def _highlights(fields: Record) -> tuple[str, ...]:
    """The sentences of a reference summary: a list, or a string, a sentence a line."""
    given = [name for name in ("highlights", "summary") if fields.values.get(name) is not None]
    absent = [name for name in ("summary", "highlights") if name in fields.values]
    name = [*given, *absent, "highlights"][0]
    if not _is_plain(fields.values.get(name)):
        return fields.items(name)
    lines = [line.strip() for line in fields.text(name).split("\n") if line.strip()]
    if name == "highlights":
        return tuple(lines)
    return tuple(line[start:end] for line in lines for start, end in split_sentences(line))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and json_list(value) is None


def _stems(sources: Sequence[Source]) -> dict[str, str]:
    """What the rows of each source are called by; the whole path where two names are the same."""
    found = {str(source): source_stem(source) for source in sources}
    stems = list(found.values())
    return {name: stem if stems.count(stem) == 1 else name for name, stem in found.items()}


def _names(sources: Sequence[Source]) -> str:
    return ", ".join(map(str, sources)) or "no file"
