"""Blocks -> the lines that will stand in the results: the unit of work of every engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from tocsin_models.analyse import Options, analyse_many, apply_options
from tocsin_models.classifier import TextWindow
from tocsin_models.errors import TocsinError
from tocsin_models.labels import assign_labels
from tocsin_models.protocols import Classifier, Scores, Summariser
from tocsin_models.records import Analysis, ModelInfo
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.blocks import Block
from tocsin_serving.archive.columns import Column
from tocsin_serving.archive.rows import Reject, Row
from tocsin_serving.lines import format_line


class RowFailed(TocsinError):
    """The model failed on a row, alone, though it answers others."""


@runtime_checkable
class Windowed(Protocol):
    """A classifier whose work can be taken apart, so that one thread cuts while another runs."""

    @property
    def info(self) -> ModelInfo: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    def score(self, texts: Sequence[str]) -> Scores: ...
    def cut(self, texts: Sequence[str]) -> list[TextWindow]: ...
    def score_windows(self, windows: Sequence[TextWindow]) -> Scores: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What answers. A summariser is None where nothing is summarised, a classifier likewise."""

    classifier: Classifier | None
    summariser: Summariser | None

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.classifier.labels) if self.classifier else ()

    def to_record(self) -> dict[str, Any]:
        found = {"classifier": self.classifier, "summariser": self.summariser}
        return {name: model.info.to_record() for name, model in found.items() if model is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBlock:
    """What a block became: lines of JSON without their line ends, in the order of the rows."""

    number: int
    results: tuple[str, ...]
    rejects: tuple[str, ...]
    filtered: int
    tokens: int = field(default=0, compare=False)

    @property
    def rows(self) -> int:
        return len(self.results) + len(self.rejects) + self.filtered


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A block, tokenised if that could be done ahead: windows whose owners are its rows."""

    block: Block
    windows: Sequence[TextWindow] | None = None


Answer: TypeAlias = dict[str, Any] | TocsinError


def score_block(
    block: Block, models: Models, asked: Asked, columns: Sequence[Column]
) -> ScoredBlock:
    """One block by itself. The same block, models and options give the same answer anywhere.

    Raises:
        ConfigError: ``asked`` names a label that the classifier does not have.
    """
    [scored] = score_blocks([prepare_block(block, models, asked)], models, asked, columns)
    return scored


def prepare_block(block: Block, models: Models, asked: Asked) -> Prepared:
    """What can be done of a block without the network."""
    classifier = models.classifier
    if asked.unit == "passage" and isinstance(classifier, Windowed):
        texts = [row.article.text for row in block.rows if isinstance(row, Row)]
        return Prepared(block=block, windows=classifier.cut(texts) if texts else [])
    return Prepared(block=block)


def score_blocks(
    prepared: Sequence[Prepared], models: Models, asked: Asked, columns: Sequence[Column]
) -> list[ScoredBlock]:
    """Several blocks with full batches. A score does not depend on its neighbours, so that it does
    not matter which blocks come together."""
    blocks = [item.block for item in prepared]
    rows = [row for block in blocks for row in block.rows if isinstance(row, Row)]
    answers, tokens = _answer(rows, prepared, models, asked)
    names = {column.name: column.written_as for column in columns}
    left = iter(zip(rows, answers, strict=True))
    share = tokens / max(len(rows), 1)
    return [_assemble(block, left, names, share) for block in blocks]


def _assemble(
    block: Block, answers: Any, names: Mapping[str, str], tokens_a_row: float
) -> ScoredBlock:
    results, rejects, filtered, count = [], [], 0, 0
    for row in block.rows:
        if isinstance(row, Reject):
            rejects.append(format_line(row.to_record()))
        elif isinstance(row, Row):
            count += 1
            _, answer = next(answers)
            if isinstance(answer, TocsinError):
                rejects.append(format_line(row.reject(answer).to_record()))
            else:
                carried = {names[name]: value for name, value in row.columns.items()}
                results.append(format_line(answer | carried))
        else:
            filtered += 1
    return ScoredBlock(
        number=block.number,
        results=tuple(results),
        rejects=tuple(rejects),
        filtered=filtered,
        tokens=round(count * tokens_a_row),
    )


def _answer(
    rows: Sequence[Row], prepared: Sequence[Prepared], models: Models, asked: Asked
) -> tuple[list[Answer], int]:
    """One answer a row, and the tokens that the classifier read. Where the model fails, the row
    that makes it fail is found by asking for each alone."""
    if not rows:
        return [], 0
    if asked.unit == "passage":
        assert models.classifier is not None
        classifier = models.classifier

        def ask(some: Sequence[Row]) -> list[Answer]:
            texts = [row.article.text for row in some]
            return _label(some, classifier.score(texts), classifier, asked)

        def ask_all() -> list[Answer]:
            if any(item.windows is None for item in prepared):
                return ask(rows)
            assert isinstance(classifier, Windowed)
            return _label(rows, classifier.score_windows(windows), classifier, asked)

        windows = _join(prepared)
        return _one_by_one_if_it_fails(rows, ask_all, ask), sum(len(x.ids) for x in windows)
    counting = _Counting(models.classifier) if isinstance(models.classifier, Windowed) else None

    def analyse(some: Sequence[Row]) -> list[Answer]:
        articles = [row.article for row in some]
        found = analyse_many(
            articles, counting or models.classifier, models.summariser, to_options(asked)
        )
        return [item.to_record() if isinstance(item, Analysis) else item for item in found]

    answers = _one_by_one_if_it_fails(rows, lambda: analyse(rows), analyse)
    return answers, counting.tokens if counting else 0


def to_options(asked: Asked) -> Options:
    return Options(
        max_sentences=asked.max_sentences,
        max_words=asked.max_words,
        style=asked.style or "short",
        focus=asked.focus,
        strict_language=asked.strict_language,
        thresholds=asked.thresholds,
    )


def _one_by_one_if_it_fails(
    rows: Sequence[Row],
    ask_all: Callable[[], list[Answer]],
    ask: Callable[[Sequence[Row]], list[Answer]],
) -> list[Answer]:
    try:
        return ask_all()
    except (TocsinError, MemoryError):
        raise
    except Exception as error:
        answers: list[Answer] = []
        for row in rows:
            try:
                answers += ask([row])
            except Exception as failure:  # whatever a model may raise
                answers.append(RowFailed(f"the model failed on it ({type(failure).__name__})"))
        if all(isinstance(answer, RowFailed) for answer in answers):
            # Not the rows are bad: the model is, or we are.
            raise error from None
        return answers


def _label(
    rows: Sequence[Row], scores: Scores, classifier: Classifier, asked: Asked
) -> list[Answer]:
    """Each text is one passage as it stands: nothing is dropped or cut."""
    thresholds = apply_options(classifier.info, to_options(asked)).thresholds
    finite = [bool(np.isfinite(row).all()) for row in scores.probabilities]
    answers: list[Answer] = []
    for index, row in enumerate(rows):
        if not finite[index]:
            answers.append(RowFailed("the model's score of it is not a number"))
            continue
        labels, by_label = assign_labels(scores, index, thresholds)
        answer: dict[str, Any] = {"id": row.article.id, "labels": list(labels), "scores": by_label}
        if scores.windows[index] > 1:
            answer["windows"] = scores.windows[index]
        answers.append(answer)
    return answers


def _join(prepared: Sequence[Prepared]) -> list[TextWindow]:
    """The windows of several blocks as if they were one: owners count on."""
    windows: list[TextWindow] = []
    before = 0
    for item in prepared:
        for window in item.windows or ():
            windows.append(
                TextWindow(owner=before + window.owner, ids=window.ids, length=window.length)
            )
        before += sum(isinstance(row, Row) for row in item.block.rows)
    return windows


class _Counting:
    """A classifier that says how many tokens it has read."""

    def __init__(self, classifier: Windowed) -> None:
        self.tokens = 0
        self.info, self.labels = classifier.info, classifier.labels
        self._classifier = classifier

    def score(self, texts: Sequence[str]) -> Scores:
        if not texts:
            return self._classifier.score(texts)
        windows = self._classifier.cut(texts)
        self.tokens += sum(len(window.ids) for window in windows)
        return self._classifier.score_windows(windows)
