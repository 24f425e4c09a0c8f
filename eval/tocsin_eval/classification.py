"""The numbers of a classifier, through scikit-learn where it has them.

Where a label is neither present nor predicted, precision, recall and F1 are 0 (scikit-learn's
``zero_division=0``). Average precision of a label that nothing carries is 0 as in scikit-learn; ROC
AUC of a label that all or none carry does not exist, and is NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin_eval.bootstrap import Array, Decisions, article_counts, article_sums, label_f1, ratio
from tocsin_models.errors import DataError

# Equally wide bins of the expected calibration error (Guo et al. 2017).
BINS = 10
# How many numbers beside the counts each row contributes to the sums, see ``row_sums``.
_ROW_NUMBERS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What one system says of the rows, beside the truth.

    ``truth``, ``decided`` (what is given at the stored thresholds) and ``scores`` (probabilities,
    float64) have the shape (rows, labels); ``articles`` names the article of each row.
    ``is_single_label``: each row carries exactly one label, and the best one is given.
    """

    labels: tuple[str, ...]
    truth: Decisions
    scores: Array
    decided: Decisions
    articles: tuple[str, ...]
    is_single_label: bool = False

    @property
    def at_half(self) -> Decisions:
        """What is given at 0.5; of single labels the best, which knows no threshold."""
        return best_label(self.scores) if self.is_single_label else self.scores >= 0.5

    @property
    def bets(self) -> tuple[Decisions, Array]:
        """Outcomes and the probabilities given to them, shape (rows, questions), whose calibration
        is asked: every label of a multi-label model; of a single-label model whether the best label
        is right, with its probability (Guo et al. 2017)."""
        if not self.is_single_label:
            return self.truth, self.scores
        right = np.asarray((self.truth & best_label(self.scores)).any(axis=1))
        return right[:, None], self.scores.max(axis=1, keepdims=True)


def label_matrix(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> Decisions:
    """Truth of shape (rows, labels), columns in the order of ``labels``.

    Raises:
        DataError: a row carries a label that is not among ``labels``.
    """
    columns = {label: column for column, label in enumerate(labels)}
    matrix = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    for index, row in enumerate(rows):
        for label in row:
            if label not in columns:
                raise DataError(f"row {index} has label {label!r}, not one of {', '.join(labels)}")
            matrix[index, columns[label]] = True
    return matrix


def decide(scores: Array, labels: Sequence[str], thresholds: Mapping[str, float]) -> Decisions:
    """Which labels are given: shape (rows, labels), columns in the order of ``labels``."""
    return np.asarray(scores >= np.array([thresholds[label] for label in labels]))


def best_label(scores: Array) -> Decisions:
    """The one best label of each row, the first of equals: shape (rows, labels)."""
    labels = scores.shape[1]
    return np.asarray(scores.argmax(axis=1)[:, None] == np.arange(labels))


def values(found: Predictions) -> dict[str, float]:
    """Every number on the rows as they are, by name. ``f1_threat`` is the label's, ``macro_f1`` the
    plain mean over labels, ``micro_f1`` pools all decisions, ``samples_f1`` is the mean over rows;
    ``…_at_half`` ignores the stored thresholds."""
    from sklearn import metrics

    columns = range(len(found.labels))
    truth = _with_spare_column(found.truth)
    result: dict[str, float] = {}
    for suffix, given in (("", found.decided), ("_at_half", found.at_half)):
        decided = _with_spare_column(given)
        for average in ("macro", "micro", "samples"):
            precision, recall, f1, _ = metrics.precision_recall_fscore_support(
                truth, decided, labels=columns, average=average, zero_division=0
            )
            names = (f"{average}_{name}{suffix}" for name in ("precision", "recall", "f1"))
            result |= dict(zip(names, map(float, (precision, recall, f1)), strict=True))
        each = metrics.precision_recall_fscore_support(
            truth, decided, labels=columns, average=None, zero_division=0
        )
        for column, label in enumerate(found.labels):
            for name, numbers in zip(("precision", "recall", "f1"), each, strict=False):
                result[f"{name}{suffix}_{label}"] = float(numbers[column])
        result[f"exact_match{suffix}"] = float(metrics.accuracy_score(truth, decided))
        result[f"hamming_loss{suffix}"] = float(metrics.hamming_loss(found.truth, given))
    result["cardinality"] = float(found.decided.sum(axis=1).mean())
    if found.is_single_label:
        result["accuracy"] = result["exact_match"]
    result |= _probability_values(found)
    return result | ranking_values(found)


def _with_spare_column(matrix: Decisions) -> Decisions:
    """A column more, which nothing carries: scikit-learn would read a label that stands alone as
    two classes, "yes" and "no", and average over both."""
    return np.column_stack([matrix, np.zeros(len(matrix), dtype=np.bool_)])


def _probability_values(found: Predictions) -> dict[str, float]:
    from sklearn.metrics import brier_score_loss

    by_label = {
        f"brier_{label}": float(
            brier_score_loss(found.truth[:, column], found.scores[:, column], pos_label=True)
        )
        for column, label in enumerate(found.labels)
    }
    result = {"brier": float(np.mean(list(by_label.values()))), **by_label}
    outcomes, scores = found.bets
    errors = calibration_errors(outcomes, scores)
    result["ece"] = float(errors.mean())
    if not found.is_single_label:
        result |= {
            f"ece_{label}": float(error) for label, error in zip(found.labels, errors, strict=True)
        }
    return result


def ranking_values(found: Predictions) -> dict[str, float]:
    """Average precision and area under the ROC curve, per label and as plain means; the mean of ROC
    AUC is over the labels that have one."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    precision, area = {}, {}
    for column, label in enumerate(found.labels):
        truth, scores = found.truth[:, column], found.scores[:, column]
        precision[label] = float(average_precision_score(truth, scores)) if truth.any() else 0.0
        has_both = truth.any() and not truth.all()
        area[label] = float(roc_auc_score(truth, scores)) if has_both else float("nan")
    known = [value for value in area.values() if not np.isnan(value)]
    return {
        "average_precision": float(np.mean(list(precision.values()))),
        "roc_auc": float(np.mean(known)) if known else float("nan"),
        **{f"average_precision_{label}": value for label, value in precision.items()},
        **{f"roc_auc_{label}": value for label, value in area.items()},
    }


def calibration_errors(outcomes: Decisions, scores: Array, bins: int = BINS) -> Array:
    """Expected calibration error of each column (Naeini et al. 2015; Guo et al. 2017).

    Probabilities fall into ``bins`` equally wide bins; in each, the mean probability is compared
    with the share of rows that carry the label, weighted by the rows in the bin.
    """
    errors: Array = np.abs(_gaps(outcomes, scores, bins).sum(axis=0)).sum(axis=-1) / len(scores)
    return errors


def _gaps(outcomes: Decisions, scores: Array, bins: int) -> Array:
    """Probability less outcome, in the column of its bin: shape (rows, questions, bins)."""
    gaps = np.zeros((*scores.shape, bins))
    bin_of = np.minimum((scores * bins).astype(np.intp), bins - 1)
    np.put_along_axis(gaps, bin_of[..., None], (scores - outcomes)[..., None], axis=-1)
    return gaps


def row_sums(found: Predictions) -> Array:
    """Per article the sums from which ``statistics`` computes every number but the rankings: shape
    (articles, columns), articles in sorted order."""
    truth, decided = found.truth, found.decided
    hits = (truth & decided).sum(axis=1).astype(np.float64)
    given, carried = decided.sum(axis=1), truth.sum(axis=1)
    rows = np.column_stack(
        [
            np.ones(len(truth)),
            ratio(hits, given),
            ratio(hits, carried),
            ratio(2 * hits, given + carried),
            (truth == decided).all(axis=1),
            (truth != decided).mean(axis=1),
            given,
        ]
    )
    outcomes, scores = found.bets
    parts = [
        article_counts(truth, decided, found.articles),
        article_counts(truth, found.at_half, found.articles),
        article_sums(_gaps(outcomes, scores, BINS), found.articles),
        article_sums((found.scores - truth) ** 2, found.articles),
        article_sums(rows, found.articles),
    ]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def statistics(sums: Array, labels: Sequence[str], is_single_label: bool = False) -> dict[str, Any]:
    """The numbers of ``values`` from sums over any articles: (…, columns) gives arrays of shape
    (…). This is what is resampled; rankings and means over rows at 0.5 are left out."""
    count = len(labels)
    questions = 1 if is_single_label else count
    widths = (3 * count, 3 * count, questions * BINS, count, _ROW_NUMBERS)
    stored, half, gaps, squares, rows = np.split(sums, np.cumsum(widths)[:-1], axis=-1)
    total, *means = np.moveaxis(rows, -1, 0)
    result: dict[str, Any] = {}
    for suffix, flat in (("", stored), ("_at_half", half)):
        counts = flat.reshape(*flat.shape[:-1], count, 3)
        result |= _count_statistics(counts, labels, suffix)
    names = (
        *("samples_precision", "samples_recall", "samples_f1"),
        *("exact_match", "hamming_loss", "cardinality"),
    )
    result |= {name: ratio(mean, total) for name, mean in zip(names, means, strict=True)}
    if is_single_label:
        result["accuracy"] = result["exact_match"]
    errors = np.abs(gaps.reshape(*gaps.shape[:-1], questions, BINS)).sum(axis=-1)
    errors, squares = ratio(errors, total[..., None]), ratio(squares, total[..., None])
    result |= {"ece": errors.mean(axis=-1), "brier": squares.mean(axis=-1)}
    for column, label in enumerate(labels):
        result[f"brier_{label}"] = squares[..., column]
        if not is_single_label:
            result[f"ece_{label}"] = errors[..., column]
    return result


def _count_statistics(counts: Array, labels: Sequence[str], suffix: str) -> dict[str, Any]:
    pooled = counts.sum(axis=-2)
    by_label = {
        "precision": ratio(counts[..., 0], counts[..., 0] + counts[..., 1]),
        "recall": ratio(counts[..., 0], counts[..., 0] + counts[..., 2]),
        "f1": label_f1(counts),
    }
    result = {
        f"micro_precision{suffix}": ratio(pooled[..., 0], pooled[..., 0] + pooled[..., 1]),
        f"micro_recall{suffix}": ratio(pooled[..., 0], pooled[..., 0] + pooled[..., 2]),
        f"micro_f1{suffix}": label_f1(pooled[..., None, :])[..., 0],
    }
    for name, numbers in by_label.items():
        result[f"macro_{name}{suffix}"] = numbers.mean(axis=-1)
        for column, label in enumerate(labels):
            result[f"{name}{suffix}_{label}"] = numbers[..., column]
    return result
