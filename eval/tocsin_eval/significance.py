"""Is one system better than another, or is it luck? Two tests on the same articles.

The paired bootstrap resamples articles (Efron and Tibshirani 1993, chapter 16; Berg-Kirkpatrick et
al. 2012 for language processing). Approximate randomisation swaps the two systems' answers article
by article (Noreen 1989; Yeh 2000): were they alike, the swaps would not matter. Several labels are
several tries, so their p-values are corrected (Holm 1979).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin_eval.bootstrap import RESAMPLES, Array, Interval, interval

# Differences computed in another order are the same difference.
_ROUNDING = 1e-12

# Sums of shape (…, columns) -> numbers of shape (…), by name.
Statistics = Callable[[Array], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One number of one system less that of another, on the same articles.

    ``p_bootstrap`` and ``p_randomisation`` are two-sided; ``p_holm`` is the latter corrected over
    the labels it was tested with (equal to it for a number that stands alone).
    """

    name: str
    difference: Interval
    p_bootstrap: float
    p_randomisation: float
    p_holm: float

    @property
    def p(self) -> float:
        """Of the randomisation, which is exact; of the bootstrap, and at least ``least_p``, for
        numbers that know no sums, and so cannot be swapped (average precision)."""
        return self.p_bootstrap if np.isnan(self.p_randomisation) else self.p_randomisation


def compare(
    pair: Array,
    drawn: Array,
    swapped: Array,
    statistics: Statistics,
    families: Sequence[Sequence[str]],
) -> list[Difference]:
    """What the first system has more than the second, for every name in ``families``; each family
    is corrected together.

    Args:
        pair: sums of both over all articles, shape (2, columns).
        drawn: the same of each bootstrap resample, (resamples, 2, columns).
        swapped: the same of each random swap, (swaps, 2, columns); see ``swap_sums``.
    """
    observed, draws, swaps = (_difference(sums, statistics) for sums in (pair, drawn, swapped))
    result = []
    for family in families:
        p_values = [randomisation_p(float(observed[name]), swaps[name]) for name in family]
        for name, p, corrected in zip(family, p_values, holm(p_values), strict=True):
            result.append(
                Difference(
                    name=name,
                    difference=interval(float(observed[name]), draws[name]),
                    p_bootstrap=bootstrap_p(draws[name]),
                    p_randomisation=p,
                    p_holm=corrected,
                )
            )
    return result


def bootstrap_p(draws: Array) -> float:
    """Two-sided p of "no difference" from resampled differences (flat): twice the share of draws on
    the rarer side of 0, the observed one counted with them."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return 1.0
    rarer = min(int((known <= _ROUNDING).sum()), int((known >= -_ROUNDING).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(known)))


def least_p(articles: int) -> float:
    """The least two-sided p that swaps of so many articles can give: of their 2**articles ways two
    differ most. The bootstrap knows no such bound, and of few articles claims far more."""
    return min(1.0, 2.0 ** (1 - articles))


def randomisation_p(observed: float, swapped: Array) -> float:
    """Two-sided p: the share of swaps with a difference at least as large, the observed one counted
    with them (Noreen 1989). A swap in which the number does not exist counts as large: it is no
    evidence."""
    if np.isnan(observed):
        return 1.0
    as_large = ~(np.abs(swapped) < abs(observed) - _ROUNDING)
    return float((1 + as_large.sum()) / (1 + len(swapped)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given; each at most 1."""
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def swap_sums(pairs: Array, *, seed: int, resamples: int = RESAMPLES) -> Array:
    """Sums over all articles, after each article's answers were swapped with probability a half.

    ``pairs`` has the shape (articles, …, 2, columns), the result (resamples, …, 2, columns).
    """
    articles = len(pairs)
    first, second = pairs[..., 0, :], pairs[..., 1, :]
    gain = (second - first).reshape(articles, -1)
    total = (first + second).sum(axis=0)
    # A stream of its own: the swaps have nothing to do with the bootstrap's draws.
    generator = np.random.default_rng([seed, 1])
    bits = -(-articles // 8)
    size = max(1, 5_000_000 // articles)
    mixed = []
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        coins = np.frombuffer(generator.bytes(rows * bits), np.uint8).reshape(rows, bits)
        is_swapped = np.unpackbits(coins, axis=1, count=articles).astype(np.float64)
        mixed.append(is_swapped @ gain)
    ones = first.sum(axis=0) + np.concatenate(mixed).reshape(resamples, *first.shape[1:])
    return np.stack([ones, total - ones], axis=-2)


def _difference(sums: Array, statistics: Statistics) -> dict[str, Any]:
    """Numbers of the first system less those of the second: (…, 2, columns) gives (…) by name."""
    first, second = statistics(sums[..., 0, :]), statistics(sums[..., 1, :])
    return {name: first[name] - second[name] for name in first}
