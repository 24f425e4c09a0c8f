"""Settings of training: every mistake at once, and what YAML and the command line may say."""

from pathlib import Path

import pytest

from tocsin_models.errors import ConfigError
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


def test_overrides_win_and_yaml_numbers_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("learning_rate: 1e-4\nseed: 7\nlanguages: [en, fr]\n")
    config = load_config(ClassifierConfig, path, ["seed=8", "bf16=false"])
    assert (config.learning_rate, config.seed, config.bf16) == (1e-4, 8, False)
    assert config.languages == ["en", "fr"]


@pytest.mark.parametrize(
    "word",
    ["epochs", "epochs=.nan", "seed=1.5", "bf16=1", "languages=en", "batch_size=0", "name=3"],
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
