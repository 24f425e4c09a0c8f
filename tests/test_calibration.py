"""Calibrated probabilities and thresholds, against scikit-learn and against plain transformers."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score

from tocsin_training.calibration import (
    MIN_JUDGED,
    MIN_POSITIVES,
    NEVER,
    Calibration,
    best_threshold,
    fit_calibration,
    fold_calibration,
    precise_threshold,
)
from tocsin_training.config import parse_policy

GENERATOR = np.random.default_rng(7)


def test_calibration_finds_the_line_that_made_the_data() -> None:
    # Logits that are twice too sure must come back halved, or "0.9" would mean 0.75 to a desk.
    logits = GENERATOR.normal(size=(20_000, 1)) * 3
    truth = GENERATOR.random((20_000, 1)) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    found = fit_calibration(logits, truth, np.arange(20_000))
    assert found.scale[0] == pytest.approx(0.5, abs=0.03)
    assert found.offset[0] == pytest.approx(-1, abs=0.06)


def test_the_threshold_is_within_half_a_point_of_the_best_f1() -> None:
    probabilities = GENERATOR.random(400)
    truth = GENERATOR.random(400) < probabilities**2
    best = max(f1_score(truth, probabilities >= value) for value in probabilities)
    chosen = best_threshold(probabilities, truth)
    assert f1_score(truth, probabilities >= chosen) >= best - 0.02


def test_a_label_too_rare_to_calibrate_is_left_alone() -> None:
    truth = np.zeros((50, 1), dtype=bool)
    truth[:3] = True
    found = fit_calibration(GENERATOR.normal(size=(50, 1)), truth, np.arange(50))
    assert (found.scale[0], found.offset[0], found.thresholds[0]) == (1, 0, 0.5)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_calibration_folded_in_is_what_plain_transformers_computes(family: str) -> None:
    # Otherwise the directory would give other probabilities outside Tocsin than inside.
    import transformers

    sizes: dict[str, Any] = {"vocab_size": 20, "num_labels": 2}
    if family == "distilbert":
        sizes |= {"n_layers": 1, "n_heads": 2, "dim": 8, "hidden_dim": 8}
    else:
        sizes |= {"num_hidden_layers": 1, "num_attention_heads": 2}
        sizes |= {"hidden_size": 8, "intermediate_size": 8}
    config = transformers.AutoConfig.for_model(family, **sizes)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    before = copy.deepcopy(model)
    calibration = Calibration(
        scale=np.array([2.0, 0.5]), offset=np.array([-1.0, 3.0]), thresholds=np.array([0.5, 0.5])
    )
    fold_calibration(model, calibration)
    ids = torch.tensor([[3, 4, 5]])
    with torch.inference_mode():
        expected = before(ids).logits * torch.tensor([2.0, 0.5]) + torch.tensor([-1.0, 3.0])
        assert torch.allclose(model(ids).logits, expected, atol=1e-5)


# Scale alone, or scale and offset


def made(scale: float, offset: float, articles: int, seed: int) -> tuple[Any, Any, Any]:
    """Four passages an article, whose truth is drawn by the line: logits, truth, articles."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(4 * articles, 1)) * 3
    chance = 1 / (1 + np.exp(-(scale * logits + offset)))
    return logits, generator.random(logits.shape) < chance, np.repeat(np.arange(articles), 4)


def test_an_offset_that_is_real_is_kept() -> None:
    """Without it a label that is rarer than the network thinks would keep its false alarms."""
    for seed in range(4):
        found = fit_calibration(*made(0.7, -2, articles=200, seed=seed))
        assert found.offset[0] == pytest.approx(-2, abs=0.6)
        assert found.scale[0] == pytest.approx(0.7, abs=0.2)


def test_where_a_temperature_made_the_data_no_offset_is_added() -> None:
    """Without it the offset of every rare label would be the noise of its few passages. Noise may
    look like an offset now and then (in 11 of these 30 draws), so most draws are asked for."""
    offsets = [
        fit_calibration(*made(0.5, 0, articles=100, seed=seed)).offset[0] for seed in range(30)
    ]
    assert sum(offset == 0.0 for offset in offsets) > 15
    assert max(map(abs, offsets)) < 0.6


def test_an_offset_that_helps_only_within_articles_is_not_kept() -> None:
    """Without folds by article, one long article that is all claims would move every other one."""
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(240, 1))
    articles = np.repeat(np.arange(6), 40)
    truth = generator.random((240, 1)) < 1 / (1 + np.exp(-logits))
    truth[articles == 0] = True
    assert fit_calibration(logits, truth, articles).offset[0] == 0.0
    # The same passages, each an article of its own: now the surplus is everywhere.
    assert fit_calibration(logits, truth, np.arange(240)).offset[0] > 0.2


# Thresholds for a precision


@pytest.mark.parametrize(
    ("policy", "precision"), [("f1", None), ("precision=0.9", 0.9), ("precision=1e-1", 0.1)]
)
def test_a_policy_is_f1_or_a_precision(policy: str, precision: float | None) -> None:
    """Without it the option would silently mean something else."""
    assert parse_policy(policy) == precision


@pytest.mark.parametrize(
    "policy",
    [
        *("", "F1", "f1=0.9", "recall=0.9", "precision", "precision=", "precision=x"),
        *("precision=0", "precision=1", "precision=2", "precision=-0.5", "precision=nan"),
        *("precision=inf", "precision=0.9=0.9", "precision=90%"),
    ],
)
def test_any_other_policy_is_refused_by_name(policy: str) -> None:
    """Without it a mistyped precision would train for an hour to thresholds nobody asked for."""
    with pytest.raises(
        ValueError, match="neither f1 nor precision=P with P between 0 and 1"
    ) as told:
        parse_policy(policy)
    assert repr(policy) in str(told.value)


# Few values, so that passages of one probability, of which some are right, come up often.
PASSAGES = st.lists(
    st.tuples(st.sampled_from([0.05, 0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97]), st.booleans()),
    min_size=1,
    max_size=120,
)


@given(PASSAGES, st.sampled_from([0.3, 0.5, 0.8, 0.9]))
def test_a_precise_threshold_gives_the_precision_on_what_it_was_chosen_on(
    passages: list[tuple[float, bool]], wanted: float
) -> None:
    """Without it the desk would be promised that 9 of 10 are right and get less; also where many
    passages have the very same probability, and also of a few passages that were right by luck."""
    probabilities = np.array([probability for probability, _ in passages])
    truth = np.array([is_right for _, is_right in passages])
    threshold = precise_threshold(probabilities, truth, wanted)
    judged = sorted(p for p in set(probabilities) if (probabilities >= p).sum() >= MIN_JUDGED)
    if threshold == NEVER:
        # None is that sure: either too few to judge, or the surest of those that can be fails.
        assert not judged or truth[probabilities >= judged[-1]].mean() < wanted
    else:
        said = probabilities >= threshold
        assert said.sum() >= MIN_JUDGED
        assert precision_score(truth, said) >= wanted
        for higher in judged:
            if higher > threshold:
                assert precision_score(truth, probabilities >= higher) >= wanted


def test_a_precise_threshold_is_the_lowest_that_does() -> None:
    """Without it "never" would always pass, and nothing would be labelled."""
    probabilities = np.linspace(0.01, 0.98, 500)
    truth = probabilities > 0.5
    threshold = precise_threshold(probabilities, truth, 0.9)
    said = probabilities >= threshold
    assert truth[said].mean() >= 0.9
    lower = probabilities >= threshold - 0.005
    assert truth[lower].mean() < 0.9
    assert precise_threshold(probabilities, np.zeros(500, dtype=bool), 0.9) == NEVER


def test_a_precision_of_very_sure_passages_is_not_given_away_to_less_sure_ones() -> None:
    """Without it a threshold capped at 0.99 would take in the 40 passages that are wrong."""
    probabilities = np.repeat([0.998, 0.992], [30, 40])
    truth = np.repeat([True, False], [30, 40])
    assert precise_threshold(probabilities, truth, 0.9) == pytest.approx(0.995)


def test_a_precise_threshold_stands_when_it_is_rounded_to_what_a_manifest_keeps() -> None:
    """Without it 0.90006, rounded to 0.9001, would leave out the passages it was chosen for, and
    0.90004, rounded to 0.9, would take in wrong ones below it."""
    truth = np.repeat([True, False], [30, 60])
    for last in (0.90006, 0.90004):
        threshold = precise_threshold(np.repeat([last, 0.8], [30, 60]), truth, 0.9)
        assert threshold == round(threshold, 4) == 0.85
    # No number of 4 digits lies between these two: all of them, or none.
    close = np.repeat([0.90004, 0.90002], [30, 60])
    assert precise_threshold(close, truth, 0.9) == NEVER
    assert precise_threshold(close, truth, 0.3) == pytest.approx(0.45)


def test_a_few_right_passages_promise_nothing() -> None:
    """Without it two lucky passages would set a threshold, and the next two be wrong."""
    probabilities = np.linspace(0.99, 0.01, 100)
    assert precise_threshold(probabilities, np.arange(100) < MIN_JUDGED - 1, 0.99) == NEVER
    assert precise_threshold(probabilities, np.arange(100) < MIN_JUDGED, 0.99) < NEVER
    assert precise_threshold(np.ones(3) / 2, np.ones(3, dtype=bool), 0.5) == NEVER


def test_a_label_too_rare_to_calibrate_promises_no_precision() -> None:
    """Without it a precision of 9 in 10 would be asked for, and 0.5 be given unseen."""
    truth = np.zeros((50, 2), dtype=bool)
    truth[: MIN_POSITIVES - 1, 0] = truth[: MIN_POSITIVES * 4, 1] = True
    logits = GENERATOR.normal(size=(50, 2)) + 2 * truth
    found = fit_calibration(logits, truth, np.arange(50), "precision=0.3")
    assert (found.scale[0], found.offset[0], found.thresholds[0]) == (1, 0, NEVER)
    assert found.thresholds[1] < NEVER
    assert found.is_fitted.tolist() == [False, True]


def test_the_policy_reaches_the_thresholds() -> None:
    """Without it the option would be read, checked, and forgotten."""
    data = made(1, -1, articles=300, seed=3)
    f1, precise, sloppy = (
        fit_calibration(*data, policy=policy).thresholds[0]
        for policy in ("f1", "precision=0.9", "precision=0.4")
    )
    assert sloppy < f1 < precise < NEVER
