"""Systems measured side by side on the same rows, with bootstrap intervals and paired differences.

All systems are resampled in the same draws, so an interval of a difference is the paired one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin_eval.bootstrap import (
    RESAMPLES,
    Array,
    Interval,
    article_counts,
    interval,
    label_f1,
    macro_f1,
    micro_f1,
    resample_sums,
)
from tocsin_eval.data import LabelledPassage, ReferenceSummary
from tocsin_eval.metrics import Metrics, decide, label_matrix, measure
from tocsin_eval.rouge import greedy_oracle, rouge
from tocsin_models.protocols import Classifier, Limits, Summariser
from tocsin_models.records import ModelInfo, Paragraph
from tocsin_models.sentences import split_sentences

ROUGE_NAMES = ("rouge1", "rouge2", "rougeLsum")
SENTENCES = 3

# Called with how many rows are done, for a progress bar.
Progress = Callable[[int], None]

_PASSAGES_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierResult:
    """One classifier on the data. ``f1`` holds an interval per label, 0 to 1."""

    info: ModelInfo
    metrics: Metrics
    f1: Mapping[str, Interval]
    macro_f1: Interval
    micro_f1: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierComparison:
    """The baseline, the model, and macro-F1 of the model less that of the baseline."""

    rows: int
    articles: int
    baseline: ClassifierResult
    model: ClassifierResult
    difference: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryResult:
    """Mean ROUGE of one system in percent, and what it has more than lead-3 on the same rows."""

    name: str
    scores: Mapping[str, Interval]
    over_lead: Mapping[str, Interval]
    mean_sentences: float


def compare_classifiers(
    baseline: Classifier,
    model: Classifier,
    rows: Sequence[LabelledPassage],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress = lambda done: None,
) -> ClassifierComparison:
    """Score all rows with both, at the thresholds each was stored with; resample by article.

    ``progress`` is told of passages, of which there are two times as many as rows.

    Raises:
        DataError: a row carries a label that the model does not know.
        ValueError: the two do not have the same labels in the same order.
    """
    labels = model.labels
    if baseline.labels != labels:
        raise ValueError(f"labels differ: {baseline.labels} and {labels}")
    truth = label_matrix([row.labels for row in rows], labels)
    articles = [row.article for row in rows]
    scores = [_score(system, rows, progress) for system in (baseline, model)]
    counts = np.stack(
        [
            article_counts(truth, decide(found, labels, system.info.thresholds), articles)
            for system, found in zip((baseline, model), scores, strict=True)
        ],
        axis=1,
    )
    total = counts.sum(axis=0)
    draws = resample_sums(counts, seed=seed, resamples=resamples)
    results = [
        ClassifierResult(
            info=system.info,
            metrics=measure(truth, found, labels, system.info.thresholds),
            f1={
                label: interval(
                    float(label_f1(total[index])[column]), label_f1(draws[:, index])[:, column]
                )
                for column, label in enumerate(labels)
            },
            macro_f1=interval(float(macro_f1(total[index])), macro_f1(draws[:, index])),
            micro_f1=interval(float(micro_f1(total[index])), micro_f1(draws[:, index])),
        )
        for index, (system, found) in enumerate(zip((baseline, model), scores, strict=True))
    ]
    return ClassifierComparison(
        rows=len(rows),
        articles=len(counts),
        baseline=results[0],
        model=results[1],
        difference=interval(
            results[1].macro_f1.value - results[0].macro_f1.value,
            macro_f1(draws[:, 1]) - macro_f1(draws[:, 0]),
        ),
    )


def compare_summaries(
    summariser: Summariser,
    rows: Iterable[ReferenceSummary],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress = lambda done: None,
) -> list[SummaryResult]:
    """Lead-3, the greedy oracle and a summariser, each of at most three sentences an article.

    Every sentence is one of the product's splitter, the reference is the highlights, a line each.
    A row counts once, whatever its length, and is the unit that is resampled. The oracle reads the
    reference: it is what no choice of three sentences is likely to exceed, not a system.
    """
    names = ("lead-3", "oracle", summariser.info.name)
    scores: list[list[tuple[float, ...]]] = []
    lengths: list[list[int]] = []
    for row in rows:
        sentences = [
            paragraph[start:end]
            for paragraph in row.paragraphs
            for start, end in split_sentences(paragraph)
        ]
        summary = summariser.summarise(join_paragraphs(row), Limits(max_sentences=SENTENCES))
        chosen = [
            sentences[:SENTENCES],
            [sentences[index] for index in greedy_oracle(sentences, row.highlights, SENTENCES)],
            [sentence.text for sentence in summary.sentences],
        ]
        reference = _lines(row.highlights)
        found = [rouge(_lines(system), reference) for system in chosen]
        scores.append([tuple(getattr(one, name) for name in ROUGE_NAMES) for one in found])
        lengths.append([len(system) for system in chosen])
        progress(1)
    values = np.array(scores)
    draws = resample_sums(values, seed=seed, resamples=resamples) / len(values)
    means = values.mean(axis=0)
    return [
        SummaryResult(
            name=name,
            scores=_intervals(means[index], draws[:, index]),
            over_lead=_intervals(means[index] - means[0], draws[:, index] - draws[:, 0]),
            mean_sentences=float(np.mean([row[index] for row in lengths])),
        )
        for index, name in enumerate(names)
    ]


def join_paragraphs(row: ReferenceSummary) -> list[Paragraph]:
    """The body of an article whose paragraphs stand a blank line apart, offsets into the whole."""
    paragraphs = []
    start = 0
    for text in row.paragraphs:
        paragraphs.append(Paragraph(text=text, start=start, end=start + len(text)))
        start += len(text) + 2
    return paragraphs


def _score(system: Classifier, rows: Sequence[LabelledPassage], progress: Progress) -> Array:
    found = []
    for start in range(0, len(rows), _PASSAGES_AT_ONCE):
        batch = [row.text for row in rows[start : start + _PASSAGES_AT_ONCE]]
        found.append(system.score(batch).probabilities.astype(np.float64))
        progress(len(batch))
    return np.concatenate(found)


def _lines(sentences: Iterable[str]) -> str:
    """One sentence a line; a line break inside one would make two of it for ROUGE-Lsum."""
    return "\n".join(" ".join(sentence.split()) for sentence in sentences)


def _intervals(values: Array, draws: Array) -> dict[str, Interval]:
    return {
        name: interval(float(values[column]), draws[:, column])
        for column, name in enumerate(ROUGE_NAMES)
    }
