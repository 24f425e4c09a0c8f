"""Metrics, held against scikit-learn called in another way and against arithmetic by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
)

from tocsin_eval.metrics import calibration_error, decide, label_matrix, measure
from tocsin_models.errors import DataError

LABELS = ("claim", "threat", "retaliation")
HALF = dict.fromkeys(LABELS, 0.5)


def test_columns_follow_the_label_names() -> None:
    # A column in the wrong place would give one label's figures to another.
    matrix = label_matrix([["threat"], [], ["retaliation", "claim"]], LABELS)
    assert matrix.astype(int).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_a_label_that_the_model_does_not_know_is_an_error() -> None:
    # Silently dropping it would raise recall.
    with pytest.raises(DataError, match="row 0 has label 'denial'"):
        label_matrix([["denial"]], LABELS)


def test_a_probability_equal_to_its_threshold_gives_the_label() -> None:
    # The main path labels with >=; the evaluation must decide the same.
    thresholds = {"claim": 0.25, "threat": 0.5, "retaliation": 0.75}
    probabilities = np.array([[0.25, 0.5, 0.75], [0.24, 0.49, 0.74]], np.float32)
    assert decide(probabilities, LABELS, thresholds).tolist() == [[True] * 3, [False] * 3]


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_is_what_scikit_learn_says_label_by_label(seed: int) -> None:
    # The table of the model card is made of these.
    generator = np.random.default_rng(seed)
    truth = generator.random((80, 3)) < [0.5, 0.2, 0.1]
    probabilities = np.clip(truth * 0.3 + generator.random((80, 3)) * 0.7, 0, 1)
    thresholds = dict(zip(LABELS, generator.random(3), strict=True))
    found = measure(truth, probabilities, LABELS, thresholds)
    by_hand = []
    for column, (label, item) in enumerate(zip(LABELS, found.labels, strict=True)):
        decided = probabilities[:, column] >= thresholds[label]
        by_hand.append(f1_score(truth[:, column], decided))
        hits = (truth[:, column] & decided).sum()
        assert item.label == label
        assert item.support == truth[:, column].sum()
        assert item.f1 == pytest.approx(by_hand[-1])
        assert item.recall == pytest.approx(hits / truth[:, column].sum())
        assert item.precision == pytest.approx(hits / max(1, decided.sum()))
        assert item.average_precision == pytest.approx(
            average_precision_score(truth[:, column], probabilities[:, column])
        )
    assert found.macro_f1 == pytest.approx(np.mean(by_hand))
    flat = (probabilities >= [thresholds[label] for label in LABELS]).ravel()
    assert found.micro_f1 == pytest.approx(f1_score(truth.ravel(), flat))
    assert found.brier == pytest.approx(brier_score_loss(truth.ravel(), probabilities.ravel()))


def test_macro_f1_at_half_ignores_the_stored_thresholds() -> None:
    # It is the column that compares with the design's table.
    truth = label_matrix([["claim"], ["threat"], ["retaliation"]], LABELS)
    probabilities = truth * 0.2 + 0.4
    low = measure(truth, probabilities, LABELS, dict.fromkeys(LABELS, 0.01))
    assert low.macro_f1_at_half == 1
    assert low.macro_f1 == pytest.approx(0.5)


def test_a_label_that_nobody_carries_counts_as_nought_without_a_warning() -> None:
    # A small --data file lacks a label; warnings are errors, and nan would spoil the mean.
    truth = label_matrix([["claim"], []], LABELS)
    found = measure(truth, np.array([[0.9, 0.1, 0.1], [0.1, 0.1, 0.1]]), LABELS, HALF)
    assert [item.f1 for item in found.labels] == [1, 0, 0]
    assert [item.average_precision for item in found.labels] == [1, 0, 0]
    assert found.macro_f1 == pytest.approx(1 / 3)


def test_calibration_error_is_the_gap_between_what_is_said_and_what_happens() -> None:
    # Said 0.75, happened 0.5, on every row: the gap is 0.25 whatever the binning.
    truth = np.array([[True], [False], [True], [False]])
    assert calibration_error(truth, np.full((4, 1), 0.75)) == pytest.approx(0.25)
    assert calibration_error(truth, truth.astype(float)) == 0
