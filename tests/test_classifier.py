"""Scores: the same whatever stands beside a passage, and of the whole passage."""

import dataclasses
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_models import hub
from tocsin_models.classifier import EncoderClassifier, batch_sizes, load_classifier
from tocsin_models.manifest import EMBEDDED, hash_files, read_manifest, write_manifest


@pytest.fixture(scope="module")
def classifier() -> EncoderClassifier:
    return load_classifier(device="cpu")


@pytest.fixture(scope="module")
def passages(repository: Path) -> list[str]:
    """500 passages of the corpus, fifteen of them put together to longer than a window."""
    texts = [
        passage["text"]
        for path in sorted((repository / "training" / "corpus").glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
        for passage in json.loads(line)["passages"]
    ]
    drawn = random.Random(5).sample(texts, 485)
    return drawn + [" ".join(texts[start : start + 9]) for start in range(0, 135, 9)]


def test_a_score_does_not_depend_on_its_neighbours(
    classifier: EncoderClassifier, passages: list[str]
) -> None:
    # Free batching moves logits by up to 2.7% of their spread in bf16 (design, "Running it"): a
    # passage would carry a label in the archive and not on the editor's screen.
    alone = np.concatenate([classifier.score([text]).probabilities for text in passages])
    for size in (2, 3, 5, 8, 16, 31, 64):
        batched = np.concatenate(
            [
                classifier.score(passages[start : start + size]).probabilities
                for start in range(0, len(passages), size)
            ]
        )
        assert np.array_equal(alone, batched), f"batches of {size}"


def test_threads_do_not_change_a_score(passages: list[str]) -> None:
    one, two = (
        load_classifier(device="cpu", threads=threads).score(passages[:40]).probabilities
        for threads in (1, 2)
    )
    assert np.array_equal(one, two)


def test_many_passages_at_a_time_have_the_scores_of_one_at_a_time(
    without_int8: EncoderClassifier, without_int8_folder: Path, passages: list[str]
) -> None:
    # Streams of one thread, batches of other sizes, rows that fill a batch up: the archive's way
    # would else give another number than the editor's screen.
    some = passages[::3]
    for alone, folder in (
        (load_classifier(device="cpu"), None),
        (without_int8, without_int8_folder),
    ):
        many = load_classifier(folder, device="cpu", hint="throughput")
        assert many.info == alone.info
        assert np.array_equal(many.score(some).probabilities, alone.score(some).probabilities)


@given(count=st.integers(1, 500), most=st.integers(1, 64))
def test_every_window_has_a_batch_and_batches_have_two_sizes(count: int, most: int) -> None:
    # Each size costs a compilation of 80 ms, and 5 MiB that stay: with a size for every remainder
    # a third of a run over 2,000 rows was compiling.
    sizes = batch_sizes(count, most)
    assert sum(sizes) - sizes[-1] < count <= sum(sizes)
    assert max(sizes) <= most
    assert len({size for n in range(1, 200) for size in batch_sizes(n, most)}) <= 2


@pytest.fixture(scope="module")
def without_int8_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded weights as a processor without int8 runs them: converted, in bf16 or float32."""
    folder = tmp_path_factory.mktemp("models") / "without-int8"
    shutil.copytree(EMBEDDED["classifier"], folder, ignore=shutil.ignore_patterns("*.int8.*"))
    manifest = read_manifest(EMBEDDED["classifier"])
    write_manifest(folder, dataclasses.replace(manifest, files=hash_files(folder)))
    return folder


@pytest.fixture(scope="module")
def without_int8(without_int8_folder: Path) -> EncoderClassifier:
    return load_classifier(without_int8_folder, device="cpu")


def test_without_int8_a_score_does_not_depend_on_its_neighbours_either(
    without_int8: EncoderClassifier, passages: list[str]
) -> None:
    some = passages[::5]
    together = without_int8.score(some).probabilities
    alone = np.concatenate([without_int8.score([text]).probabilities for text in some])
    assert without_int8.info.precision in ("bf16", "f32")
    assert np.array_equal(alone, together)


def test_plain_transformers_agrees(
    classifier: EncoderClassifier, without_int8: EncoderClassifier, passages: list[str]
) -> None:
    # A wrong mask, pad or frame moves scores by far more than bf16 does. int8 rounds coarser: of
    # 4,000 scores the one that moves most moves by 0.096 (models/README.md, "Speed").
    model = hub.load_sequence_classifier(str(EMBEDDED["classifier"]))
    tokenizer = hub.load_tokenizer(str(EMBEDDED["classifier"]))
    import torch

    with torch.inference_mode():
        expected = np.concatenate(
            [
                model(**tokenizer(text, return_tensors="pt")).logits.sigmoid().numpy()
                for text in passages[:60]
            ]
        )
    converted = np.abs(without_int8.score(passages[:60]).probabilities - expected)
    assert converted.max() < 0.03
    assert converted.mean() < 0.003
    quantised = np.abs(classifier.score(passages[:60]).probabilities - expected)
    assert quantised.max() < 0.15
    assert quantised.mean() < 0.01


def test_a_long_passage_has_the_scores_of_its_strongest_window(
    classifier: EncoderClassifier,
) -> None:
    # Truncation, the commonest complaint about every peer, would lose the threat at the end.
    calm = "The harbour was rebuilt over four summers with stone from the quarry above the town. "
    threat = "We will strike your capital without mercy if a single ship is touched, he warned."
    found = classifier.score([calm * 40 + threat, calm, threat])
    assert found.windows[0] > 1
    assert found.windows[1:] == (1, 1)
    column = found.labels.index("threat")
    assert found.probabilities[0, column] > classifier.info.thresholds["threat"]
    assert found.probabilities[1, column] < classifier.info.thresholds["threat"]


def test_nothing_to_score_is_no_error(classifier: EncoderClassifier) -> None:
    assert classifier.score([]).probabilities.shape == (0, len(classifier.labels))
    assert classifier.score([""]).windows == (1,)


def test_the_codebooks_plain_cases(classifier: EncoderClassifier) -> None:
    # Not a benchmark: what a desk would try first, and what must never fail silently.
    cases = {
        "claim": "The ministry denied arming the militia and accused the army of shelling it.",
        "threat": "“If they cross the river we will burn their capital,” the general warned.",
        "retaliation": "The jets struck the depot in retaliation for an attack on the convoy.",
        "diplomacy": "The two foreign ministers signed a ceasefire after talks hosted by Vessaly.",
    }
    found = classifier.score(list(cases.values()))
    for row, label in enumerate(cases):
        column = found.labels.index(label)
        assert found.probabilities[row, column] >= classifier.info.thresholds[label], label
    calm = classifier.score(["The festival opened on Saturday with a concert in the old square."])
    assert all(
        value < classifier.info.thresholds[label]
        for label, value in zip(calm.labels, calm.probabilities[0], strict=True)
    )
