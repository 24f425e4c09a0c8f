"""Percentile bootstrap intervals, by article.

Passages of one article resemble each other, so the unit that is drawn is the article, with all its
passages: drawing passages would give intervals that are too narrow (tests/test_bootstrap.py shows
it). Statistics are computed from sums of counts, so ten thousand resamples take about a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin_eval.metrics import Decisions

Array: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 10_000

# Rows of the matrix of draws held at once: 500 × 40,000 articles × 8 bytes is 160 MB.
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A statistic and its 95% interval: the 2.5th and 97.5th percentile of the resamples."""

    value: float
    low: float
    high: float


def interval(value: float, draws: Array) -> Interval:
    """A value on the data themselves, with the percentiles of its resamples (``draws``, flat)."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(value=float(value), low=float(low), high=float(high))


def resample_sums(values: npt.ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Array:
    """Sums over units drawn with replacement, as many as there are.

    ``values`` has the shape (units, …); the result (resamples, …). The draws depend on the seed and
    the number of units alone: two systems measured on the same units with the same seed are
    resampled together, so the difference of their statistics is the paired one.

    Raises:
        ValueError: there is no unit.
    """
    array = np.asarray(values, dtype=np.float64)
    units = len(array)
    if not units:
        raise ValueError("resample_sums needs at least one unit")
    flat = array.reshape(units, -1)
    generator = np.random.default_rng(seed)
    sums = np.empty((resamples, flat.shape[1]))
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        # How often each unit is drawn is multinomial; drawing that is drawing the units.
        times = generator.multinomial(units, np.full(units, 1 / units), size=size)
        sums[start : start + size] = times @ flat
    return sums.reshape(resamples, *array.shape[1:])


def article_counts(truth: Decisions, decided: Decisions, articles: Sequence[str]) -> Array:
    """True positives, false positives and false negatives: shape (articles, labels, 3).

    ``truth`` and ``decided`` have the shape (rows, labels), ``articles`` names the article of each
    row. Articles stand in sorted order, so that two systems on the same rows agree on it.
    """
    names, positions = np.unique(np.asarray(articles), return_inverse=True)
    outcomes = np.stack([truth & decided, ~truth & decided, truth & ~decided], axis=-1)
    counts = np.zeros((len(names), *outcomes.shape[1:]))
    np.add.at(counts, positions, outcomes)
    return counts


def label_f1(counts: Array) -> Array:
    """F1 per label: counts (…, labels, 3) give (…, labels). 0 where nothing was counted."""
    hits = 2 * counts[..., 0]
    total = hits + counts[..., 1] + counts[..., 2]
    return np.divide(hits, total, out=np.zeros_like(total), where=total > 0)


def macro_f1(counts: Array) -> Array:
    """Plain mean of F1 over labels: (…, labels, 3) gives (…)."""
    return np.asarray(label_f1(counts).mean(axis=-1))


def micro_f1(counts: Array) -> Array:
    """F1 of all decisions pooled: (…, labels, 3) gives (…)."""
    return label_f1(counts.sum(axis=-2, keepdims=True))[..., 0]
