"""An archive in, a result for every row out, in the order of the input; memory does not grow."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, TypeAlias

from tocsin_models.errors import ConfigError, EmptyInput, TocsinError
from tocsin_models.protocols import Classifier, Summariser
from tocsin_models.records import Analysis, Article
from tocsin_serving.progress import show_progress
from tocsin_serving.results import Results
from tocsin_serving.rows import Reject, Row, open_rows, read_rows, split_chunks

Unit: TypeAlias = Literal["article", "passage"]
Only: TypeAlias = Literal["classify", "summarise"]

# About 50 articles or 1,000 passages: enough for full batches, and the progress moves every few
# seconds on a laptop.
CHUNK_ROWS = 256
CHUNK_BYTES = 250_000

# An input column of one of these names is carried along as input_<name>. All names of the record
# are taken, whether a row has them or not, so that a column has one name throughout the file.
RECORD_NAMES = {
    "article": (
        *("schema", "id", "language", "warnings", "text", "passages", "dropped", "labels"),
        *("summary", "reason", "model"),
    ),
    "passage": ("id", "labels", "scores", "windows"),
    "summarise": ("id", "summary", "model"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is asked of every row. ``only`` None means labels and summary."""

    unit: Unit = "article"
    only: Only | None = None
    max_sentences: int | None = None
    max_words: int | None = None
    strict_language: bool = False

    def check(self, has_model: bool = False, has_summariser: bool = False) -> None:
        """Refuse options that would have no effect, all at once; the two arguments say whether
        a classifier and a summariser directory were named.

        Raises:
            ConfigError: with a line for every such option.
        """
        problems = []
        if self.unit == "passage" and self.only == "summarise":
            problems.append("--only summarise: a passage has no summary; use --unit article")
        if self.unit == "passage" and self.strict_language:
            problems.append("--strict-language: a passage is too short to tell; use --unit article")
        for name in ("max_sentences", "max_words"):
            if getattr(self, name) is not None and not self.needs_summariser:
                option = "--" + name.replace("_", "-")
                problems.append(f"{option}: nothing is summarised here; leave it out")
        if has_summariser and not self.needs_summariser:
            problems.append("--summariser: nothing is summarised here; leave it out")
        if has_model and not self.needs_classifier:
            problems.append("--model: nothing is labelled here; leave it out")
        if problems:
            raise ConfigError("tocsin score", problems)

    @property
    def needs_classifier(self) -> bool:
        return self.only != "summarise"

    @property
    def needs_summariser(self) -> bool:
        return self.unit == "article" and self.only != "classify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How a run went; ``read`` is always ``scored + rejected``. Blank lines are not rows."""

    scored: int
    rejected: int

    @property
    def read(self) -> int:
        return self.scored + self.rejected


Answer: TypeAlias = dict[str, Any] | TocsinError


def score_file(
    source: str,
    results: Results,
    settings: Settings,
    load: Callable[[], tuple[Classifier | None, Summariser | None]],
    is_quiet: bool = False,
) -> Counts:
    """Score every row of a JSON Lines file (``-`` for standard input) into ``results``.

    ``load`` is called once, after the input and the place for the results have been checked.

    Raises:
        UnreadableFile, UndecodableInput: the file as a whole cannot be read.
        EmptyInput: it holds no row.
        InputError: the results cannot be kept where they were asked for.
    """
    scored = rejected = 0
    name = "standard input" if source == "-" else source
    with open_rows(source) as (lines, total_bytes):
        results.check(source)
        chunks = split_chunks(read_rows(lines), CHUNK_ROWS, CHUNK_BYTES)
        first = next(chunks, None)
        if first is None:
            raise EmptyInput(f"{name} holds no rows; write one JSON object a line")
        classifier, summariser = load()
        with results, show_progress(total_bytes, is_quiet) as advance:
            for chunk in chain([first], chunks):
                rows = [row for row in chunk if isinstance(row, Row)]
                answers = iter(answer_rows(rows, settings, classifier, summariser))
                for row in chunk:
                    answer = next(answers) if isinstance(row, Row) else row.error
                    if isinstance(answer, TocsinError):
                        reject = row if isinstance(row, Reject) else row.reject(answer)
                        results.reject(reject.to_record(name))
                        rejected += 1
                    else:
                        results.write(answer)
                        scored += 1
                advance(len(chunk), sum(len(row.raw) + 1 for row in chunk))
    return Counts(scored=scored, rejected=rejected)


def answer_rows(
    rows: Sequence[Row],
    settings: Settings,
    classifier: Classifier | None,
    summariser: Summariser | None,
) -> list[Answer]:
    """One answer a row, in order: the result with the row's other columns, or why there is none."""
    if not rows:
        return []
    if settings.unit == "passage":
        assert classifier is not None
        return [
            carry(row.columns, answer, "passage")
            for row, answer in zip(rows, _score_passages(rows, classifier), strict=True)
        ]
    from tocsin_models.analyse import Options, analyse_many

    options = Options(
        max_sentences=settings.max_sentences,
        max_words=settings.max_words,
        strict_language=settings.strict_language,
    )
    articles = [Article(id=row.id, text=row.text) for row in rows]
    taken = "summarise" if settings.only == "summarise" else "article"
    return [
        carry(row.columns, answer.to_record(), taken) if isinstance(answer, Analysis) else answer
        for row, answer in zip(
            rows, analyse_many(articles, classifier, summariser, options), strict=True
        )
    ]


def carry(columns: Mapping[str, Any], record: dict[str, Any], kind: str) -> dict[str, Any]:
    """The record, then the input's other columns; a name the record takes gets ``input_``."""
    taken = {*RECORD_NAMES[kind], *record}
    carried: dict[str, Any] = {}
    for name, value in columns.items():
        new = name
        while new in taken or new in carried or (new != name and new in columns):
            new = f"input_{new}"
        carried[new] = value
    return record | carried


def _score_passages(rows: Sequence[Row], classifier: Classifier) -> list[dict[str, Any]]:
    """Each text is one passage as it stands: nothing is dropped or cut."""
    from tocsin_models.labels import assign_labels

    scores = classifier.score([row.text for row in rows])
    answers = []
    for index, row in enumerate(rows):
        labels, by_label = assign_labels(scores, index, classifier.info.thresholds)
        answer: dict[str, Any] = {"id": row.id, "labels": list(labels), "scores": by_label}
        if scores.windows[index] > 1:
            answer["windows"] = scores.windows[index]
        answers.append(answer)
    return answers


def print_counts(counts: Counts, results: Results) -> None:
    """The books of a run, on standard error: nothing vanished."""
    line = f"tocsin: read {counts.read:,} = scored {counts.scored:,} + rejected {counts.rejected:,}"
    if counts.rejected:
        line += f"; reasons in {results.rejects}"
    print(line, file=sys.stderr)
