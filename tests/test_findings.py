"""Curves, confusions, worst errors and odd labels, against scikit-learn and by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import auc, f1_score, precision_score, recall_score, roc_auc_score

from tocsin_eval.classification import Predictions
from tocsin_eval.data import LabelledPassage
from tocsin_eval.findings import (
    WORST,
    find_confusion,
    find_curves,
    find_label_noise,
    find_worst,
)

LABELS = ("claim", "threat")


def predictions(truth: Any, scores: Any) -> Predictions:
    probabilities = np.asarray(scores, dtype=np.float64)
    return Predictions(
        labels=LABELS[: probabilities.shape[1]],
        truth=np.asarray(truth, dtype=np.bool_),
        scores=probabilities,
        decided=probabilities >= 0.5,
        articles=("a",) * len(probabilities),
    )


def passages(count: int) -> list[LabelledPassage]:
    return [
        LabelledPassage(id=f"p{row}", article="a", text=f"Text {row}.", labels=(), source="")
        for row in range(count)
    ]


def random_predictions(rows: int = 1_000) -> Predictions:
    generator = np.random.default_rng(1)
    scores = generator.random((rows, 2)).round(3)
    return predictions(generator.random((rows, 2)) < scores**2, scores)


def test_curves_are_thin_enough_to_plot_and_still_those_of_scikit_learn() -> None:
    # Ten thousand points would make the report tens of megabytes; 200 must not move the curve.
    found = random_predictions()
    curves = find_curves(found)["claim"]
    truth, scores = found.truth[:, 0], found.scores[:, 0]
    assert max(map(len, (curves.precision_recall, curves.roc, curves.thresholds))) <= 200
    rates = np.array(curves.roc)
    assert auc(*rates.T) == pytest.approx(roc_auc_score(truth, scores), abs=0.005)
    assert (curves.roc[0], curves.roc[-1]) == ((0, 0), (1, 1))
    assert curves.precision_recall[0][0] == 0
    assert curves.precision_recall[-1][0] == 1
    for threshold, *numbers in curves.thresholds[::20]:
        decided = scores >= threshold
        for number, score in zip(numbers, (precision_score, recall_score, f1_score), strict=True):
            assert number == pytest.approx(score(truth, decided), abs=1e-4)


def test_reliability_is_the_share_of_carriers_in_each_bin_that_has_rows() -> None:
    truth = [[True], [False], [True], [True]]
    curves = find_curves(predictions(truth, [[0.11], [0.19], [1.0], [0.93]]))
    assert [list(point) for point in curves["claim"].reliability] == [
        pytest.approx([0.15, 0.5, 2]),
        pytest.approx([0.965, 1.0, 2]),
    ]


def test_a_label_that_all_or_none_carry_has_no_curve() -> None:
    # Its ROC curve does not exist; a warning would be an error, a flat line would mislead.
    found = find_curves(predictions([[True, False], [True, False]], [[0.4, 0.4], [0.4, 0.4]]))
    assert found == {}
    constant = find_curves(predictions([[True], [False]], [[0.4], [0.4]]))["claim"]
    assert constant.thresholds == [(0.4, 0.5, 1.0, 0.6667)]


def test_confusion_counts_what_carriers_of_each_label_were_given() -> None:
    # Rows: both given one; a claim given a threat; nothing given a claim; nothing given nothing.
    truth = [[1, 1], [1, 0], [0, 0], [0, 0]]
    found = find_confusion(predictions(truth, [[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.1]]))
    assert found.given == [[1, 1, 0], [1, 0, 0], [1, 0, 1]]
    assert found.carried == [2, 1, 2]
    assert found.together == [[2, 1], [1, 1]]
    assert found.given_together == [[2, 0], [0, 1]]


def test_the_worst_errors_are_wrong_decisions_the_surest_first() -> None:
    found, rows = random_predictions(), passages(1_000)
    doubts = find_worst(found, rows)
    assert len(doubts) == WORST
    gaps = [abs(doubt.score - doubt.is_carried) for doubt in doubts]
    assert gaps == sorted(gaps, reverse=True)
    wrong = np.abs(found.scores - found.truth)[found.truth != found.decided]
    assert gaps == pytest.approx(sorted(wrong, reverse=True)[:WORST])
    for doubt in doubts:
        row, column = int(doubt.id[1:]), LABELS.index(doubt.label)
        assert (doubt.text, doubt.score) == (f"Text {row}.", found.scores[row, column])
        assert doubt.is_carried == found.truth[row, column] != found.decided[row, column]
        assert doubt.scores == dict(zip(LABELS, found.scores[row], strict=True))


def test_there_are_no_more_errors_than_were_made() -> None:
    # A good model's report must not list right answers as its worst.
    found = predictions([[True], [False], [False]], [[0.9], [0.6], [0.4]])
    assert [doubt.id for doubt in find_worst(found, passages(3))] == ["p1"]
    right = predictions([[True], [False]], [[0.9], [0.1]])
    assert find_worst(right, passages(2)) == find_label_noise(right, passages(2)) == []


def test_labels_that_were_flipped_on_purpose_are_found() -> None:
    # Confident Learning on planted noise: of 2,000 labels 20 are wrong, and the scores are good.
    generator = np.random.default_rng(2)
    truth = generator.random((1_000, 2)) < 0.3
    scores = np.clip(np.where(truth, 0.9, 0.1) + generator.normal(scale=0.1, size=(1_000, 2)), 0, 1)
    flipped = generator.choice(2_000, 20, replace=False)
    noisy = truth.ravel().copy()
    noisy[flipped] ^= True
    found = find_label_noise(predictions(noisy.reshape(1_000, 2), scores), passages(1_000))
    places = {int(doubt.id[1:]) * 2 + LABELS.index(doubt.label) for doubt in found}
    # A score has to pass the mean of those it would join: about half of the carriers do.
    assert places <= set(flipped.tolist())
    assert len(places) >= 8
    for doubt in found:
        assert abs(doubt.score - doubt.is_carried) >= 0.5


def test_a_label_that_all_or_none_carry_is_never_called_noise() -> None:
    # There is nothing to compare it with.
    assert find_label_noise(predictions([[False], [False]], [[0.9], [0.95]]), passages(2)) == []
    assert find_label_noise(predictions([[True], [True]], [[0.1], [0.05]]), passages(2)) == []


def test_a_score_between_the_two_means_is_no_candidate() -> None:
    # A hard passage is not a wrong label: it has to look like one of the other side.
    truth = [[True], [True], [True], [True], [False], [False], [False], [False]]
    scores = [[0.9], [0.9], [0.3], [0.05], [0.04], [0.04], [0.52], [0.54]]
    found = find_label_noise(predictions(truth, scores), passages(8))
    assert [doubt.id for doubt in found] == ["p3", "p7"]
