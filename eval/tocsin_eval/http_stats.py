"""What is told of the answers: rates and percentiles with intervals, and what was wrong.

The unit that is drawn for an interval is a second with all its requests: requests of one moment
wait in the same queue and are fast and slow together (as passages of an article are, eval/README).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin_eval.bootstrap import RESAMPLES, Interval, interval, resample_sums
from tocsin_eval.load import Outcome
from tocsin_models.errors import DataError

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

SHARES = (0.50, 0.95, 0.99)
SLICE_S = 1.0

# Rows of the matrix of weights held at once: 100 × 20,000 requests × 8 bytes is 16 MB.
_CHUNK = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic with its resamples, so that ratios of two of them have intervals too."""

    value: float
    draws: Array

    @property
    def interval(self) -> Interval:
        with np.errstate(invalid="ignore"):  # between two infinite draws there is no percentile
            return interval(self.value, self.draws)

    def over(self, other: "Estimate") -> "Estimate":
        """The ratio to something measured apart: draws of both are independent where their seeds
        were different. A draw without a single answer in the other makes it infinite."""
        with np.errstate(divide="ignore"):
            return Estimate(value=self.value / other.value, draws=self.draws / other.draws)

    def times(self, factor: float) -> "Estimate":
        return Estimate(value=self.value * factor, draws=self.draws * factor)


def succeeded(outcome: Outcome) -> Mask:
    """Answered with 200 and every row of it scored."""
    return np.asarray((outcome.status == 200) & (outcome.row_errors == 0))


def with_status(status: int) -> Callable[[Outcome], Mask]:
    return lambda outcome: np.asarray(outcome.status == status)


def by_second(outcome: Outcome, chosen: Callable[[Outcome], Mask] = succeeded) -> Array:
    """The chosen answers that came in each of the seconds that count."""
    edges = _edges(outcome)
    answers, _ = np.histogram(outcome.done_s[chosen(outcome)], bins=edges)
    return np.asarray(answers / np.diff(edges))


def rate(
    outcomes: Sequence[Outcome],
    chosen: Callable[[Outcome], Mask] = succeeded,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Answers a second: of the chosen requests those that were done in the seconds that count."""
    each = np.concatenate([by_second(outcome, chosen) for outcome in outcomes])
    sums = resample_sums(each, seed=seed, resamples=resamples)
    return Estimate(value=float(each.mean()), draws=sums / len(each))


def percentiles(
    outcomes: Sequence[Outcome],
    chosen: Callable[[Outcome], Mask] = succeeded,
    *,
    of: Callable[[Outcome], Array] = lambda outcome: np.asarray(outcome.latency_s),
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[Estimate, ...]:
    """For each share, the least latency that at least this share of the chosen requests stayed
    within (the nearest rank: one that was observed), in seconds; of requests that were due in the
    seconds that count.

    Raises:
        DataError: there is no such request.
    """
    values, owners, seen = [], [], 0
    for outcome in outcomes:
        mask = outcome.counts & chosen(outcome)
        edges = _edges(outcome)
        values.append(of(outcome)[mask])
        owners.append(seen + np.searchsorted(edges, outcome.due_s[mask], side="right") - 1)
        seen += len(edges) - 1
    flat = np.concatenate(values) if values else np.zeros(0)
    if not len(flat):
        raise DataError("no request to take a latency of; give the phase more seconds")
    order = np.argsort(flat, kind="stable")
    latencies = flat[order]
    _, slices = np.unique(np.concatenate(owners)[order], return_inverse=True)
    wanted = np.array(shares)
    draws = np.empty((resamples, len(shares)))
    generator = np.random.default_rng(seed)
    units = int(slices.max()) + 1
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        times = generator.multinomial(units, np.full(units, 1 / units), size=size)
        draws[start : start + size] = _ranked(latencies, times[:, slices], wanted)
    value = _ranked(latencies, np.ones((1, len(latencies)), np.int64), wanted)[0]
    return tuple(
        Estimate(value=float(value[index]), draws=draws[:, index]) for index in range(len(shares))
    )


def _ranked(latencies: Array, weights: npt.NDArray[np.int64], shares: Array) -> Array:
    """Percentiles of sorted values by weight: shape (rows of weights, shares)."""
    sums = np.cumsum(weights, axis=1)
    ranks = np.maximum(1, np.ceil(shares * sums[:, -1:] - 1e-9))
    places = [np.searchsorted(row, rank) for row, rank in zip(sums, ranks, strict=True)]
    return np.asarray(latencies[np.array(places)])


def _edges(outcome: Outcome) -> Array:
    slices = max(1, round(outcome.seconds / SLICE_S))
    return np.linspace(0.0, outcome.seconds, slices + 1)


def statuses(outcomes: Sequence[Outcome]) -> str:
    """How many requests of each status, those without an answer by what failed."""
    found = Counter(str(status) for outcome in outcomes for status in outcome.status if status)
    for outcome in outcomes:
        found.update(outcome.failures)
    return ", ".join(f"{name}: {times:,}" for name, times in sorted(found.items())) or "none"


def broken_refusals(outcome: Outcome) -> int:
    """Requests that were refused otherwise than with 429 and a Retry-After of whole seconds."""
    refused = outcome.status != 200
    proper = (outcome.status == 429) & (outcome.retry_after_s >= 1)
    return int(np.count_nonzero(refused & ~proper))


def generator_share(outcomes: Sequence[Outcome]) -> float:
    """Cores that the load generator took (0.1 is a tenth of one)."""
    return sum(outcome.cpu_s for outcome in outcomes) / sum(one.wall_s for one in outcomes)
