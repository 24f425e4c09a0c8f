"""Average precision and ROC AUC of many resamples at once.

Both need the whole ranking, not sums: so each resample is the same sorted rows with other weights,
how often the row's article was drawn, and a thousand of them are computed as running sums.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tocsin_eval.bootstrap import Array, Decisions, ratio

# Resamples times rows held at once: 8 MB an array, which stays in the cache.
_CHUNK = 2_000_000


def resample_rankings(
    truth: Decisions, scores: Array, articles: Sequence[str], draws: Iterable[Array]
) -> tuple[Array, Array]:
    """Average precision and ROC AUC per resample and label, each of shape (resamples, labels).

    ``draws`` are chunks of ``draw_times``: (resamples, articles), articles sorted. NaN where a
    resample holds no row with the label; for ROC AUC also where it holds none without.
    """
    _, article_of = np.unique(np.asarray(articles), return_inverse=True)
    found = [
        _weighted(truth, scores, times[:, article_of])
        for chunk in draws
        for times in _split(chunk, len(truth))
    ]
    precision, area = zip(*found, strict=True)
    return np.concatenate(precision), np.concatenate(area)


def _split(chunk: Array, rows: int) -> Iterator[Array]:
    size = max(1, _CHUNK // rows)
    for start in range(0, len(chunk), size):
        yield chunk[start : start + size]


def _weighted(truth: Decisions, scores: Array, weights: Array) -> tuple[Array, Array]:
    # Weights are small whole numbers and their sums stay below 2**24: float32 holds them exactly.
    narrow = weights.astype(np.float32)
    columns = [
        _label(truth[:, column], scores[:, column], narrow) for column in range(truth.shape[1])
    ]
    precision, area = zip(*columns, strict=True)
    return np.column_stack(precision), np.column_stack(area)


def _label(
    truth: Decisions, scores: Array, weights: npt.NDArray[np.float32]
) -> tuple[Array, Array]:
    """One label: ``weights`` of shape (resamples, rows) give two arrays of shape (resamples,).

    Both numbers are sums over the positive rows: of the precision down to their score, and of the
    negative rows below it. So only the running sums at the positives are kept.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positives = scores[order], np.flatnonzero(truth[order])
    if not len(positives):
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing
    # Equal scores cannot be told apart: a positive stands with all that share its score.
    first = np.searchsorted(-ranked, -ranked[positives], side="left")
    end = np.searchsorted(-ranked, -ranked[positives], side="right")
    given = np.zeros((len(weights), len(order) + 1), np.float32)
    np.cumsum(weights[:, order], axis=1, out=given[:, 1:])
    own = weights[:, order[positives]]
    hits = np.zeros((len(weights), len(positives) + 1), np.float32)
    np.cumsum(own, axis=1, out=hits[:, 1:])
    # Positives above a score, and down to it, told by their numbers in the ranking.
    above = hits[:, np.searchsorted(positives, first)].astype(np.float64)
    through = hits[:, np.searchsorted(positives, end)].astype(np.float64)
    at_end = given[:, end].astype(np.float64)
    carried, total = hits[:, -1].astype(np.float64), given[:, -1].astype(np.float64)
    negatives = total - carried
    below = negatives[:, None] - (at_end - through)
    tied = (at_end - through) - (given[:, first] - above)
    average = ratio((own * ratio(through, at_end)).sum(axis=1), carried)
    area = ratio((own * (below + tied / 2)).sum(axis=1), carried * negatives)
    average[carried == 0] = np.nan
    area[(carried == 0) | (negatives == 0)] = np.nan
    return average, area
