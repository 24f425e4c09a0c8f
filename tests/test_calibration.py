"""Calibrated probabilities and thresholds, against scikit-learn and against plain transformers."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from tocsin_training.calibration import (
    Calibration,
    best_threshold,
    fit_calibration,
    fold_calibration,
)

GENERATOR = np.random.default_rng(7)


def test_calibration_finds_the_line_that_made_the_data() -> None:
    # Logits that are twice too sure must come back halved, or "0.9" would mean 0.75 to a desk.
    logits = GENERATOR.normal(size=(20_000, 1)) * 3
    truth = GENERATOR.random((20_000, 1)) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    found = fit_calibration(logits, truth)
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
    found = fit_calibration(GENERATOR.normal(size=(50, 1)), truth)
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
