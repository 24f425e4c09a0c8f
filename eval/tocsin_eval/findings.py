"""What a person looks at behind the numbers: curves, confusions, the worst errors, odd labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin_eval.bootstrap import Array, Decisions, ratio
from tocsin_eval.classification import BINS, Predictions
from tocsin_eval.data import LabelledPassage

WORST = 20
# Points of a curve in the report: a plot a hand wide shows no more.
_POINTS = 200

Pairs = list[tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Of one label. ``precision_recall`` holds (recall, precision), ``roc`` (false positive rate,
    true positive rate), ``thresholds`` (threshold, precision, recall, F1), ``reliability`` (mean
    score, share that carries the label, rows) of each bin that has rows."""

    precision_recall: Pairs
    roc: Pairs
    thresholds: Pairs
    reliability: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A decision that disagrees with the label: ``is_carried`` is what the data say."""

    id: str
    article: str
    text: str
    label: str
    is_carried: bool
    score: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """``given[i][j]``: of the passages that carry label i, how many were given j; the last row and
    column stand for "none". ``carried`` is how many those are. ``together`` and ``given_together``
    count passages with both labels, in the data and in the answers."""

    given: list[list[int]]
    carried: list[int]
    together: list[list[int]]
    given_together: list[list[int]]


def find_curves(found: Predictions) -> dict[str, Curves]:
    """Curves of each label that some passages carry and some do not."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    result = {}
    for column, label in enumerate(found.labels):
        truth, scores = found.truth[:, column], found.scores[:, column]
        if truth.all() or not truth.any():
            continue
        precision, recall, cuts = precision_recall_curve(truth, scores)
        false_rate, true_rate, _ = roc_curve(truth, scores)
        f1 = ratio(2 * precision * recall, precision + recall)
        result[label] = Curves(
            precision_recall=_thin(recall[::-1], precision[::-1]),
            roc=_thin(false_rate, true_rate),
            thresholds=_thin(cuts, precision[:-1], recall[:-1], f1[:-1]),
            reliability=_reliability(truth, scores),
        )
    return result


def _thin(*columns: Array) -> Pairs:
    count = len(columns[0])
    chosen = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int))
    return [tuple(round(float(column[i]), 4) for column in columns) for i in chosen]


def _reliability(truth: Decisions, scores: Array) -> Pairs:
    bin_of = np.minimum((scores * BINS).astype(np.intp), BINS - 1)
    points: Pairs = []
    for number in np.unique(bin_of):
        rows = bin_of == number
        points.append((float(scores[rows].mean()), float(truth[rows].mean()), float(rows.sum())))
    return points


def find_confusion(found: Predictions) -> Confusion:
    truth, decided = _with_none(found.truth), _with_none(found.decided)
    return Confusion(
        given=(truth.T @ decided).tolist(),
        carried=truth.sum(axis=0).tolist(),
        together=(found.truth.T.astype(int) @ found.truth).tolist(),
        given_together=(found.decided.T.astype(int) @ found.decided).tolist(),
    )


def _with_none(matrix: Decisions) -> Any:
    return np.column_stack([matrix, ~matrix.any(axis=1)]).astype(int)


def find_worst(found: Predictions, passages: Sequence[LabelledPassage]) -> list[Doubt]:
    """The wrong decisions with the largest gap between score and truth, at most ``WORST``."""
    gaps = np.where(found.truth != found.decided, np.abs(found.scores - found.truth), -1.0)
    return _doubts(found, passages, gaps, least=0.0)


def find_label_noise(found: Predictions, passages: Sequence[LabelledPassage]) -> list[Doubt]:
    """Labels that may be wrong: the score is beyond the mean score of the passages that do carry
    the label (or of those that do not), the most confident first (Northcutt et al. 2021, "Confident
    Learning"). They are candidates: somebody has to read them."""
    truth, scores = found.truth, found.scores
    carriers = ratio((scores * truth).sum(axis=0), truth.sum(axis=0).astype(float))
    others = ratio((scores * ~truth).sum(axis=0), (~truth).sum(axis=0).astype(float))
    is_odd = np.where(truth, scores <= others, scores >= carriers)
    both = truth.any(axis=0) & ~truth.all(axis=0)
    gaps = np.where(is_odd & both, np.abs(scores - truth), -1.0)
    return _doubts(found, passages, gaps, least=0.5)


def _doubts(
    found: Predictions, passages: Sequence[LabelledPassage], gaps: Array, least: float
) -> list[Doubt]:
    order = np.argsort(-gaps, axis=None, kind="stable")[:WORST]
    doubts = []
    for row, column in zip(*np.unravel_index(order, gaps.shape), strict=True):
        if gaps[row, column] < least:
            break
        passage = passages[row]
        doubts.append(
            Doubt(
                id=passage.id,
                article=passage.article,
                text=passage.text,
                label=found.labels[column],
                is_carried=bool(found.truth[row, column]),
                score=float(found.scores[row, column]),
                scores={
                    label: float(score)
                    for label, score in zip(found.labels, found.scores[row], strict=True)
                },
            )
        )
    return doubts
