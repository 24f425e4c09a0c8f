"""Rankings of resamples: average precision and ROC AUC with weights, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from tocsin_eval import ranking
from tocsin_eval.bootstrap import Array, Decisions, draw_times
from tocsin_eval.ranking import resample_rankings


def check(truth: Decisions, scores: Array, articles: list[str], times: Array) -> None:
    """One draw, ``times`` an article, against scikit-learn's ``sample_weight``."""
    precision, area = resample_rankings(truth, scores, articles, [times[None]])
    assert precision.shape == area.shape == (1, truth.shape[1])
    weight_of = dict(zip(sorted(set(articles)), times, strict=True))
    weights = np.array([weight_of[article] for article in articles])
    for column in range(truth.shape[1]):
        # A row that was not drawn is not there: scikit-learn is not asked about it.
        drawn = weights > 0
        one, ranks, weight = truth[drawn, column], scores[drawn, column], weights[drawn]
        if not one.any():
            assert np.isnan([precision[0, column], area[0, column]]).all()
            continue
        expected = average_precision_score(one, ranks, sample_weight=weight)
        assert precision[0, column] == pytest.approx(expected, abs=1e-9)
        if one.all():
            assert np.isnan(area[0, column])
            continue
        expected = roc_auc_score(one, ranks, sample_weight=weight)
        assert area[0, column] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 4))
def test_weighted_rankings_are_those_of_scikit_learn(
    data: st.DataObject, rows: int, articles: int
) -> None:
    # Few scores and few articles: ties, labels on all or no rows, articles that were not drawn.
    shape = (rows, 2)
    names = [f"a{row % articles}" for row in range(rows)]
    units = len(set(names))
    times = data.draw(arrays(np.float64, units, elements=st.sampled_from((0.0, 1.0, 2.0, 5.0))))
    scores = data.draw(arrays(np.float64, shape, elements=st.sampled_from((0.0, 0.2, 0.2001, 1.0))))
    check(data.draw(arrays(np.bool_, shape)), scores, names, times)


@pytest.mark.parametrize("levels", [1, 7, 10_000])
def test_every_draw_of_a_bootstrap_is_what_scikit_learn_says(levels: int) -> None:
    # The draws as they are used, with constant scores, many ties and none.
    generator = np.random.default_rng(1)
    articles = [f"a{number}" for number in generator.integers(0, 40, 300)]
    scores = np.floor(generator.random((300, 2)) * levels) / levels
    truth = generator.random((300, 2)) < [0.3, 0.01]
    [draws] = draw_times(len(set(articles)), seed=0, resamples=20)
    for times in draws:
        check(truth, scores, articles, times)


def test_draws_do_not_depend_on_the_chunks_they_are_computed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A draw lost at the edge of a chunk would shift all later ones against the other subject's.
    generator = np.random.default_rng(2)
    truth, scores = generator.random((50, 2)) < 0.3, generator.random((50, 2))
    articles = [f"a{row % 9}" for row in range(50)]
    draws = list(draw_times(9, seed=0, resamples=33))
    whole = resample_rankings(truth, scores, articles, draws)
    monkeypatch.setattr(ranking, "_CHUNK", 50 * 4)
    parts = resample_rankings(truth, scores, articles, [draws[0][:10], draws[0][10:]])
    assert np.array_equal(whole, parts, equal_nan=True)
    assert whole[0].shape == (33, 2)


def test_a_row_read_twice_is_two_rows() -> None:
    # What a resample is: the same rows, some of them several times.
    generator = np.random.default_rng(3)
    truth, scores = generator.random((20, 1)) < 0.4, generator.random((20, 1)).round(1)
    times = generator.integers(0, 3, 20)
    articles = [f"a{row:02}" for row in range(20)]
    precision, area = resample_rankings(truth, scores, articles, [times[None].astype(float)])
    read = np.repeat(np.arange(20), times)
    assert precision[0, 0] == pytest.approx(average_precision_score(truth[read], scores[read]))
    assert area[0, 0] == pytest.approx(roc_auc_score(truth[read], scores[read]))
