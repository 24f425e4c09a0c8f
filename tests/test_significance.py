"""Is one system better, or is it luck? False alarms and power in simulations, Holm by hand."""

from collections.abc import Mapping
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_eval.bootstrap import Array, label_f1, macro_f1, resample_sums
from tocsin_eval.significance import (
    Difference,
    bootstrap_p,
    compare,
    holm,
    least_p,
    randomisation_p,
    swap_sums,
)

ARTICLES, PASSAGES, RESAMPLES = 100, 6, 400
FAMILIES = (("macro_f1",), ("f1_0", "f1_1"))


def statistics(sums: Array) -> Mapping[str, Array]:
    counts = sums.reshape(*sums.shape[:-1], 2, 3)
    by_label = label_f1(counts)
    return {"macro_f1": macro_f1(counts), "f1_0": by_label[..., 0], "f1_1": by_label[..., 1]}


@cache
def simulate(trials: int, second_error: float) -> list[dict[str, Difference]]:
    """Data sets with two systems: the first is wrong in a fifth of its decisions. Passages of an
    article resemble each other, in what they carry and in how hard they are to read, for both.

    Fifty data sets share their resamples, which is what makes it quick; were all to share them,
    the luck of one draw would not average out.
    """
    generator = np.random.default_rng(5)
    found = []
    for seed in range(trials // 50):
        sums = answers(generator, 50, second_error)
        drawn = resample_sums(sums, seed=seed, resamples=RESAMPLES)
        swapped = swap_sums(sums, seed=seed, resamples=RESAMPLES)
        for pair, draws, swaps in zip(
            sums.sum(axis=0), np.moveaxis(drawn, 1, 0), np.moveaxis(swapped, 1, 0), strict=True
        ):
            compared = compare(pair, draws, swaps, statistics, FAMILIES)
            found.append({one.name: one for one in compared})
    return found


def answers(generator: np.random.Generator, trials: int, second_error: float) -> Array:
    """Counts of shape (articles, trials, 2, columns)."""
    shape = (ARTICLES, trials, PASSAGES, 1, 2)
    topic = generator.random((ARTICLES, trials, 1, 1, 2))
    truth = generator.random(shape) < 0.7 * topic
    hard = generator.random((ARTICLES, trials, 1, 1, 1)) * 2
    errors = np.array([0.2, second_error])[:, None]
    decided = truth ^ (generator.random((ARTICLES, trials, PASSAGES, 2, 2)) < hard * errors)
    outcomes = np.stack([truth & decided, ~truth & decided, truth & ~decided], axis=-1)
    return np.asarray(outcomes.sum(axis=2, dtype=np.float64)).reshape(ARTICLES, trials, 2, 6)


@pytest.mark.parametrize("name", ["macro_f1", "f1_0"])
def test_of_two_equally_good_systems_one_is_called_better_in_5_of_100(name: str) -> None:
    # The promise of both tests; more, and the gate would stop retrainings for nothing.
    found = [trial[name] for trial in simulate(2_000, 0.2)]
    assert 0.035 <= np.mean([one.p_bootstrap < 0.05 for one in found]) <= 0.065
    assert 0.035 <= np.mean([one.p_randomisation < 0.05 for one in found]) <= 0.065
    # The interval says the same as its test.
    misses = [not one.difference.low <= 0 <= one.difference.high for one in found]
    assert 0.035 <= np.mean(misses) <= 0.065


def test_several_labels_together_raise_no_more_alarms_than_one() -> None:
    # What Holm's correction is for: without it two labels alarm in nearly 10 of 100.
    found = [(trial["f1_0"], trial["f1_1"]) for trial in simulate(2_000, 0.2)]
    assert np.mean([any(one.p < 0.05 for one in labels) for labels in found]) > 0.07
    assert np.mean([any(one.p_holm < 0.05 for one in labels) for labels in found]) <= 0.065


def test_a_real_difference_is_found() -> None:
    # Tests that never alarm would pass those above.
    found = [trial["macro_f1"] for trial in simulate(200, 0.28)]
    assert np.mean([one.p_bootstrap < 0.05 for one in found]) > 0.8
    assert np.mean([one.p_randomisation < 0.05 for one in found]) > 0.8
    assert np.mean([one.difference.low > 0 for one in found]) > 0.8


def naive_holm(p_values: list[float]) -> list[float]:
    """Holm's definition: the least level at which each hypothesis is rejected, stepping down."""

    def adjusted(index: int) -> float:
        smaller = [p for p in p_values if p <= p_values[index]]
        steps = [p * (1 + sum(other >= p for other in p_values) - 1) for p in smaller]
        return min(1.0, max(steps))

    return [adjusted(index) for index in range(len(p_values))]


@given(st.lists(st.floats(0, 1) | st.sampled_from((0.01, 0.02, 1.0)), min_size=1, max_size=8))
def test_holm_is_its_definition(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert corrected == pytest.approx(naive_holm(p_values))
    # A correction never makes a finding surer, and never turns two findings round.
    assert all(after >= before for before, after in zip(p_values, corrected, strict=True))
    by_p = [after for _, after in sorted(zip(p_values, corrected, strict=True))]
    assert by_p == sorted(by_p)


def test_holm_on_an_example_worked_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 (not below the one before), 0.5; in the order given.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])


def test_swaps_are_all_ways_to_swap_and_each_as_likely() -> None:
    # Three articles have eight ways; a coin that favours a side would bias the test.
    pairs = np.array([[[1.0], [0.0]], [[2.0], [0.0]], [[4.0], [0.0]]])
    found = swap_sums(pairs, seed=0, resamples=16_000)
    assert (found.sum(axis=1) == 7).all()
    ways, times = np.unique(found[:, 0, 0], return_counts=True)
    assert ways.tolist() == list(range(8))
    assert times == pytest.approx(2_000, rel=0.1)


def test_each_article_is_swapped_whole_and_for_all_comparisons_at_once() -> None:
    # Swapping single passages, or numbers one by one, would test another hypothesis.
    generator = np.random.default_rng(6)
    pairs = np.stack([generator.random((11, 2, 3)), generator.random((11, 2, 3))], axis=1)
    pairs[:, 1] = 10 * pairs[:, 0]
    found = swap_sums(pairs, seed=0, resamples=64)
    assert found.shape == (64, 2, 2, 3)
    assert found[:, 1] == pytest.approx(10 * found[:, 0])
    assert found.sum(axis=-2) == pytest.approx(np.broadcast_to(pairs.sum(axis=(0, -2)), (64, 2, 3)))


def test_swaps_are_told_by_the_seed() -> None:
    # A p-value that cannot be computed again is no evidence.
    pairs = np.random.default_rng(7).random((30, 2, 4))
    first, again, other = (swap_sums(pairs, seed=seed, resamples=100) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("articles", [1, 2, 3, 8])
def test_no_test_of_so_many_articles_is_surer_than_all_swaps_of_them(articles: int) -> None:
    # With two articles the bootstrap of a ranking says p 0.001 of any two systems.
    ways = np.array(list(product((1, -1), repeat=articles))) @ np.arange(1, articles + 1)
    as_large = np.abs(ways) >= ways.max()
    assert least_p(articles) == as_large.mean()
    assert least_p(5_000) == 0


def test_randomisation_p_is_exact_where_all_swaps_can_be_listed() -> None:
    # Five articles that all favour the first by 1: 2 of 32 ways are as large as 5.
    pairs = np.stack([np.ones((5, 1)), np.zeros((5, 1))], axis=1)
    swaps = swap_sums(pairs, seed=0, resamples=20_000)
    found = randomisation_p(5.0, (swaps[:, 0] - swaps[:, 1]).ravel())
    assert found == pytest.approx(2 / 32, abs=0.006)


def test_no_difference_is_no_finding_though_sums_are_rounded() -> None:
    # Two like systems differ by 1e-17 in a resample where sums are added in another order.
    for noise in (0.0, 1e-17, -1e-17):
        assert bootstrap_p(np.full(999, noise)) == 1
        assert randomisation_p(noise, np.zeros(999)) == 1


def test_p_counts_what_was_seen_and_is_never_nought() -> None:
    # 1,000 resamples cannot show that something never happens (Davison and Hinkley 1997, 4.2).
    assert bootstrap_p(np.ones(999)) == pytest.approx(2 / 1_000)
    assert bootstrap_p(-np.ones(999)) == pytest.approx(2 / 1_000)
    assert randomisation_p(1.0, np.zeros(999)) == pytest.approx(1 / 1_000)
    assert randomisation_p(-1.0, np.array([1.0, -1.0, 0.5])) == pytest.approx(3 / 4)


def test_a_number_that_does_not_exist_is_no_finding() -> None:
    # ROC AUC of a label that nothing carries; a swap without any number is no evidence either.
    nothing = np.full(9, np.nan)
    assert bootstrap_p(nothing) == randomisation_p(np.nan, nothing) == 1
    assert randomisation_p(0.5, np.array([np.nan, 0.1, 0.1])) == pytest.approx(2 / 4)
    assert bootstrap_p(np.array([np.nan, 1.0, 1.0, -1.0])) == 1


def test_the_p_of_a_number_without_sums_is_that_of_the_bootstrap() -> None:
    # Average precision cannot be swapped; the report and the gate ask for ``p`` alone.
    [found] = [one for one in simulate(200, 0.28)[0].values() if one.name == "macro_f1"]
    assert found.p == found.p_randomisation == found.p_holm
    ranked = Difference(
        name="average_precision",
        difference=found.difference,
        p_bootstrap=0.04,
        p_randomisation=float("nan"),
        p_holm=0.08,
    )
    assert ranked.p == 0.04
