"""Settings of a training run. The dataclass is the schema, YAML only holds values, ``key=value``
overrides them, and every mistake is reported at once (manner of torchtune)."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tocsin_models.errors import ConfigError


def setting(
    default: Any,
    help: str,
    *,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    check: Callable[[str], object] | None = None,
) -> Any:
    """A field with its help text; values must lie strictly between ``above`` and ``below``, be one
    of the ``choices``, or pass the ``check``, which raises ValueError."""
    limits = {"above": above, "below": below, "choices": choices, "check": check}
    metadata = {"help": help, **limits}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def parse_policy(policy: str) -> float | None:
    """The wanted precision of ``precision=0.9``; None for ``f1``.

    Raises:
        ValueError: it is neither.
    """
    if policy == "f1":
        return None
    name, _, value = policy.partition("=")
    try:
        precision = float(value)
    except ValueError:
        precision = 0.0
    if name != "precision" or not 0 < precision < 1:
        raise ValueError(f"{policy!r} is neither f1 nor precision=P with P between 0 and 1")
    return precision


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What any training run needs."""

    name: str = setting("tocsin-model", "the model's name in its manifest and in every answer")
    licence: str = setting("Apache-2.0", "SPDX identifier of the licence of the weights")
    languages: list[str] = setting(["en"], "ISO 639-1 codes of the languages it reads")
    seed: int = setting(13, "seed of shuffling, dropout, new layers and folds", above=-1)
    epochs: float = setting(4.0, "passes over the training data", above=0, below=1000)
    learning_rate: float = setting(
        1e-4, "peak learning rate of the encoder (AdamW)", above=0, below=1
    )
    head_learning_rate: float = setting(
        1e-3, "peak learning rate of all that is above the encoder", above=0, below=1
    )
    layer_decay: float = setting(
        1.0,
        "factor of the rate from each layer of the encoder to the one below",
        above=0,
        below=1.001,
    )
    weight_decay: float = setting(0.01, "decoupled weight decay", above=-1e-9, below=1)
    warmup_fraction: float = setting(
        0.1, "share of the steps in which the rate rises", above=-1e-9, below=1
    )
    dropout: float = setting(
        0.1, "share of activations dropped; 0 when each example is seen once", above=-1e-9, below=1
    )
    batch_size: int = setting(32, "examples per step and device", above=0, below=100_000)
    max_tokens: int = setting(
        256, "tokens of a window, special tokens included", above=7, below=100_000
    )
    bf16: bool = setting(True, "train in bfloat16 autocast; weights and optimiser stay float32")
    max_steps: int = setting(
        -1, "train so many steps, whatever epochs says; -1 to go by epochs", above=-2
    )
    tensorboard: str = setting("", "also log to this directory, where tensorboard is installed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig(RunConfig):
    """Fine-tuning an encoder to label passages."""

    folds: int = setting(
        3, "article-grouped folds for calibration and thresholds", above=1, below=101
    )
    folds_used: int = setting(
        0, "how many of the folds to train and calibrate on; 0 for all", above=-1
    )
    seeds: int = setting(
        1, "fine-tunings, of seed, seed + 1 and so on, of which the weights are averaged", above=0
    )
    problem: str = setting(
        "auto",
        "any number of labels a passage (sigmoid) or exactly one (softmax); auto looks at the data",
        choices=("auto", "multi_label", "single_label"),
    )
    balance: str = setting(
        "none",
        "weight of rare labels in the loss: sqrt and inverse of how often each occurs",
        choices=("none", "sqrt", "inverse"),
    )
    swap_names: float = setting(
        0.5,
        "share of passages in which names are exchanged for others, drawn afresh each epoch",
        above=-1e-9,
        below=1.001,
    )
    pair_names: float = setting(
        0.0,
        "above 0 the last epoch reads each passage twice in a step, its names drawn apart, and how "
        "far the two answers differ weighs so much in the loss; that epoch costs twice as much",
        above=-1e-9,
        below=1000,
    )
    name_tokens: bool = setting(
        False,
        "give each listed name a token, and all names of a kind (states, towns, people, groups) "
        "one vector: which of them it is can then decide nothing",
    )
    soft_passages: int = setting(
        0,
        "how many of the passages of --soft to learn from, drawn by the seed; 0 for all",
        above=-1,
    )
    threshold_policy: str = setting(
        "f1",
        "thresholds of highest F1, or the lowest ones that give a precision: precision=0.9",
        check=parse_policy,
    )
    int8: bool = setting(True, "also store the network in int8, for CPUs that have it")
    calibration_sources: list[str] = setting(
        [], "calibrate and set thresholds on rows of these sources only; empty for all"
    )
    definitions: dict[str, str] = setting(
        {}, "what each label means, as the codebook asks it; the service tells its callers"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptConfig(RunConfig):
    """Pre-training an encoder further on unlabelled text."""

    mask_share: float = setting(0.2, "share of the tokens that are asked for", above=0, below=1)
    train_tokens: int = setting(0, "tokens to read; 0 for all", above=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummariserConfig(RunConfig):
    """Training an encoder to choose the sentences that tell an article."""

    first_row: int = setting(
        0,
        "row of the first training file to begin at (CNN/DailyMail begins with CNN)",
        above=-1,
    )
    train_rows: int = setting(0, "articles to train on; 0 for all", above=-1)
    train_tokens: int = setting(
        768, "tokens of an article that training reads; scoring reads all", above=31
    )
    dev_rows: int = setting(200, "articles to report on while training", above=0)
    oracle_sentences: int = setting(3, "most sentences of a training extract", above=0, below=5)
    oracle_temperature: float = setting(
        0.04,
        "how far below the best an extract still counts, in ROUGE-1 + ROUGE-2 F1 (0 to 2)",
        above=0,
    )
    document_layers: int = setting(
        2, "transformer layers over the sentence vectors", above=-1, below=25
    )
    max_windows: int = setting(16, "windows that the document layers see at once", above=0)
    int8: bool = setting(True, "also store the network in int8, for CPUs that have it")


def describe_settings(config: RunConfig) -> dict[str, Any]:
    """The settings that make the model what it is: all but the place of the log."""
    found = dataclasses.asdict(config)
    del found["tensorboard"]
    return found


Config = TypeVar("Config", bound=RunConfig)


def load_config(schema: type[Config], path: Path | None, overrides: Sequence[str]) -> Config:
    """Values of a YAML file, overridden by ``key=value`` words, checked against ``schema``.

    Raises:
        ConfigError: with every problem found, not only the first.
    """
    problems: list[str] = []
    values = _read_yaml(path) if path else {}
    for word in overrides:
        key, separator, text = word.partition("=")
        if separator:
            try:
                values[key] = yaml.safe_load(text)
            except yaml.YAMLError:
                problems.append(f"{key}: {text!r} is not a YAML value")
        else:
            problems.append(f"{word}: not of the form key=value")

    fields = {item.name: item for item in dataclasses.fields(schema)}
    hints = typing.get_type_hints(schema)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; known keys: {', '.join(fields)}"
            problems.append(f"{key}: unknown key{hint}")
            continue
        try:
            checked[key] = _convert(value, hints[key])
            _check_value(checked[key], fields[key].metadata)
        except ValueError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise ConfigError(str(path or "settings"), problems)
    return schema(**checked)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read ({type(error).__name__})"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(str(path), [f"not YAML{line}"]) from None
    if not isinstance(values, dict):
        raise ConfigError(str(path), ["holds no key: value pairs"])
    return {str(key): value for key, value in values.items()}


def _convert(value: Any, wanted: Any) -> Any:
    if typing.get_origin(wanted) is dict:
        if not isinstance(value, dict) or not all(
            isinstance(item, str) for pair in value.items() for item in pair
        ):
            raise ValueError(f"{value!r} does not map strings to strings, as in {{threat: harm …}}")
        return value
    if isinstance(wanted, types.GenericAlias):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{value!r} is not a list of strings, as in [en, fr]")
        return value
    # YAML reads 1e-4 as a string, and true as an int to isinstance.
    if wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a number") from None
    if type(value) is not wanted:
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
        raise ValueError(f"{value!r} is not {kind[wanted]}")
    return value


def _check_value(value: Any, metadata: typing.Mapping[str, Any]) -> None:
    above, below, choices = metadata["above"], metadata["below"], metadata["choices"]
    if metadata["check"]:
        metadata["check"](value)
    if choices and value not in choices:
        raise ValueError(f"{value!r} is not one of {', '.join(choices)}")
    # Written so that nan fails both.
    if above is not None and not value > above:
        raise ValueError(f"{value} is not above {above}")
    if below is not None and not value < below:
        raise ValueError(f"{value} is not below {below}")
