"""Settings of training: every mistake at once, and what YAML and the command line may say."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tocsin_models.errors import ConfigError
from tocsin_models.manifest import EMBEDDED, read_manifest
from tocsin_training.classifier import train_classifier
from tocsin_training.config import ClassifierConfig, SummariserConfig, load_config


def problems(path: Path | None, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(ClassifierConfig, path, overrides)
    return caught.value.problems


def test_all_mistakes_are_reported_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    # One at a time would cost an editor three starts.
    path = tmp_path / "labels.yaml"
    path.write_text("learning_rate: -0.1\nwarmup_share: 0.1\nepochs: many\n")
    assert problems(path) == (
        "learning_rate: -0.1 is not above 0",
        "warmup_share: unknown key; did you mean warmup_fraction?",
        "epochs: 'many' is not a number",
    )


def test_a_policy_that_cannot_be_is_told_with_the_other_mistakes() -> None:
    """Without it an hour of training would end in a traceback, when thresholds are chosen."""
    assert problems(None, "threshold_policy=precision=2", "epochs=0") == (
        "threshold_policy: 'precision=2' is neither f1 nor precision=P with P between 0 and 1",
        "epochs: 0.0 is not above 0",
    )
    config = load_config(ClassifierConfig, None, ["threshold_policy=precision=0.9"])
    assert config.threshold_policy == "precision=0.9"


def test_overrides_win_and_yaml_numbers_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("learning_rate: 1e-4\nseed: 7\nlanguages: [en, fr]\n")
    config = load_config(ClassifierConfig, path, ["seed=8", "bf16=false"])
    assert (config.learning_rate, config.seed, config.bf16) == (1e-4, 8, False)
    assert config.languages == ["en", "fr"]


@pytest.mark.parametrize(
    "word",
    [
        *("epochs", "epochs=.nan", "seed=1.5", "bf16=1", "languages=en", "batch_size=0", "name=3"),
        *("threshold_policy=precision=2", "threshold_policy=0.9", "threshold_policy=F1"),
    ],
)
def test_a_value_of_the_wrong_kind_or_range_is_refused(word: str) -> None:
    assert len(problems(None, word)) == 1


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", "plain words"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert len(problems(path)) == 1
    assert len(problems(tmp_path / "missing.yaml")) == 1


def test_the_shipped_settings_are_valid(repository: Path) -> None:
    # They made the embedded models; a key renamed in code alone would make the README a lie.
    configs = repository / "training" / "configs"
    load_config(ClassifierConfig, configs / "classifier.yaml", [])
    load_config(SummariserConfig, configs / "summariser.yaml", [])


# What labels mean


def test_definitions_are_read_from_yaml_and_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("definitions:\n  flood: Is water where it should not be?\n")
    assert load_config(ClassifierConfig, path, []).definitions == {
        "flood": "Is water where it should not be?"
    }
    found = load_config(ClassifierConfig, path, ["definitions={fire: Does it burn}"])
    assert found.definitions == {"fire": "Does it burn"}


@pytest.mark.parametrize(
    "word",
    [
        "definitions=flood",
        "definitions=[flood]",
        "definitions={flood: 1}",
        "definitions={1: flood}",
        "definitions={yes: flood}",
        "definitions={flood: [a]}",
        "definitions=null",
    ],
)
def test_definitions_of_another_kind_are_refused(word: str) -> None:
    [problem] = problems(None, word)
    assert problem.startswith("definitions: ")


def test_a_default_is_not_shared_between_two_trainings() -> None:
    first, second = (load_config(ClassifierConfig, None, []) for _ in range(2))
    first.definitions["flood"] = "changed"
    first.calibration_sources.append("changed")
    assert (second.definitions, second.calibration_sources) == ({}, [])


def test_a_definition_of_a_label_that_no_row_has_is_refused(tmp_path: Path) -> None:
    # A typing error would leave the label without its meaning, and nobody would look.
    rows = {"train": "a1", "dev": "a2"}
    for name, article in rows.items():
        row = {"id": article, "article": article, "text": "Water rose.", "labels": ["flood"]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row | {"source": "invented"}) + "\n")
    config = load_config(ClassifierConfig, None, ["definitions={flod: Water, flood: Water}"])
    with pytest.raises(ConfigError) as caught:
        train_classifier(
            [tmp_path / "train.jsonl"],
            [tmp_path / "dev.jsonl"],
            "base-that-is-never-loaded",
            tmp_path / "out",
            config,
        )
    assert caught.value.problems == ("flod: no training row has this label",)
    assert not (tmp_path / "out").exists()


def test_the_embedded_model_tells_what_its_settings_say_of_its_labels(repository: Path) -> None:
    # GET /v1/labels answers the manifest's; the settings are what the next training writes there.
    manifest = read_manifest(EMBEDDED["classifier"], check_hashes=False)
    path = repository / "training" / "configs" / "classifier.yaml"
    assert manifest.definitions == load_config(ClassifierConfig, path, []).definitions
    assert set(manifest.definitions) == set(manifest.labels)


def test_definitions_do_not_change_the_revision() -> None:
    # They change no answer: records made before and after must name the same model.
    manifest = read_manifest(EMBEDDED["classifier"], check_hashes=False)
    assert replace(manifest, definitions={}).revision == manifest.revision
