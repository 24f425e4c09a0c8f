"""Labelled passages in, a classifier directory out.

The recipe, in order: fine-tune once per article-grouped fold, collect out-of-fold logits, choose
calibration and thresholds on them, fine-tune on everything, fold the calibration in, write.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupKFold

from tocsin_eval.data import LabelledPassage, read_passages
from tocsin_eval.tables import Source
from tocsin_models import hub
from tocsin_models.manifest import Manifest
from tocsin_training.calibration import (
    Calibration,
    fit_calibration,
    fit_temperature,
    fold_calibration,
)
from tocsin_training.config import ClassifierConfig
from tocsin_training.fit import Example, fit
from tocsin_training.output import describe_data, say, write_directory
from tocsin_training.quantise import quantise_classifier
from tocsin_training.report import classifier_metrics
from tocsin_training.targets import Matrix, Target, choose_loss, choose_target


def train_classifier(
    train: Sequence[Source],
    dev: Sequence[Source],
    base: str,
    out: Path,
    config: ClassifierConfig,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Fine-tune ``base`` on ``train`` and write a model directory to ``out``.

    ``columns`` says which column of the tables is which field. ``dev`` is read once, after
    everything is decided, and only tells.

    Raises:
        DataError: a source is no table of labelled passages, or what is in them does not do; see
            ``targets.choose_target``.
        ConfigError: a definition is of a label that no row has.
        ModelNotFound: ``base`` cannot be loaded.
    """
    columns = columns or {}
    passages = read_passages(train, columns, beside=dev)
    dev_passages = read_passages(dev, columns, beside=train)
    target = choose_target(passages, dev_passages, config, columns)
    labels = target.labels
    kind = "one label each" if target.is_single_label else "any number of labels each"
    say(f"{len(passages)} passages to train on, {len(dev_passages)} to tell; {kind}: {labels}")

    tokenizer = hub.load_tokenizer(base)
    examples = _encode(passages, target, tokenizer, config.max_tokens)
    truth = target.matrix(passages)
    calibration = _calibrate(passages, examples, truth, base, target, tokenizer, config)
    thresholds = dict(zip(labels, calibration.thresholds.round(4).tolist(), strict=True))
    say(f"thresholds {thresholds}; training on everything")

    model = _fine_tune(examples, truth, base, target, tokenizer, config)
    fold_calibration(model, calibration)
    logits = _logits(model, _encode(dev_passages, target, tokenizer, config.max_tokens), tokenizer)
    metrics = classifier_metrics(
        dev_passages,
        labels,
        target.probabilities(logits),
        thresholds,
        config.seed,
        target.is_single_label,
    )
    say(f"dev: {json.dumps(metrics)}")
    manifest = Manifest(
        name=config.name,
        task="classifier",
        max_tokens=config.max_tokens,
        languages=tuple(config.languages),
        base=base,
        licence=config.licence,
        files={},
        labels=labels,
        thresholds=thresholds,
        calibration={
            label: {"scale": round(float(scale), 6), "offset": round(float(offset), 6)}
            for label, scale, offset in zip(
                labels, calibration.scale, calibration.offset, strict=True
            )
        },
        definitions=config.definitions,
        data=describe_data(train, dev),
        metrics=metrics,
        training={
            "config": dataclasses.asdict(config),
            "folds_by": "article",
            "problem": "single_label" if target.is_single_label else "multi_label",
            "columns": dict(columns),
        },
    )
    write_directory(out, model, tokenizer, manifest)
    if config.int8:
        say("quantising to int8")
        quantise_classifier(out, [passage.text for passage in passages], config.seed)


def _encode(
    passages: Sequence[LabelledPassage], target: Target, tokenizer: Any, max_tokens: int
) -> list[Example]:
    """Token ids and targets; a passage longer than a window is trained on by its first one."""
    texts = [passage.text for passage in passages]
    ids = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return [
        {"input_ids": row, "labels": target.of(passage)}
        for row, passage in zip(ids, passages, strict=True)
    ]


def _collate(rows: Sequence[Example], tokenizer: Any) -> dict[str, torch.Tensor]:
    batch = tokenizer.pad({"input_ids": [row["input_ids"] for row in rows]}, return_tensors="pt")
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


def _fine_tune(
    examples: Sequence[Example],
    truth: Matrix,
    base: str,
    target: Target,
    tokenizer: Any,
    config: ClassifierConfig,
) -> torch.nn.Module:
    # New layers are drawn at loading, so the seed must be set before it too.
    torch.manual_seed(config.seed)
    model = hub.load_sequence_classifier(base, target.labels, target.problem_type)
    loss = choose_loss(truth, target, config.balance)
    collate = functools.partial(_collate, tokenizer=tokenizer)
    return fit(model, model.base_model, examples, collate, config, loss)


def _logits(
    model: torch.nn.Module, examples: Sequence[Example], tokenizer: Any
) -> npt.NDArray[np.float64]:
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]["input_ids"]))
    found: list[npt.NDArray[np.float64]] = [np.empty(0)] * len(examples)
    with torch.inference_mode():
        for start in range(0, len(order), 32):
            chunk = order[start : start + 32]
            batch = _collate([examples[index] for index in chunk], tokenizer)
            del batch["labels"]
            for index, row in zip(chunk, model(**batch).logits.double().numpy(), strict=True):
                found[index] = row
    return np.stack(found)


def _calibrate(
    passages: Sequence[LabelledPassage],
    examples: Sequence[Example],
    truth: Matrix,
    base: str,
    target: Target,
    tokenizer: Any,
    config: ClassifierConfig,
) -> Calibration:
    """Out-of-fold logits of ``config.folds`` models, then calibration on the wanted sources."""
    articles = [passage.article for passage in passages]
    wanted = np.array(
        [
            not config.calibration_sources or passage.source in config.calibration_sources
            for passage in passages
        ]
    )
    logits = np.zeros(truth.shape)
    splitter = GroupKFold(config.folds, shuffle=True, random_state=config.seed)
    for fold, (inside, outside) in enumerate(splitter.split(examples, groups=articles), start=1):
        say(f"fold {fold} of {config.folds}: {len(inside)} passages")
        some = [examples[i] for i in inside]
        model = _fine_tune(some, truth[inside], base, target, tokenizer, config)
        logits[outside] = _logits(model, [examples[i] for i in outside], tokenizer)
    fitted = fit_temperature if target.is_single_label else fit_calibration
    return fitted(logits[wanted], truth[wanted])
