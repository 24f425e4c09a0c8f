"""Percentile bootstrap intervals, by article.

Passages of one article resemble each other, so the unit that is drawn is the article, with all its
passages: drawing passages would give intervals that are too narrow (tests/test_bootstrap.py shows
it). Statistics are computed from sums over articles, so ten thousand resamples take seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Decisions: TypeAlias = npt.NDArray[np.bool_]

RESAMPLES = 10_000

# Numbers of the matrix of draws held at once: 40 MB as float64.
_CHUNK = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A statistic and its 95% interval: the 2.5th and 97.5th percentile of the resamples.

    A statistic that does not exist (ROC AUC of a label that nothing carries) is NaN throughout;
    one that was not resampled, or of one article, has NaN for its ends.
    """

    value: float
    low: float
    high: float


def interval(value: float, draws: Array) -> Interval:
    """A value on the data themselves, with the percentiles of its resamples (``draws``, flat).

    Resamples in which the statistic does not exist are left out of the percentiles.
    """
    known = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(known):
        return Interval(value=float(value), low=float("nan"), high=float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(value=float(value), low=float(low), high=float(high))


def telling(draws: Array, articles: int) -> Array:
    """The resamples (first axis), or none of them where they are of one article: all alike, they
    would make an interval without width and a difference beyond doubt."""
    return draws if articles > 1 else draws[:0]


def draw_times(units: int, *, seed: int, resamples: int = RESAMPLES) -> Iterator[Array]:
    """How often each unit is drawn when as many are drawn with replacement as there are.

    Yields chunks of shape (some resamples, units), ``resamples`` rows in all. They depend on the
    arguments alone: two systems measured on the same units with the same seed are resampled
    together, so the difference of their statistics is the paired one. Fewer resamples are the
    first ones of more.

    Raises:
        ValueError: there is no unit.
    """
    if not units:
        raise ValueError("a bootstrap needs at least one unit")
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // units)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        # Counting drawn numbers is ten times as fast as multinomial() at 10,000 units.
        drawn = generator.integers(0, units, size=(size, units), dtype=np.int32)
        drawn += np.arange(0, size * units, units, dtype=np.int32)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * units)
        yield counts.reshape(size, units).astype(np.float64)


def resample_sums(values: npt.ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Array:
    """Sums over units drawn with replacement; ``draw_times`` tells how they are drawn.

    ``values`` has the shape (units, …); the result (resamples, …).

    Raises:
        ValueError: there is no unit.
    """
    array = np.asarray(values, dtype=np.float64)
    flat = array.reshape(len(array), -1) if len(array) else array
    times = draw_times(len(array), seed=seed, resamples=resamples)
    return np.concatenate([chunk @ flat for chunk in times]).reshape(resamples, *array.shape[1:])


def article_sums(values: npt.ArrayLike, articles: Sequence[str]) -> Array:
    """Sums of the rows of each article: (rows, …) gives (articles, …).

    Articles stand in sorted order, so that two systems on the same rows agree on it.
    """
    array = np.asarray(values, dtype=np.float64)
    names, positions = np.unique(np.asarray(articles), return_inverse=True)
    sums = np.zeros((len(names), *array.shape[1:]))
    np.add.at(sums, positions, array)
    return sums


def article_counts(truth: Decisions, decided: Decisions, articles: Sequence[str]) -> Array:
    """True positives, false positives and false negatives: shape (articles, labels, 3).

    ``truth`` and ``decided`` have the shape (rows, labels), ``articles`` names the article of each
    row.
    """
    outcomes = np.stack([truth & decided, ~truth & decided, truth & ~decided], axis=-1)
    return article_sums(outcomes, articles)


def ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, 0 where there is nothing to divide by (scikit-learn's zero_division=0)."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)


def label_f1(counts: Array) -> Array:
    """F1 per label: counts (…, labels, 3) give (…, labels). 0 where nothing was counted."""
    hits = 2 * counts[..., 0]
    return ratio(hits, hits + counts[..., 1] + counts[..., 2])


def macro_f1(counts: Array) -> Array:
    """Plain mean of F1 over labels: (…, labels, 3) gives (…)."""
    return np.asarray(label_f1(counts).mean(axis=-1))


def micro_f1(counts: Array) -> Array:
    """F1 of all decisions pooled: (…, labels, 3) gives (…)."""
    return label_f1(counts.sum(axis=-2, keepdims=True))[..., 0]
