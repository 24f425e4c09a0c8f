"""A row of probabilities -> the labels a passage carries, in one place for every caller."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tocsin_models.protocols import Scores

# Enough to tell any two scores apart that mean different things, and short enough to read.
DIGITS = 6


def assign_labels(
    scores: Scores, row: int, thresholds: Mapping[str, float]
) -> tuple[tuple[str, ...], dict[str, float]]:
    """Labels at or above their threshold, and the score of each label that has a threshold, rounded
    to six digits. Where texts have a single label, only the best one is given, the first of equals.

    The rounded score decides, so that whoever reads the record can check the decision.
    """
    values: npt.NDArray[np.float32] = scores.probabilities[row]
    by_label = {
        label: round(float(value), DIGITS)
        for label, value in zip(scores.labels, values, strict=True)
        if label in thresholds
    }
    candidates = list(by_label)
    if scores.is_single_label and candidates:
        candidates = [max(candidates, key=by_label.__getitem__)]
    return tuple(label for label in candidates if by_label[label] >= thresholds[label]), by_label
