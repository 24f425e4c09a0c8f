"""The numbers of a classifier, against scikit-learn called label by label and row by row."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics
from sklearn.calibration import calibration_curve

from tocsin_eval.classification import (
    Predictions,
    best_label,
    calibration_errors,
    decide,
    label_matrix,
    row_sums,
    statistics,
    values,
)
from tocsin_models.errors import DataError

LABELS = ("claim", "threat", "retaliation")
# Ties, both ends, edges of bins and neighbours of 0.5.
SCORES = (0.0, 0.1, 0.3, 0.499999, 0.5, 0.7, 0.999999, 1.0)


def predictions(truth: Any, scores: Any, decided: Any, **others: Any) -> Predictions:
    """Rows of one article each, unless ``articles`` says otherwise."""
    matrix = np.asarray(truth, dtype=np.bool_)
    others.setdefault("articles", tuple(f"article-{row}" for row in range(len(matrix))))
    return Predictions(
        labels=LABELS[: matrix.shape[1]],
        truth=matrix,
        scores=np.asarray(scores, dtype=np.float64),
        decided=np.asarray(decided, dtype=np.bool_),
        **others,
    )


@st.composite
def any_predictions(draw: st.DrawFn) -> Predictions:
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 3)))
    matrix = arrays(np.bool_, shape)
    return predictions(
        draw(matrix),
        draw(arrays(np.float64, shape, elements=st.sampled_from(SCORES))),
        draw(matrix),
        articles=tuple(
            draw(st.lists(st.sampled_from("abc"), min_size=shape[0], max_size=shape[0]))
        ),
    )


@st.composite
def single_label_predictions(draw: st.DrawFn) -> Predictions:
    found = draw(any_predictions())
    rows, labels = found.truth.shape
    carried = draw(st.lists(st.integers(0, labels - 1), min_size=rows, max_size=rows))
    return predictions(
        np.eye(labels, dtype=np.bool_)[carried],
        found.scores,
        # The best label may stay below its threshold: then a row is given none.
        best_label(found.scores) & (found.scores >= draw(st.sampled_from((0.0, 0.5)))),
        articles=found.articles,
        is_single_label=True,
    )


def averages(truth: npt.NDArray[np.bool_], decided: npt.NDArray[np.bool_]) -> dict[str, float]:
    """What scikit-learn says of single columns and rows, put together by hand."""
    result: dict[str, float] = {}
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):

        def each(one: Any, other: Any, score: Any = score) -> list[float]:
            pairs = zip(one, other, strict=True)
            return [float(score(*pair, pos_label=True, zero_division=0)) for pair in pairs]

        by_label = each(truth.T, decided.T)
        result[f"macro_{name}"] = float(np.mean(by_label))
        result[f"samples_{name}"] = float(np.mean(each(truth, decided)))
        [result[f"micro_{name}"]] = each([truth.ravel()], [decided.ravel()])
        result |= {f"{name}_{LABELS[column]}": one for column, one in enumerate(by_label)}
    result["exact_match"] = float(np.mean((truth == decided).all(axis=1)))
    result["hamming_loss"] = float(np.mean(truth != decided))
    return result


NOTHING, ALL = np.zeros((4, 3)), np.ones((4, 3))


@settings(max_examples=20, deadline=None)
@given(any_predictions())
@example(predictions(NOTHING, NOTHING + 0.5, NOTHING))
@example(predictions(NOTHING, NOTHING + 0.5, ALL))
@example(predictions(ALL, ALL, NOTHING))
@example(predictions(ALL, ALL, ALL, articles=("a",) * 4))
@example(predictions([[True]], [[0.2]], [[False]]))
# One label alone: scikit-learn takes such a column for two classes.
@example(predictions([[True], [False], [False]], [[0.9], [0.8], [0.1]], [[True], [True], [False]]))
def test_every_number_is_what_scikit_learn_says(found: Predictions) -> None:
    # Gates and model cards are made of these, on data of any kind.
    expected: dict[str, float] = averages(found.truth, found.decided)
    for name, value in averages(found.truth, found.scores >= 0.5).items():
        stem, _, label = name.partition("_")
        is_of_label = label in LABELS
        expected[f"{stem}_at_half_{label}" if is_of_label else f"{name}_at_half"] = value
    precision, area, brier = [], [], []
    for column, label in enumerate(found.labels):
        truth, scores = found.truth[:, column], found.scores[:, column]
        brier.append(float(np.mean((scores - truth) ** 2)))
        carried, others = scores[truth], scores[~truth]
        precision.append(metrics.average_precision_score(truth, scores) if truth.any() else 0.0)
        # The chance that a carrier scores above a row that is none, ties counting half.
        wins = (carried[:, None] > others) + (carried[:, None] == others) / 2
        area.append(float(wins.mean()) if wins.size else float("nan"))
        expected |= {f"brier_{label}": brier[-1], f"roc_auc_{label}": area[-1]}
        expected |= {f"average_precision_{label}": precision[-1]}
    known = [value for value in area if not np.isnan(value)]
    expected["roc_auc"] = float(np.mean(known)) if known else float("nan")
    expected |= {"average_precision": float(np.mean(precision)), "brier": float(np.mean(brier))}
    expected["cardinality"] = float(found.decided.sum() / len(found.decided))
    result = values(found)
    assert {name for name in result if not name.startswith("ece")} == set(expected)
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


@settings(max_examples=25, deadline=None)
@given(any_predictions() | single_label_predictions())
@example(predictions(NOTHING, NOTHING, NOTHING))
@example(predictions(ALL, ALL, ALL, articles=("a",) * 4))
def test_the_numbers_that_are_resampled_are_those_that_are_told(found: Predictions) -> None:
    # Otherwise an interval would belong to another number than the one it stands beside.
    told = values(found)
    resampled = statistics(row_sums(found).sum(axis=0), found.labels, found.is_single_label)
    for name, value in resampled.items():
        assert float(value) == pytest.approx(told[name], abs=1e-9), name
    left_out = {name for name in told if name not in resampled}
    rankings = {name for name in told if name.startswith(("average_precision", "roc_auc"))}
    means = {f"samples_{name}_at_half" for name in ("precision", "recall", "f1")}
    assert left_out == rankings | means | {"exact_match_at_half", "hamming_loss_at_half"}


@settings(max_examples=20, deadline=None)
@given(single_label_predictions())
def test_single_labels_give_the_numbers_of_a_many_class_problem(found: Predictions) -> None:
    # Where each text has one label, people expect accuracy and macro-F1 over classes.
    truth, best = found.truth.argmax(axis=1), found.scores.argmax(axis=1)
    classes = range(len(found.labels))
    result = values(found)
    assert result["accuracy"] == result["exact_match"]
    assert result["exact_match_at_half"] == pytest.approx(
        metrics.accuracy_score(truth, best), abs=1e-9
    )
    assert result["macro_f1_at_half"] == pytest.approx(
        metrics.f1_score(truth, best, labels=classes, average="macro", zero_division=0), abs=1e-9
    )
    # Calibration asks of the best label alone whether it is right (Guo et al. 2017).
    sure = found.scores.max(axis=1)
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [
        (bins == one).mean() * abs(sure[bins == one].mean() - (truth == best)[bins == one].mean())
        for one in set(bins)
    ]
    assert result["ece"] == pytest.approx(sum(gaps), abs=1e-9)


def test_calibration_errors_are_those_of_scikit_learns_curve() -> None:
    # Off the edges of the bins, where both agree which bin a score falls into.
    generator = np.random.default_rng(3)
    scores = generator.random((500, 3))
    truth = generator.random((500, 3)) < scores**2
    for column, error in enumerate(calibration_errors(truth, scores)):
        share, mean = calibration_curve(truth[:, column], scores[:, column], n_bins=10)
        rows, _ = np.histogram(scores[:, column], bins=10, range=(0, 1))
        assert error == pytest.approx((np.abs(share - mean) * rows).sum() / 500, abs=1e-9)


def test_calibration_error_is_the_gap_between_what_is_said_and_what_happens() -> None:
    # Said 0.75, happened 0.5, on every row: the gap is 0.25 whatever the binning.
    truth = np.array([[True], [False], [True], [False]])
    assert calibration_errors(truth, np.full((4, 1), 0.75)) == pytest.approx(0.25)
    assert calibration_errors(truth, truth.astype(float)) == 0


def test_articles_are_summed_whatever_the_order_of_the_rows() -> None:
    # Two subjects on the same data must not pair the sums of different articles.
    generator = np.random.default_rng(4)
    truth, decided = generator.random((2, 30, 3)) < 0.4
    scores, articles = generator.random((30, 3)), np.array([f"a{row % 7}" for row in range(30)])
    order = generator.permutation(30)
    sums = row_sums(predictions(truth, scores, decided, articles=tuple(articles)))
    assert sums.shape[0] == 7
    shuffled = (truth[order], scores[order], decided[order])
    assert row_sums(predictions(*shuffled, articles=tuple(articles[order]))) == pytest.approx(sums)


def test_numbers_at_half_ignore_the_stored_thresholds() -> None:
    # It is the column that compares models whose thresholds were chosen differently.
    truth = label_matrix([["claim"], ["threat"], ["retaliation"]], LABELS)
    scores = np.where(truth, 0.6, 0.4)
    low = decide(scores, LABELS, dict.fromkeys(LABELS, 0.01))
    result = values(predictions(truth, scores, low))
    assert result["macro_f1_at_half"] == 1
    assert result["macro_f1"] == pytest.approx(0.5)


def test_a_label_that_nobody_carries_counts_as_nought_and_has_no_roc() -> None:
    # A small data file lacks a label; warnings are errors, and NaN would spoil the mean.
    truth = label_matrix([["claim"], []], LABELS)
    result = values(predictions(truth, [[0.9, 0.1, 0.1], [0.1, 0.1, 0.1]], truth))
    assert [result[f"f1_{label}"] for label in LABELS] == [1, 0, 0]
    assert [result[f"average_precision_{label}"] for label in LABELS] == [1, 0, 0]
    assert result["macro_f1"] == pytest.approx(1 / 3)
    assert np.isnan(result["roc_auc_threat"])
    assert result["roc_auc"] == 1


def test_columns_follow_the_label_names() -> None:
    # A column in the wrong place would give one label's figures to another.
    matrix = label_matrix([["threat"], [], ["retaliation", "claim"]], LABELS)
    assert matrix.astype(int).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_a_label_that_the_model_does_not_know_is_an_error() -> None:
    # Silently dropping it would raise recall.
    with pytest.raises(DataError, match="row 0 has label 'denial'"):
        label_matrix([["denial"]], LABELS)


def test_a_score_equal_to_its_threshold_gives_the_label_and_of_equals_the_first_is_best() -> None:
    # The main path labels with >= and takes the first; the evaluation must decide the same.
    thresholds = {"claim": 0.25, "threat": 0.5, "retaliation": 0.75}
    scores = np.array([[0.25, 0.5, 0.75], [0.24, 0.49, 0.74]])
    assert decide(scores, LABELS, thresholds).tolist() == [[True] * 3, [False] * 3]
    assert best_label(np.array([[0.2, 0.4, 0.4]])).tolist() == [[False, True, False]]
