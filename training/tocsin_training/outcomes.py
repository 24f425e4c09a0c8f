"""What trainings of one recipe make of the same held-out passages, side by side."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin_eval.bootstrap import (
    Array,
    Decisions,
    Interval,
    article_counts,
    draw_times,
    interval,
    macro_f1,
    resample_sums,
)
from tocsin_eval.ranking import resample_rankings


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``more`` is average precision less that of the first training, on the same resamples;
    ``flips`` the share of decisions that other names change, on passages that hold a name (NaN
    where none does)."""

    name: str
    passages: int
    macro_f1: Interval
    average_precision: Interval
    more: Interval
    flips: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one training says of the held-out passages, (rows, labels): its ``scores``, the labels
    ``given``, and those given with other names. ``passages`` is how many it was trained on."""

    name: str
    passages: int
    scores: Array
    given: Decisions
    given_swapped: Decisions


def compare_answers(
    answers: Sequence[Answers],
    truth: Decisions,
    articles: Sequence[str],
    has_name: Decisions,
    seed: int,
) -> list[Outcome]:
    """Each training beside the first; intervals are bootstrapped over articles.

    Args:
        truth: which label each passage carries, (rows, labels).
        articles: the article of each passage.
        has_name: whether a passage reads otherwise with other names, (rows,).
    """
    outcomes = []
    first_draws, first_value = np.zeros(0), 0.0
    for index, found in enumerate(answers):
        counts = article_counts(truth, found.given, articles)

        def precision(draws: Iterable[Array], scores: Array = found.scores) -> Array:
            return np.asarray(resample_rankings(truth, scores, articles, draws)[0].mean(axis=1))

        value = float(precision([np.ones((1, len(counts)))])[0])
        draws = precision(draw_times(len(counts), seed=seed))
        if not index:
            first_value, first_draws = value, draws
        flipped = found.given[has_name] != found.given_swapped[has_name]
        outcomes.append(
            Outcome(
                name=found.name,
                passages=found.passages,
                macro_f1=interval(
                    float(macro_f1(counts.sum(axis=0))), macro_f1(resample_sums(counts, seed=seed))
                ),
                average_precision=interval(value, draws),
                more=interval(value - first_value, draws - first_draws),
                flips=float(flipped.mean()) if has_name.any() else float("nan"),
            )
        )
    return outcomes


def render_outcomes(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table."""
    lines = [
        "| trained | passages | macro-F1 at 0.5 | average precision | beside the first row | "
        "decisions that flip with names |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for index, row in enumerate(outcomes):
        more = f"{row.more.value:+.3f} ({row.more.low:+.3f} to {row.more.high:+.3f})"
        cells = [
            row.name,
            f"{row.passages:,}",
            _range(row.macro_f1),
            _range(row.average_precision),
            more if index else "–",
            "–" if math.isnan(row.flips) else f"{row.flips:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _range(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
