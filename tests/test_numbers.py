"""All numbers of all subjects: told values, paired draws, families of labels, and the time."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tocsin_eval.bootstrap import Array, draw_times
from tocsin_eval.classification import Predictions, best_label, values
from tocsin_eval.data import LabelledPassage
from tocsin_eval.numbers import _families, measure_classifiers, measure_means
from tocsin_eval.significance import holm
from tocsin_eval.slices import built_in_slices, measure_slices

LABELS = ("claim", "threat", "veiled_threat")


def predictions(skill: float, rows: int = 120, labels: tuple[str, ...] = LABELS) -> Predictions:
    """The same truth for every ``skill``; four passages an article."""
    shape = (rows, len(labels))
    truth = np.random.default_rng(1).random(shape) < np.linspace(0.5, 0.1, len(labels))
    noise = np.random.default_rng([2, int(100 * skill)]).random(shape)
    scores = (skill * truth + (1 - skill) * noise).round(6)
    return Predictions(
        labels=labels,
        truth=truth,
        scores=scores,
        decided=scores >= 0.45,
        articles=tuple(f"article-{row // 4}" for row in range(rows)),
    )


GOOD, POOR = predictions(0.4), predictions(0.2)


def test_every_number_is_told_for_every_subject_inside_its_interval() -> None:
    # The report's table is made of these; a number of another subject would look just as good.
    found = measure_classifiers([GOOD, POOR], seed=0, resamples=400)
    for subject, metrics in zip((GOOD, POOR), found.metrics, strict=True):
        told = values(subject)
        assert set(metrics) == set(told)
        for name, one in metrics.items():
            assert one.value == pytest.approx(told[name], nan_ok=True), name
        with_ends = {name for name, one in metrics.items() if not np.isnan(one.low)}
        # ECE is biased upwards in resamples, so its value may stand below its interval.
        known = {name for name in with_ends if not name.startswith("ece")}
        assert all(metrics[name].low <= metrics[name].value <= metrics[name].high for name in known)
        assert {"macro_f1", "roc_auc", "average_precision_threat", "ece_claim"} <= with_ends


def test_a_difference_is_that_of_the_values_and_says_who_is_better() -> None:
    # The sign decides what the gate stops: the first less the other.
    found = measure_classifiers([GOOD, POOR, GOOD], seed=0, resamples=400)
    better, same = found.differences
    for name, one in better.items():
        expected = found.metrics[0][name].value - found.metrics[1][name].value
        assert one.difference.value == pytest.approx(expected), name
    assert better["macro_f1"].difference.low > 0
    assert better["macro_f1"].p < 0.01
    assert better["average_precision"].p < 0.05
    # Draws are paired: like systems differ by nothing in every resample, whatever the number.
    for name, one in same.items():
        ends = (one.difference.low, one.difference.value, one.difference.high)
        assert ends == pytest.approx((0, 0, 0), abs=1e-12), name
        assert one.p == one.p_bootstrap == one.p_holm == 1, name


def test_the_same_seed_gives_the_same_numbers() -> None:
    # A report that cannot be made again is no evidence.
    first, again, other = (
        measure_classifiers([GOOD, POOR], seed=seed, resamples=200) for seed in (3, 3, 4)
    )
    assert repr(first) == repr(again)
    assert first.metrics[0]["macro_f1"] != other.metrics[0]["macro_f1"]


def test_labels_are_corrected_together_also_where_one_name_ends_in_another() -> None:
    # "f1_veiled_threat" ends in "_threat" too; tested alone it would look surer than it is.
    [found] = measure_classifiers([GOOD, POOR], seed=0, resamples=400).differences
    for stem in ("f1", "precision", "recall_at_half", "brier", "roc_auc"):
        labels = [found[f"{stem}_{label}"] for label in LABELS]
        assert [one.p_holm for one in labels] == holm([one.p for one in labels]), stem
    assert found["macro_f1"].p_holm == found["macro_f1"].p


def test_a_label_may_be_called_like_a_number() -> None:
    # External data bring labels of any name: "macro_f1" is not the F1's "macro".
    labels = ("f1", "precision", "loss")
    names = tuple(values(predictions(0.4, labels=labels)))
    families = _families(names, labels)
    assert sorted(name for family in families for name in family) == sorted(names)
    assert ["macro_f1"] in families
    assert ["average_precision"] in families
    assert ["f1_f1", "f1_precision", "f1_loss"] in families


def test_single_labels_and_one_label_are_measured_too() -> None:
    # Data from elsewhere: one class of many, or spam or not.
    truth = np.eye(3, dtype=np.bool_)[np.arange(120) % 3]
    single = replace(GOOD, truth=truth, decided=best_label(GOOD.scores), is_single_label=True)
    [metrics] = measure_classifiers([single], seed=0, resamples=50).metrics
    assert metrics["accuracy"].low < metrics["accuracy"].value < metrics["accuracy"].high
    alone = predictions(0.4, labels=("spam",))
    [metrics] = measure_classifiers([alone], seed=0, resamples=50).metrics
    assert metrics["macro_f1"] == metrics["micro_f1"] == metrics["f1_spam"]


def test_a_label_that_nothing_carries_and_a_single_article_break_nothing() -> None:
    # The smallest file somebody tries first.
    truth = GOOD.truth.copy()
    truth[:, 1] = False
    for odd in (
        replace(GOOD, truth=truth),
        replace(GOOD, articles=("a",) * 120),
        predictions(0.4, rows=1),
    ):
        found = measure_classifiers([odd, odd], seed=0, resamples=50)
        metrics = found.metrics[0]
        assert metrics["macro_f1"].value == pytest.approx(values(odd)["macro_f1"])
        has_ends = not np.isnan([metrics["macro_f1"].low, metrics["roc_auc"].low]).any()
        assert has_ends is (len(set(odd.articles)) > 1)
    [metrics] = measure_classifiers([replace(GOOD, truth=truth)], seed=0, resamples=50).metrics
    assert np.isnan(metrics["roc_auc_threat"].value)
    assert not np.isnan(metrics["roc_auc"].low)


@pytest.mark.parametrize("articles", [1, 2, 4, 30])
def test_of_few_articles_nothing_is_told_apart(articles: int) -> None:
    # Whichever of two articles is drawn, the better system is better: the bootstrap would be sure
    # of it. Nothing but swaps of both, or of none, differs as much; that is half of all ways.
    names = tuple(f"article-{row % articles}" for row in range(120))
    pair = [replace(one, articles=names) for one in (predictions(0.9), predictions(0.0))]
    [found] = measure_classifiers(pair, seed=0, resamples=999).differences
    for name in ("macro_f1", "average_precision", "roc_auc", "average_precision_threat"):
        one = found[name]
        assert one.difference.value > 0.2, name
        assert (one.p < 0.05) is (articles == 30), name
        assert one.p > 0.8 * min(1, 2 * 0.5**articles), name
        assert one.p_holm >= one.p
        assert np.isnan(one.difference.low) == (articles == 1)


def test_intervals_of_rankings_are_those_of_the_same_draws() -> None:
    # F1 and average precision of a resample belong to the same articles.
    from sklearn.metrics import average_precision_score

    [metrics] = measure_classifiers([GOOD], seed=0, resamples=60).metrics
    numbers = sorted(set(GOOD.articles))
    row_of = np.array([numbers.index(article) for article in GOOD.articles])
    draws = []
    for times in np.concatenate(list(draw_times(len(numbers), seed=0, resamples=60))):
        read = np.repeat(np.arange(120), times[row_of].astype(int))
        draws.append(average_precision_score(GOOD.truth[read], GOOD.scores[read]))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert metrics["average_precision"].low == pytest.approx(low)
    assert metrics["average_precision"].high == pytest.approx(high)


def means() -> tuple[Array, Array]:
    """Two numbers of 40 articles; the second is not known of every article."""
    generator = np.random.default_rng(5)
    first = generator.random((40, 2))
    first[::3, 1] = np.nan
    return first, first - [0.2, 0.0] + generator.normal(scale=0.01, size=(40, 2))


def test_means_leave_out_the_articles_that_have_no_number() -> None:
    # An article without a quotation has no share of unsupported ones; 0 would flatter.
    first, second = means()
    found = measure_means([first, second], ("rouge", "support"), seed=0, resamples=400)
    assert found.metrics[0]["support"].value == pytest.approx(np.nanmean(first[:, 1]))
    assert found.metrics[1]["rouge"].value == pytest.approx(second[:, 0].mean())
    [difference] = found.differences
    assert difference["rouge"].difference.low > 0.19
    assert difference["rouge"].p < 0.01
    assert difference["support"].difference.low < 0 < difference["support"].difference.high


def test_a_mean_of_nothing_does_not_exist() -> None:
    # No article has the number: neither a value nor a finding, and no warning.
    nothing = np.full((5, 1), np.nan)
    found = measure_means([nothing, nothing], ("support",), seed=0, resamples=20)
    assert np.isnan(found.metrics[0]["support"].value)
    assert found.differences[0]["support"].p == 1


@pytest.mark.slow
def test_numbers_of_ten_thousand_passages_take_at_most_ten_seconds() -> None:
    # Issue 4: 10,000 resamples, three subjects, slices too; people wait for it at a terminal.
    rows, labels = 10_000, ("claim", "threat", "retaliation", "diplomacy")
    subjects = [predictions(skill, rows, labels) for skill in (0.4, 0.3, 0.2)]
    passages = [
        LabelledPassage(
            id=str(row),
            article=subjects[0].articles[row],
            text="“We did not,” he said. " + "The port was shelled again. " * (row % 9),
            labels=(),
            source=f"outlet {row % 5}",
            position=row % 4,
            columns={"region": f"region {row % 7}"},
        )
        for row in range(rows)
    ]
    # On a busy machine the clock counts the neighbours' work, so the processor's may be the lesser.
    started, used = time.perf_counter(), time.process_time()
    measure_classifiers(subjects, seed=0)
    slices = built_in_slices(passages)
    assert len(slices) == 20
    for subject in subjects:
        measure_slices(subject, slices, seed=0)
    wall, own = time.perf_counter() - started, time.process_time() - used
    print(f"{wall:.1f} s, {own:.1f} s of processor time")
    assert min(wall, own) <= 10
