"""F1, precision, recall and calibration of a multi-label classifier, through scikit-learn.

A label is given where its probability is at least its threshold. Where a label is neither present
nor predicted, precision, recall and F1 are 0 (scikit-learn's ``zero_division=0``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin_models.errors import DataError

Decisions: TypeAlias = npt.NDArray[np.bool_]
Probabilities: TypeAlias = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics:
    """One label, all values 0 to 1. ``support`` is how many rows truly carry it."""

    label: str
    support: int
    precision: float
    recall: float
    f1: float
    average_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """All labels together. ``macro`` is the plain mean over labels, ``micro`` pools all decisions;
    ``brier`` and ``calibration_error`` are means over labels, 0 is best."""

    labels: tuple[LabelMetrics, ...]
    macro_f1: float
    micro_f1: float
    macro_f1_at_half: float
    macro_average_precision: float
    brier: float
    calibration_error: float


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


def decide(
    probabilities: Probabilities, labels: Sequence[str], thresholds: Mapping[str, float]
) -> Decisions:
    """Which labels are given: shape (rows, labels), columns in the order of ``labels``."""
    return probabilities >= np.array([thresholds[label] for label in labels])


def measure(
    truth: Decisions,
    probabilities: Probabilities,
    labels: Sequence[str],
    thresholds: Mapping[str, float],
) -> Metrics:
    """Metrics of probabilities of shape (rows, labels) at one threshold per label.

    A label that no row carries has the average precision 0.
    """
    from sklearn.metrics import (
        average_precision_score,
        f1_score,
        precision_recall_fscore_support,
    )

    decided = decide(probabilities, labels, thresholds)
    columns = zip(
        *precision_recall_fscore_support(truth, decided, average=None, zero_division=0), strict=True
    )
    by_label = tuple(
        LabelMetrics(
            label=label,
            support=int(support),
            precision=float(precision),
            recall=float(recall),
            f1=float(f1),
            average_precision=float(average_precision_score(truth[:, column], scores))
            if support
            else 0.0,
        )
        for column, (label, scores, (precision, recall, f1, support)) in enumerate(
            zip(labels, probabilities.T, columns, strict=True)
        )
    )
    return Metrics(
        labels=by_label,
        macro_f1=float(f1_score(truth, decided, average="macro", zero_division=0)),
        micro_f1=float(f1_score(truth, decided, average="micro", zero_division=0)),
        macro_f1_at_half=float(
            f1_score(truth, probabilities >= 0.5, average="macro", zero_division=0)
        ),
        macro_average_precision=float(np.mean([item.average_precision for item in by_label])),
        brier=float(np.mean((probabilities.astype(np.float64) - truth) ** 2)),
        calibration_error=calibration_error(truth, probabilities),
    )


def calibration_error(truth: Decisions, probabilities: Probabilities, bins: int = 10) -> float:
    """Expected calibration error, mean over labels (Naeini et al. 2015; Guo et al. 2017).

    Probabilities fall into ``bins`` equally wide bins; in each, the mean probability is compared
    with the share of rows that carry the label, weighted by the rows in the bin.
    """
    errors = []
    for column, scores in zip(truth.T, probabilities.T.astype(np.float64), strict=True):
        bin_of = np.minimum((scores * bins).astype(np.intp), bins - 1)
        gap = np.bincount(bin_of, weights=scores - column, minlength=bins)
        errors.append(np.abs(gap).sum() / len(scores))
    return float(np.mean(errors))
