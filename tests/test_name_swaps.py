"""Counting the decisions that hang on names: a model that looks at them is found out."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tocsin_eval import name_swaps
from tocsin_eval.data import LabelledPassage
from tocsin_eval.name_swaps import main, measure_flips
from tocsin_models.errors import DataError
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
    assert measure_flips(Looking("vowed"), ROWS, 20, seed=0).share.value == 0
    found = measure_flips(Looking("Iran"), ROWS, 20, seed=0)
    assert found.flipped == {"claim": 0, "threat": 20}
    assert found.share.value == 0.5
    assert found.moved == pytest.approx(0.5)


def test_the_interval_is_over_articles_and_not_over_passages() -> None:
    """Without it thirty passages of two articles would look as sure as thirty articles."""
    mixed = [
        replace(row, text=row.text.replace("Iran", "Ghana") if number % 2 else row.text)
        for number, row in enumerate(ROWS)
    ]
    two = [replace(row, article=str(number % 2)) for number, row in enumerate(mixed)]
    wide, narrow = (measure_flips(Looking("Iran"), rows, 30, seed=0).share for rows in (two, mixed))
    assert wide.value == narrow.value == pytest.approx(0.25)
    assert (wide.low, wide.high) == (0, 0.5)
    assert 0.1 < narrow.low < 0.2 < 0.3 < narrow.high < 0.4


def test_too_few_names_are_said() -> None:
    """Without it a share over three passages would be printed as if it were over two hundred."""
    with pytest.raises(DataError, match="30 passages hold a name; 31 are wanted: give more --data"):
        measure_flips(Looking("vowed"), ROWS, 31, seed=0)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The rows in a file, and a model that looks at names in the place of the embedded one."""
    monkeypatch.setattr(name_swaps, "load_classifier", lambda _: Looking("Iran"))
    rows = [{"id": row.id, "article": row.article, "text": row.text, "labels": ["threat"],
             "source": "wire"} for row in ROWS]  # fmt: skip
    path = tmp_path / "held.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_is_printed_says_on_what_data_and_how_sure(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the figure could not be made again, nor told from chance."""
    assert main(["--data", str(table), "--passages", "20", "--seed", "4"]) == 0
    told = capsys.readouterr()
    assert "20 passages of held.jsonl; seed 4" in told.out
    assert "20 of 40 decisions (50.00%; 95%: 50.00% to 50.00%, bootstrap over arti" in told.out
    assert told.err == ""


def test_mistakes_are_one_line_and_exit_code_2(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it a typing error would end in a traceback."""
    assert main(["--data", str(table), "--passages", "31"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("name_swaps: error: 30 passages hold a name")
    assert line.endswith("or --passages 30")
    assert main(["--data", str(table.with_name("none.jsonl"))]) == 2
    assert "none.jsonl" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["--data", str(table), "--passages", "0"])
    assert stop.value.code == 2
    assert "0 is too small; give 1 or more" in capsys.readouterr().err
    # numpy's own complaint would come after all the scoring, as a traceback.
    with pytest.raises(SystemExit) as stop:
        main(["--data", str(table), "--seed", "-1"])
    assert stop.value.code == 2
    assert "give a whole number, 0 or more" in capsys.readouterr().err
