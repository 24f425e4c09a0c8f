"""The summariser's benchmark: what it counts, and when it says that a target is missed."""

import dataclasses
import json
from pathlib import Path

import pytest

from tocsin_eval import bench_summariser
from tocsin_eval.bench_summariser import Reading, failures, measure
from tocsin_models.classifier import load_classifier
from tocsin_models.manifest import EMBEDDED

READING = Reading(
    articles=100,
    tokens=9_000,
    torch_articles=10,
    precision="int8",
    classifier_s=(1.0, 9.0, 1.0),
    classifier_tokens=10_000,
    summariser_s=(1.0, 1.0, 9.0),
    torch_s=(0.5, 9.0, 0.5),
)


def test_a_ratio_is_of_medians_and_of_what_was_read() -> None:
    """Without it one slow repeat decides, or articles are held against tokens."""
    assert READING.of_classifier == pytest.approx(0.9)
    assert READING.of_torch == pytest.approx(5.0)
    assert failures(READING) == []


def test_each_missed_target_is_a_line() -> None:
    """Without it a build that has become slower ends in green."""
    slower = dataclasses.replace(READING, summariser_s=(2.0, 2.0, 2.0))
    assert failures(slower) == [
        "0.45 of the classifier's tokens a second, target 0.85",
        "2.50 times torch one by one, target 4",
    ]


def test_what_is_measured_is_the_models_that_ship() -> None:
    """Every token of the articles is read by both, and each system in every repeat."""
    texts = [
        "The ministry denied that its boats had shelled the pier.\n\nTalks go on in Geneva.",
        "A ferry ran aground off the cape on Monday. Nobody was hurt, the coast guard said.",
    ]
    found = measure(EMBEDDED["summariser"], texts)
    assert (found.articles, found.torch_articles) == (2, 2)
    # Both read the same words: were special tokens counted, the one with more windows would win.
    passages = [part for text in texts for part in text.split("\n\n")]
    with_special = sum(len(window.ids) for window in load_classifier().cut(passages))
    assert found.tokens == found.classifier_tokens == with_special - 2 * len(passages)
    for seconds in (found.classifier_s, found.summariser_s, found.torch_s):
        assert len(seconds) == bench_summariser.REPEATS
        assert min(seconds) > 0


def test_a_folder_without_articles_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_summariser.main(["--corpus", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("tocsin_eval.bench_summariser: ")
    assert "no *.jsonl there" in told.err
    assert json.dumps(told.out) == '""'
