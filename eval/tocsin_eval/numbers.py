"""Every number of every subject with its interval, and what the first has more than the others.

All subjects are resampled in the same draws, so an interval of a difference is the paired one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin_eval.bootstrap import (
    RESAMPLES,
    Array,
    Interval,
    draw_times,
    interval,
    resample_sums,
    telling,
)
from tocsin_eval.classification import Predictions, row_sums, statistics, values
from tocsin_eval.ranking import resample_rankings
from tocsin_eval.significance import (
    Difference,
    Statistics,
    bootstrap_p,
    compare,
    holm,
    least_p,
    swap_sums,
)

# Rankings cost more than sums: a thousand resamples put the ends of an interval within 0.005.
RANKING_RESAMPLES = 1_000

# Numbers that each label has, named before it: "f1_threat".
_OF_LABELS = (
    *("precision", "recall", "f1", "precision_at_half", "recall_at_half", "f1_at_half"),
    *("brier", "ece", "average_precision", "roc_auc"),
)

Metrics = Mapping[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Of each subject its numbers by name; of each but the first what the first has more."""

    metrics: tuple[Metrics, ...]
    differences: tuple[Mapping[str, Difference], ...]


def measure_classifiers(
    subjects: Sequence[Predictions], *, seed: int, resamples: int = RESAMPLES
) -> Numbers:
    """Numbers of ``classification.values``. Rankings are resampled ``RANKING_RESAMPLES`` times; of
    means over rows at 0.5 only the value is told."""
    first = subjects[0]
    labels = first.labels

    def numbers_of(sums: Array) -> Mapping[str, Array]:
        return statistics(sums, labels, first.is_single_label)

    names = tuple(numbers_of(row_sums(first).sum(axis=0)))
    sums = np.stack([row_sums(found) for found in subjects], axis=1)
    known = [values(found) for found in subjects]
    summed = _measure(sums, numbers_of, known, _families(names, labels), seed, resamples)
    rankings = [_rankings(found, seed, min(resamples, RANKING_RESAMPLES)) for found in subjects]
    ranked = [
        {name: interval(known[index][name], draws) for name, draws in rankings[index].items()}
        for index in range(len(subjects))
    ]
    rest = [
        {
            name: Interval(value=value, low=float("nan"), high=float("nan"))
            for name, value in one.items()
            if name not in names and name not in rankings[0]
        }
        for one in known
    ]
    return Numbers(
        metrics=tuple(
            {**of_sums, **of_ranks, **others}
            for of_sums, of_ranks, others in zip(summed.metrics, ranked, rest, strict=True)
        ),
        differences=tuple(
            {
                **of_sums,
                **_ranking_differences(known, rankings, index, labels, least_p(len(sums))),
            }
            for index, of_sums in enumerate(summed.differences, start=1)
        ),
    )


def measure_means(
    subjects: Sequence[Array], names: Sequence[str], *, seed: int, resamples: int = RESAMPLES
) -> Numbers:
    """Means over articles of numbers that each article has (NaN: the article has none, and is left
    out of the mean). Each subject is of shape (articles, names)."""

    def numbers_of(sums: Array) -> Mapping[str, Array]:
        total, count = np.split(sums, 2, axis=-1)
        means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return {name: means[..., column] for column, name in enumerate(names)}

    sums = np.stack(
        [np.concatenate([np.nan_to_num(one), ~np.isnan(one)], axis=1) for one in subjects], axis=1
    )
    known = [
        {name: float(value) for name, value in numbers_of(sums[:, index].sum(axis=0)).items()}
        for index in range(len(subjects))
    ]
    return _measure(sums, numbers_of, known, [[name] for name in names], seed, resamples)


def _measure(
    sums: Array,
    numbers_of: Statistics,
    known: Sequence[Mapping[str, float]],
    families: Sequence[Sequence[str]],
    seed: int,
    resamples: int,
) -> Numbers:
    """``sums`` has the shape (articles, subjects, columns)."""
    drawn = telling(resample_sums(sums, seed=seed, resamples=resamples), len(sums))
    metrics = []
    for index, one in enumerate(known):
        draws = numbers_of(drawn[:, index])
        metrics.append({name: interval(one[name], draws[name]) for name in draws})
    if len(known) == 1:
        return Numbers(metrics=tuple(metrics), differences=())
    others = range(1, len(known))
    pairs = np.stack([sums[:, [0, index]] for index in others], axis=1)
    swapped = swap_sums(pairs, seed=seed, resamples=resamples)
    total = pairs.sum(axis=0)
    found = [
        compare(total[index - 1], drawn[:, [0, index]], swapped[:, index - 1], numbers_of, families)
        for index in others
    ]
    return Numbers(
        metrics=tuple(metrics),
        differences=tuple({item.name: item for item in one} for one in found),
    )


def _families(names: Sequence[str], labels: Sequence[str]) -> list[list[str]]:
    """Numbers that are tested together: the same number of every label is one question asked as
    often as there are labels."""
    by_label = [[f"{stem}_{label}" for label in labels] for stem in _OF_LABELS]
    families = [family for family in by_label if set(family) <= set(names)]
    taken = {name for family in families for name in family}
    return [*([name] for name in names if name not in taken), *families]


def _rankings(found: Predictions, seed: int, resamples: int) -> dict[str, Array]:
    """Resampled average precision and ROC AUC by name, each of shape (resamples,)."""
    units = len(set(found.articles))
    draws = draw_times(units, seed=seed, resamples=resamples)
    precision, area = resample_rankings(found.truth, found.scores, found.articles, draws)
    result = {"average_precision": _mean(precision, 0.0), "roc_auc": _mean(area, np.nan)}
    for column, label in enumerate(found.labels):
        result[f"average_precision_{label}"] = precision[:, column]
        result[f"roc_auc_{label}"] = area[:, column]
    return {name: telling(draws, units) for name, draws in result.items()}


def _mean(draws: Array, absent: float) -> Array:
    """Mean over labels; a label that a resample does not carry counts as ``absent``, as it does on
    the data themselves."""
    filled = np.where(np.isnan(draws), absent, draws)
    known = ~np.isnan(filled)
    total = np.where(known, filled, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(draws), np.nan), where=count > 0)
    return mean


def _ranking_differences(
    known: Sequence[Mapping[str, float]],
    rankings: Sequence[Mapping[str, Array]],
    index: int,
    labels: Sequence[str],
    least: float,
) -> dict[str, Difference]:
    names = list(rankings[0])
    draws = {name: rankings[0][name] - rankings[index][name] for name in names}
    result = {}
    for family in _families(names, labels):
        p_values = [max(least, bootstrap_p(draws[name])) for name in family]
        for name, p, corrected in zip(family, p_values, holm(p_values), strict=True):
            value = known[0][name] - known[index][name]
            result[name] = Difference(
                name=name,
                difference=interval(value, draws[name]),
                p_bootstrap=p,
                p_randomisation=float("nan"),
                p_holm=corrected,
            )
    return result
