"""A model directory is what its manifest says, or it is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tocsin_models.errors import ModelDamaged, ModelError, ModelNotFound
from tocsin_models.manifest import EMBEDDED, Manifest, hash_files, read_manifest, write_manifest


def make(folder: Path) -> Manifest:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    manifest = Manifest(
        name="desk",
        task="classifier",
        max_tokens=64,
        languages=("en",),
        base="base",
        licence="Apache-2.0",
        labels=("claim",),
        thresholds={"claim": 0.4},
        files=hash_files(folder),
    )
    write_manifest(folder, manifest)
    return manifest


def test_a_manifest_survives_the_disk(tmp_path: Path) -> None:
    assert make(tmp_path / "desk") == read_manifest(tmp_path / "desk")


def test_the_revision_changes_with_what_decides_an_answer_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    # Two answers with one revision must be comparable; a corrected metric is no new model.
    manifest = make(tmp_path / "desk")
    changes: list[dict[str, Any]] = [
        {"thresholds": {"claim": 0.5}},
        {"files": {}},
        {"max_tokens": 32},
    ]
    for changed in changes:
        assert dataclasses.replace(manifest, **changed).revision != manifest.revision
    assert dataclasses.replace(manifest, metrics={"f1": 1}).revision == manifest.revision


def test_a_missing_directory_and_a_directory_without_a_manifest_are_told_apart(
    tmp_path: Path,
) -> None:
    with pytest.raises(ModelNotFound, match="no such model directory"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(ModelDamaged, match=r"manifest\.json is missing"):
        read_manifest(tmp_path)


def test_a_missing_or_changed_file_is_named(tmp_path: Path) -> None:
    # One flipped bit in the weights gives answers that nobody trained.
    make(tmp_path / "desk")
    weights = tmp_path / "desk" / "model.safetensors"
    weights.write_bytes(b"Weights")
    with pytest.raises(ModelDamaged, match=r"model\.safetensors has SHA-256"):
        read_manifest(tmp_path / "desk")
    weights.unlink()
    with pytest.raises(ModelDamaged, match=r"model\.safetensors is missing"):
        read_manifest(tmp_path / "desk")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"schema": "tocsin-model/1", "task": "cook"}),
        json.dumps({"schema": "tocsin-model/1", "task": "classifier", "files": {"../x": "0"}}),
    ],
)
def test_a_manifest_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ModelDamaged) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["classifier", "summariser"])
def test_the_embedded_models_are_whole(task: str) -> None:
    # A clone with a truncated weight file must say so here, not in somebody's newsroom.
    manifest = read_manifest(EMBEDDED[task])
    assert manifest.task == task
    assert "model.safetensors" in manifest.files
    assert manifest.metrics
    assert (EMBEDDED[task] / "model.safetensors").stat().st_size < 60_000_000


def test_a_model_of_the_other_task_is_refused() -> None:
    from tocsin_models.classifier import load_classifier
    from tocsin_models.summariser import load_summariser

    with pytest.raises(ModelError, match="holds a summariser, not a classifier"):
        load_classifier(EMBEDDED["summariser"])
    with pytest.raises(ModelError, match="holds a classifier, not a summariser"):
        load_summariser(EMBEDDED["classifier"])
