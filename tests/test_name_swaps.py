"""Counting the decisions that hang on names: a model that looks at them is found out."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from tocsin_eval.data import LabelledPassage
from tocsin_eval.name_swaps import measure_flips
from tocsin_models.protocols import Scores
from tocsin_models.records import ModelInfo

ROWS = [
    LabelledPassage(
        id=str(number),
        article=str(number),
        text=f"Iran vowed in message {number} to strike the port of Aden again.",
        labels=("threat",),
        source="",
    )
    for number in range(30)
]


class Looking:
    """Says threat where the text holds a word."""

    labels = ("claim", "threat")

    def __init__(self, word: str) -> None:
        self._word = word
        self.info = ModelInfo(
            name="looking",
            revision="none",
            thresholds={"claim": 0.5, "threat": 0.5},
            precision="f32",
            device="cpu",
            languages=("en",),
        )

    def score(self, texts: Sequence[str]) -> Scores:
        found = [[0.0, float(bool(re.search(self._word, text)))] for text in texts]
        return Scores(
            labels=self.labels,
            probabilities=np.array(found, np.float32),
            windows=(1,) * len(texts),
        )


def test_a_model_that_looks_at_the_verb_flips_nothing_and_one_that_looks_at_names_does() -> None:
    """Without it a count of zero could mean that no name was swapped at all."""
    assert measure_flips(Looking("vowed"), ROWS, 20, seed=0).share == 0
    found = measure_flips(Looking("Iran"), ROWS, 20, seed=0)
    assert found.flipped == {"claim": 0, "threat": 20}
    assert found.share == 0.5
    assert found.moved == pytest.approx(0.5)


def test_too_few_names_are_said() -> None:
    """Without it a share over three passages would be printed as if it were over two hundred."""
    with pytest.raises(ValueError, match="30 passages hold a name; 31 are wanted"):
        measure_flips(Looking("vowed"), ROWS, 31, seed=0)
