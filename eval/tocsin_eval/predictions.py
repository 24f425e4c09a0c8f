"""A file of predictions as a subject: what another system, or an earlier run, said of the rows.

A row is ``{"id", "scores": {label: probability}}``, or has a column ``score_<label>`` for each
label (what ``tocsin score`` writes into Parquet); ``labels``, where a row has them, are its
decisions, else a label is given from 0.5 on. ``single_label`` says that exactly one label is right:
then the best is given instead. ``summary`` is a text, a list of sentences, or the object of a
Tocsin record. A whole record of ``tocsin analyse --json`` counts for each of its passages, by their
text.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tocsin_eval.cells import Problems, Record, is_unicode, kind_of
from tocsin_eval.data import LabelledPassage, ReferenceSummary
from tocsin_eval.tables import read_table
from tocsin_models.errors import DataError
from tocsin_models.sentences import split_sentences

_FLAT = "score_"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassagePrediction:
    """``labels`` is None where the row holds no decision."""

    scores: Mapping[str, float]
    labels: tuple[str, ...] | None
    place: str
    is_single_label: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePredictions:
    """By passage id, by (article id, text) for whole records, and summaries by article id."""

    name: str
    passages: Mapping[str, PassagePrediction]
    texts: Mapping[tuple[str, str], PassagePrediction]
    summaries: Mapping[str, tuple[str, ...]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that has a score, sorted."""
        rows = (*self.passages.values(), *self.texts.values())
        return tuple(sorted({label for row in rows for label in row.scores}))

    def without(self, identifiers: Set[str]) -> "FilePredictions":
        """Less those of passages that are known and not to be measured."""
        kept = {name: row for name, row in self.passages.items() if name not in identifiers}
        return replace(self, passages=kept)

    def match(
        self, passages: Sequence[LabelledPassage], labels: Sequence[str]
    ) -> list[PassagePrediction]:
        """The prediction of each passage.

        Raises:
            DataError: a passage has none, or a label of it has no score; a prediction is of an id
                that the data do not have.
        """
        found = [
            self.passages.get(row.id) or self.texts.get((row.article, row.text)) for row in passages
        ]
        problems = Problems()
        missing = [row.id for row, one in zip(passages, found, strict=True) if one is None]
        if missing:
            problems.add(
                f"{self.name}: {len(missing)} of {len(passages)} passages have no prediction "
                f"({missing[0][:80]!r} is the first); predict them all, or evaluate fewer"
            )
        if self.passages and (extra := self.passages.keys() - {row.id for row in passages}):
            problems.add(
                f"{self.name}: {len(extra)} predictions are of ids that the data do not have "
                f"({min(extra)[:80]!r} is one); is it the right file?"
            )
        known = [one for one in found if one is not None]
        for label in labels:
            if lacking := next((one for one in known if label not in one.scores), None):
                problems.add(f"{lacking.place}: has no score for {label!r}")
        problems.raise_if_any()
        return known

    def match_summaries(self, rows: Sequence[ReferenceSummary]) -> list[tuple[str, ...]]:
        """The sentences predicted for each article.

        Raises:
            DataError: an article has none.
        """
        if missing := [row.id for row in rows if row.id not in self.summaries]:
            raise DataError(
                f"{self.name}: {len(missing)} of {len(rows)} articles have no summary "
                f"({missing[0][:80]!r} is the first)"
            )
        return [self.summaries[row.id] for row in rows]


def read_predictions(path: Path) -> FilePredictions:
    """
    Raises:
        DataError: names every mistake: a score outside 0 to 1, an id that comes twice, a row
            without scores and summary.
    """
    problems = Problems()
    passages: dict[str, PassagePrediction] = {}
    texts: dict[tuple[str, str], PassagePrediction] = {}
    summaries: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for record in read_table(path, problems):
        identifier = record.name("id", "")
        if not identifier or identifier in seen:
            if identifier or record.values.get("id") is None:
                record.complain("'id' comes twice" if identifier else "'id' is missing")
            continue
        seen.add(identifier)
        summary = _summary(record)
        if summary is not None:
            summaries[identifier] = summary
        if record.values.get("passages") is not None:
            for row in record.rows("passages"):
                if scores := _scores(row):
                    texts[identifier, row.text("text")] = _prediction(row, scores)
            continue
        before = problems.count
        if scores := _scores(record):
            passages[identifier] = _prediction(record, scores)
        elif summary is None and problems.count == before:
            record.complain("has neither scores nor a summary")
    problems.raise_if_any()
    if not seen:
        raise DataError(f"{path}: holds no prediction")
    return FilePredictions(name=path.name, passages=passages, texts=texts, summaries=summaries)


def _prediction(record: Record, scores: Mapping[str, float]) -> PassagePrediction:
    given = None if record.values.get("labels") is None else record.labels()
    if given and (unknown := sorted(set(given) - set(scores))):
        record.complain(f"label {unknown[0][:80]!r} is unknown: it has no score")
    return PassagePrediction(
        scores=scores,
        labels=given,
        place=record.place,
        is_single_label=record.flag("single_label"),
    )


def _scores(record: Record) -> dict[str, float]:
    told = _json(record.values.get("scores"))
    pairs: Iterator[tuple[str, Any]] = iter(
        told.items()
        if isinstance(told, dict)
        else (
            (name.removeprefix(_FLAT), value)
            for name, value in record.values.items()
            if name.startswith(_FLAT) and value is not None
        )
    )
    scores: dict[str, float] = {}
    for label, value in pairs:
        try:
            score = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            score = math.nan
        except OverflowError:
            score = math.inf
        if not 0 <= score <= 1 or not is_unicode(label):
            # A number is shown; whatever else stands there may be copy.
            is_number = isinstance(value, float) or not math.isnan(score)
            shown = f"{score:g}" if is_number else kind_of(value)
            record.complain(f"the score of {label[:80]!r} is {shown}, not a number from 0 to 1")
            continue
        scores[label] = score
    return scores


def _summary(record: Record) -> tuple[str, ...] | None:
    told = _json(record.values.get("summary"))
    if isinstance(told, dict):
        inner = record.with_values(told)
        return tuple(sentence.text("text") for sentence in inner.rows("sentences"))
    if told is None or told == []:
        return None if told is None else ()
    if isinstance(told, list):
        return record.with_values({"summary": told}).items("summary")
    if told == "":
        return ()
    text = record.text("summary")
    return tuple(text[start:end] for start, end in split_sentences(text))


def _json(value: Any) -> Any:
    """A list or an object that a CSV could only hold as text."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
