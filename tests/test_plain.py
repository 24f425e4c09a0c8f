"""Any sequence classifier of transformers beside ours: scored as transformers itself scores it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tocsin_models import hub
from tocsin_models.errors import ModelError, ModelNotFound
from tocsin_models.hub import ProblemType
from tocsin_models.plain import load_plain_classifier, plain_manifest

TEXTS = ["The ministry denied arming the group.", "We will answer every strike, he vowed."]
LABELS = ("politics", "sport", "war")


@pytest.fixture(scope="module")
def save(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """A directory as ``save_pretrained`` leaves it, for a problem type."""

    def make(problem: ProblemType | None) -> Path:
        import torch

        directory = tmp_path_factory.mktemp("plain") / "their-model"
        shutil.copytree(tiny_base, directory, ignore=shutil.ignore_patterns("*.safetensors"))
        torch.manual_seed(3)
        model = hub.load_sequence_classifier(str(tiny_base), LABELS, problem)
        with torch.no_grad():
            model.classifier.weight.mul_(40)
        model.save_pretrained(directory)
        return directory

    return make


def scores_of_transformers(directory: Path, activation: str) -> Any:
    import torch

    model = hub.load_sequence_classifier(str(directory)).eval()
    inputs = hub.load_tokenizer(str(directory))(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(inputs["input_ids"], inputs["attention_mask"]).logits
    return (logits.softmax(-1) if activation == "softmax" else logits.sigmoid()).numpy()


@pytest.mark.parametrize(
    ("problem", "activation"),
    [
        ("multi_label_classification", "sigmoid"),
        ("single_label_classification", "softmax"),
        (None, "softmax"),  # most of the Hub: transformers' own pipeline takes softmax then
    ],
)
def test_its_probabilities_are_those_of_transformers(
    save: Callable[[Any], Path], problem: ProblemType | None, activation: str
) -> None:
    directory = save(problem)
    found = load_plain_classifier(str(directory), device="cpu", precision="f32")
    assert found.labels == LABELS
    scores = found.score(TEXTS)
    expected = scores_of_transformers(directory, activation)
    assert np.ptp(expected) > 0.2  # or the comparison would say nothing
    assert np.allclose(scores.probabilities, expected, atol=2e-3)
    assert scores.is_single_label is (activation == "softmax")


def test_its_name_is_the_folders_and_its_revision_follows_its_files(
    save: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The revision is what kept answers are found by: other weights must be another one.
    directory = save("multi_label_classification")
    first = plain_manifest(directory, str(directory))
    assert (first.name, first.max_tokens) == ("their-model", 126)
    assert set(first.thresholds.values()) == {0.5}
    monkeypatch.chdir(directory)
    assert plain_manifest(Path(), ".").name == "their-model"
    with (directory / "model.safetensors").open("ab") as stream:
        stream.write(b"\0")
    assert plain_manifest(directory, str(directory)).revision != first.revision


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["BertModel"]},
        {"architectures": None},
        {"id2label": {"0": "positive"}},
        {"id2label": None},
        {"id2label": {"first": "a", "second": "b"}},
        {"id2label": ["a", "b"]},
        {"id2label": {"0": "same", "1": "same"}},
    ],
)
def test_what_is_no_classifier_with_named_labels_is_refused(
    save: Callable[[Any], Path], changes: dict[str, Any]
) -> None:
    directory = save(None)
    config = json.loads((directory / "config.json").read_text("utf-8"))
    (directory / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    with pytest.raises(ModelError, match="is no sequence classifier of two labels or more"):
        plain_manifest(directory, "their-model")


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_a_folder_that_is_no_model_is_told_as_one(tmp_path: Path, content: str | None) -> None:
    # A mistyped folder is the commonest mistake: one line, no traceback of transformers.
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config.json .*give a model directory") as error:
        load_plain_classifier(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_model_without_a_fast_tokenizer_says_so(save: Callable[[Any], Path]) -> None:
    directory = save(None)
    (directory / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer.json"):
        plain_manifest(directory, "their-model")


def test_lengths_that_a_config_leaves_out_do_not_matter(save: Callable[[Any], Path]) -> None:
    directory = save(None)
    config = json.loads((directory / "config.json").read_text("utf-8"))
    config["max_position_embeddings"] = None
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert plain_manifest(directory, "their-model").max_tokens == 512


def test_a_hub_id_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(ModelNotFound, match="org/none: cannot be had from the Hub") as error:
        load_plain_classifier("org/none")
    assert "\n" not in str(error.value)
