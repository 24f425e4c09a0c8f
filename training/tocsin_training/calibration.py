"""Calibration and thresholds, both chosen on out-of-fold logits.

Platt (1999), "Probabilistic outputs for support vector machines": per label, probability =
sigmoid(scale * logit + offset). Of single labels: Guo et al. (2017), "On calibration of modern
neural networks": probabilities = softmax(logits / temperature). Scale and offset are folded into
the last linear layer, so that plain ``transformers`` gives the calibrated probabilities too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import GroupKFold

from tocsin_models.errors import ModelError
from tocsin_training.config import parse_policy

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Below this many positives a fitted line says more about the sample than about the label.
MIN_POSITIVES = 5

# The precision of fewer passages than this says little.
MIN_JUDGED = 20

# The threshold of a label that a wanted precision cannot be promised for: no score is above 1, and
# only a logit past 17 rounds to it in float32. Any lower one would promise what was not seen.
NEVER = 1.0

# A manifest keeps this many digits of a threshold.
DIGITS = 4

# Between these 1 / temperature is looked for. Past the first, all labels are as good as equal.
SCALES = (0.01, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Per label: scale, offset and threshold; arrays of shape (labels,)."""

    scale: Floats
    offset: Floats
    thresholds: Floats

    @property
    def is_fitted(self) -> Bools:
        """False where a label was left as the network scores it; shape (labels,)."""
        return np.asarray((self.scale != 1) | (self.offset != 0))


def fit_calibration(
    logits: Floats, targets: Bools, articles: npt.NDArray[Any], policy: str = "f1"
) -> Calibration:
    """Scale, offset and threshold, per label.

    Scale and offset (Platt) or the scale alone (temperature): whichever gives the lower log loss
    on articles that it was not fitted on. A label with fewer than ``MIN_POSITIVES`` positives or
    negatives is left alone, at 0.5 or, where a precision is wanted, at ``NEVER``.

    Args:
        logits: shape (texts, labels), from models that did not see the text.
        targets: shape (texts, labels).
        articles: shape (texts,), which article each text is of.
        policy: as ``parse_policy`` reads it.
    """
    precision = parse_policy(policy)
    labels = logits.shape[1]
    scale, offset, thresholds = np.ones(labels), np.zeros(labels), np.full(labels, 0.5)
    for column in range(labels):
        truth = targets[:, column]
        if min(truth.sum(), (~truth).sum()) < MIN_POSITIVES:
            thresholds[column] = 0.5 if precision is None else NEVER
            continue
        found = _line(logits[:, column], truth, articles)
        # A negative slope would turn the ranking round: then the label was not learnt.
        if found[0] > 0:
            scale[column], offset[column] = found
        probabilities = 1 / (1 + np.exp(-(scale[column] * logits[:, column] + offset[column])))
        thresholds[column] = (
            best_threshold(probabilities, truth)
            if precision is None
            else precise_threshold(probabilities, truth, precision)
        )
    return Calibration(scale=scale, offset=offset, thresholds=thresholds)


def _line(logits: Floats, truth: Bools, articles: npt.NDArray[Any]) -> tuple[float, float]:
    """Scale and offset of one label, the offset 0 where it does not help unseen articles."""
    losses = {True: 0.0, False: 0.0}
    folds = min(5, len(set(articles)))
    if folds > 1:
        for inside, outside in GroupKFold(folds).split(logits, groups=articles):
            if len(set(truth[inside])) < 2:
                continue
            for has_offset in losses:
                scale, offset = _logistic(logits[inside], truth[inside], has_offset)
                powers = scale * logits[outside] + offset
                losses[has_offset] += float(np.logaddexp(0, powers).sum())
                losses[has_offset] -= float(powers[truth[outside]].sum())
    return _logistic(logits, truth, has_offset=losses[True] <= losses[False])


def _logistic(logits: Floats, truth: Bools, has_offset: bool) -> tuple[float, float]:
    line = LogisticRegression(C=1e6, fit_intercept=has_offset).fit(logits[:, None], truth)
    return float(line.coef_[0, 0]), float(np.ravel(line.intercept_)[0])


def fit_temperature(logits: Floats, targets: Bools) -> Calibration:
    """One scale for all labels, 1 / temperature, which makes the targets likeliest; no offsets.

    Thresholds are 0: the best label is given whatever its score. Every label gets a part of a
    row's target by Laplace's rule (one more row of each label), without which the temperature of
    a model that is right in every row would be 0.

    Args:
        logits: shape (texts, labels), from models that did not see the text.
        targets: shape (texts, labels), exactly one true a row.
    """
    rows, labels = logits.shape
    wanted = (targets * rows + 1) / (rows + labels)

    def slope(scale: float) -> float:
        """Of the mean cross-entropy, which is convex in the scale."""
        powers = np.exp(scale * (logits - logits.max(axis=1, keepdims=True)))
        given = powers / powers.sum(axis=1, keepdims=True)
        return float(((given - wanted) * logits).sum(axis=1).mean())

    low, high = SCALES
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return Calibration(
        scale=np.full(labels, np.sqrt(low * high)),
        offset=np.zeros(labels),
        thresholds=np.zeros(labels),
    )


def best_threshold(probabilities: Floats, truth: Bools) -> float:
    """The threshold whose F1 is highest, in the middle of the flat stretch around it.

    F1 over thresholds is a noisy curve; among all thresholds within half a point of its peak the
    median moves least from sample to sample.
    """
    precision, recall, thresholds = precision_recall_curve(truth, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    near_peak = thresholds[f1[:-1] >= f1.max() - 0.005]
    return float(np.clip(np.median(near_peak), 0.01, 0.99))


def precise_threshold(probabilities: Floats, truth: Bools, wanted: float) -> float:
    """The lowest threshold above which at least the ``wanted`` share is right, there and at every
    higher threshold of ``MIN_JUDGED`` or more passages; ``NEVER`` where none is.

    At least ``MIN_JUDGED`` passages are at or above it. It lies midway between the last of them and
    the next lower one, in ``DIGITS`` digits, so that rounding moves no passage across it.
    """
    if len(probabilities) < MIN_JUDGED:
        return NEVER
    order = np.argsort(-probabilities)
    found = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    # A threshold takes in all passages of one probability, or none of them.
    ends = np.flatnonzero(np.append(np.diff(probabilities[order]) != 0, True))
    last = probabilities[order[ends]]
    lower = np.append(last[1:], 0.0)
    middle = ((last + lower) / 2).round(DIGITS)
    is_between = (lower < middle) & (middle <= last)
    is_judged, is_sure = ends + 1 >= MIN_JUDGED, found[ends] >= wanted
    # From the first one down that is judged and fails, nothing is sure.
    holds = np.cumsum(is_judged & ~is_sure) == 0
    kept = np.flatnonzero(is_judged & holds & is_between)
    return float(middle[kept[-1]]) if len(kept) else NEVER


def fold_calibration(model: torch.nn.Module, calibration: Calibration) -> None:
    """Multiply the scale into the last linear layer of a sequence classifier, add the offset.

    Raises:
        ModelError: the network does not end in a linear layer with a bias.
    """
    layer = _last_linear(model, outputs=len(calibration.scale))
    scale = torch.as_tensor(calibration.scale, dtype=layer.weight.dtype)
    offset = torch.as_tensor(calibration.offset, dtype=layer.weight.dtype)
    with torch.no_grad():
        layer.weight.mul_(scale[:, None])
        layer.bias.mul_(scale).add_(offset)


def _last_linear(model: torch.nn.Module, outputs: int) -> Any:
    """Encoder families name it classifier, classifier.out_proj, score, …: found by its shape."""
    layers = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == outputs
    ]
    if not layers or layers[-1].bias is None:
        raise ModelError(
            f"{type(model).__name__} does not end in a linear layer of {outputs} outputs with a "
            "bias, so calibration cannot be folded in; choose another --base"
        )
    return layers[-1]
