"""The bootstrap: sums against scikit-learn, and intervals against the coverage they promise."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import f1_score

from tocsin_eval import bootstrap
from tocsin_eval.bootstrap import (
    Array,
    Decisions,
    article_counts,
    draw_times,
    interval,
    label_f1,
    macro_f1,
    micro_f1,
    resample_sums,
)

PASSAGES = 8


def rows(
    generator: np.random.Generator, articles: int, correlation: float = 0.0
) -> tuple[Decisions, Decisions, npt.NDArray[np.intp]]:
    """Truth and decisions (rows, 2), and the article of each row; of a share of the articles a
    quarter is read wrongly from end to end."""
    count = articles * PASSAGES
    truth = generator.random((count, 2)) < 0.4
    is_wrong = generator.random((count, 2)) < 0.25
    bad_article = np.repeat(generator.random((articles, 1)) < 0.25, PASSAGES, axis=0)
    follows = np.repeat(generator.random((articles, 1)) < correlation, PASSAGES, axis=0)
    decided = truth ^ np.where(follows, bad_article, is_wrong)
    return truth, decided, np.repeat(np.arange(articles), PASSAGES)


def counts_of(truth: Decisions, decided: Decisions, articles: npt.NDArray[np.intp]) -> Array:
    return article_counts(truth, decided, [f"article-{number}" for number in articles])


def test_f1_from_counts_by_article_is_f1_of_the_rows() -> None:
    # The interval would belong to another statistic than the value it stands beside.
    truth, decided, articles = rows(np.random.default_rng(1), articles=13)
    order = np.random.default_rng(2).permutation(len(articles))
    counts = counts_of(truth[order], decided[order], articles[order])
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
    # The shortcut through counts has to be the textbook bootstrap, in mean and in spread.
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


def test_draws_come_in_chunks_and_fewer_are_the_first_of_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rankings take the first thousand draws of the ten thousand, whatever the size of a chunk;
    # a half-filled last chunk must leave no rubbish.
    monkeypatch.setattr(bootstrap, "_CHUNK", 9 * 100)
    chunks = list(draw_times(9, seed=0, resamples=1_234))
    many = np.concatenate(chunks)
    assert (len(chunks), many.shape) == (13, (1_234, 9))
    assert (many.sum(axis=1) == 9).all()
    monkeypatch.undo()
    few = np.concatenate(list(draw_times(9, seed=0, resamples=321)))
    assert np.array_equal(few, many[:321])


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        resample_sums(np.zeros((0, 3)), seed=0)


def test_one_article_alone_gives_no_width() -> None:
    # A file without article names and with one row must not divide by nought.
    draws = resample_sums(np.array([[3.0, 4.0]]), seed=0, resamples=50)
    assert (draws == [3, 4]).all()


def test_an_interval_holds_the_middle_95_percent() -> None:
    found = interval(0.5, np.linspace(0, 1, 1_001))
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_an_interval_leaves_out_the_draws_in_which_its_number_does_not_exist() -> None:
    # Of a rare label some resamples hold none: ROC AUC is NaN in them, not 0.
    draws = np.concatenate([np.linspace(0, 1, 1_001), np.full(500, np.nan)])
    found = interval(0.5, draws)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    for value, some in ((np.nan, draws), (0.5, draws[-500:])):
        nothing = interval(value, some)
        assert np.isnan([nothing.low, nothing.high]).all()
        assert nothing.value == pytest.approx(value, nan_ok=True)


def coverage(correlation: float, by_article: bool = True, trials: int = 2_000) -> float:
    """How often the 95% interval of macro-F1 holds the value of the whole population.

    The trials are samples of 200 articles; their counts are summed without ``article_counts``,
    which would name each of millions of rows. A hundred trials share their draws, which is what
    makes it quick; were all to share them, the luck of one draw would not average out.
    """
    generator, articles = np.random.default_rng(11), 200
    truth, decided, _ = rows(generator, 60_000, correlation)
    population = f1_score(truth, decided, average="macro")
    held = []
    for seed in range(trials // 100):
        truth, decided, _ = rows(generator, 100 * articles, correlation)
        outcomes = np.stack([truth & decided, ~truth & decided, truth & ~decided], axis=-1)
        units = articles if by_article else articles * PASSAGES
        counts = outcomes.reshape(100, units, -1, 2, 3).sum(axis=2).astype(np.float64)
        draws = macro_f1(resample_sums(np.moveaxis(counts, 0, 1), seed=seed, resamples=1_000))
        for value, some in zip(macro_f1(counts.sum(axis=1)).tolist(), draws.T, strict=True):
            found = interval(value, some)
            held.append(found.low <= population <= found.high)
    return float(np.mean(held))


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_the_interval_covers_the_truth_as_often_as_it_says(correlation: float) -> None:
    # An interval that promises 95% and holds 90% would let worse models through the gate.
    assert 0.93 <= coverage(correlation) <= 0.97


def test_drawing_passages_instead_of_articles_would_claim_too_much() -> None:
    # Why the unit is the article: where passages go wrong together, this interval is too narrow.
    assert coverage(correlation=0.7, by_article=False, trials=500) < 0.85
