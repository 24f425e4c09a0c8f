"""The bootstrap: counts against scikit-learn, and intervals against the coverage they promise."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import f1_score

from tocsin_eval.bootstrap import (
    article_counts,
    interval,
    label_f1,
    macro_f1,
    micro_f1,
    resample_sums,
)


def rows(
    generator: np.random.Generator, articles: int, passages: int, correlation: float = 0.0
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], list[str]]:
    """Truth and decisions (rows, 2); a share of articles is read wrongly from end to end."""
    count = articles * passages
    truth = generator.random((count, 2)) < 0.4
    is_wrong = generator.random((count, 2)) < 0.25
    bad_article = np.repeat(generator.random((articles, 1)) < 0.25, passages, axis=0)
    follows = np.repeat(generator.random((articles, 1)) < correlation, passages, axis=0)
    decided = truth ^ np.where(follows, bad_article, is_wrong)
    return truth, decided, [f"article-{index // passages}" for index in range(count)]


def test_f1_from_counts_by_article_is_f1_of_the_rows() -> None:
    # The interval would belong to another statistic than the value it stands beside.
    truth, decided, articles = rows(np.random.default_rng(1), articles=13, passages=5)
    order = np.random.default_rng(2).permutation(len(articles))
    counts = article_counts(truth[order], decided[order], [articles[index] for index in order])
    assert counts.shape == (13, 2, 3)
    total = counts.sum(axis=0)
    assert label_f1(total) == pytest.approx(f1_score(truth, decided, average=None))
    assert macro_f1(total) == pytest.approx(f1_score(truth, decided, average="macro"))
    assert micro_f1(total) == pytest.approx(f1_score(truth, decided, average="micro"))


def test_f1_of_no_counts_is_nought() -> None:
    # A resample without a rare label must not give nan: one nan spoils every percentile.
    assert label_f1(np.zeros((2, 3))).tolist() == [0, 0]
    assert micro_f1(np.zeros((2, 3))) == 0


def test_resampled_sums_agree_with_resampling_rows_one_by_one() -> None:
    # The multinomial shortcut has to be the textbook bootstrap, in mean and in spread.
    values = np.random.default_rng(3).gamma(1.0, size=(40, 2))
    fast = resample_sums(values, seed=0, resamples=20_000)
    generator = np.random.default_rng(4)
    slow = np.array([values[generator.integers(0, 40, 40)].sum(axis=0) for _ in range(20_000)])
    assert fast.mean(axis=0) == pytest.approx(slow.mean(axis=0), rel=0.01)
    assert fast.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.03)


def test_the_same_seed_draws_the_same_articles_for_two_systems() -> None:
    # The paired difference rests on it: two unlike draws would make the interval far too wide.
    values = np.random.default_rng(5).random((30, 3))
    first = resample_sums(values, seed=7, resamples=600)
    second = resample_sums(values + 1.0, seed=7, resamples=600)
    # Every resample has 30 units, so it gains exactly 30 in each column.
    assert second - first == pytest.approx(30.0)
    assert not np.array_equal(first, resample_sums(values, seed=8, resamples=600))


def test_a_resample_has_as_many_articles_as_the_data() -> None:
    # Also across the edge of a chunk: a half-filled last chunk would leave rubbish in the array.
    assert (resample_sums(np.ones((9, 1)), seed=0, resamples=1_234) == 9).all()


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        resample_sums(np.zeros((0, 3)), seed=0)


def test_an_interval_holds_the_middle_95_percent() -> None:
    found = interval(0.5, np.linspace(0, 1, 1_001))
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def coverage(correlation: float, by_article: bool, trials: int = 200) -> float:
    """How often the 95% interval of macro-F1 holds the value of the whole population."""
    generator = np.random.default_rng(11)
    truth, decided, _ = rows(generator, articles=40_000, passages=8, correlation=correlation)
    population = f1_score(truth, decided, average="macro")
    held = 0
    for trial in range(trials):
        truth, decided, articles = rows(generator, 60, 8, correlation)
        units = articles if by_article else [str(index) for index in range(len(articles))]
        counts = article_counts(truth, decided, units)
        draws = macro_f1(resample_sums(counts, seed=trial, resamples=400))
        found = interval(float(macro_f1(counts.sum(axis=0))), draws)
        held += found.low <= population <= found.high
    return held / trials


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    # 200 trials of 95%: fewer than 0.90 or none outside would both be wrong.
    assert 0.90 <= coverage(correlation=0.0, by_article=True) <= 0.99
    assert 0.90 <= coverage(correlation=0.7, by_article=True) <= 0.99


def test_drawing_passages_instead_of_articles_would_claim_too_much() -> None:
    # Why the unit is the article: where passages go wrong together, this interval is too narrow.
    assert coverage(correlation=0.7, by_article=False, trials=60) < 0.85
