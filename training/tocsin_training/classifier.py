"""Labelled passages in, a classifier directory out.

The recipe, in order: fine-tune once per article-grouped fold, collect out-of-fold logits, choose
calibration and thresholds on them, fine-tune on everything, fold the calibration in, write.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupKFold

from tocsin_eval.data import LabelledPassage, read_passages
from tocsin_models import hub
from tocsin_models.errors import ConfigError, DataError
from tocsin_models.manifest import Manifest
from tocsin_training.calibration import Calibration, fit_calibration, fold_calibration
from tocsin_training.config import ClassifierConfig
from tocsin_training.fit import Example, fit
from tocsin_training.output import describe_data, say, write_directory
from tocsin_training.quantise import quantise_classifier
from tocsin_training.report import classifier_metrics


def train_classifier(
    train: Sequence[Path], dev: Sequence[Path], base: str, out: Path, config: ClassifierConfig
) -> None:
    """Fine-tune ``base`` on ``train`` and write a model directory to ``out``.

    ``dev`` is read once, after everything is decided, and only tells.

    Raises:
        DataError: a file is not in the format of labelled passages, or an article stands in both.
        ConfigError: a definition is of a label that no row has.
        ModelNotFound: ``base`` cannot be loaded.
    """
    passages, dev_passages = read_passages(train), read_passages(dev)
    _refuse_overlap(passages, dev_passages)
    labels = tuple(sorted({label for passage in passages for label in passage.labels}))
    if unknown := sorted(set(config.definitions) - set(labels)):
        raise ConfigError(
            "definitions", [f"{label}: no training row has this label" for label in unknown]
        )
    say(f"{len(passages)} passages to train on, {len(dev_passages)} to tell; labels {labels}")

    tokenizer = hub.load_tokenizer(base)
    examples = _encode(passages, labels, tokenizer, config.max_tokens)
    truth = _matrix(passages, labels)
    calibration = _calibrate(passages, examples, truth, base, labels, tokenizer, config)
    thresholds = dict(zip(labels, calibration.thresholds.round(4).tolist(), strict=True))
    say(f"thresholds {thresholds}; training on everything")

    model = _fine_tune(examples, base, labels, tokenizer, config)
    fold_calibration(model, calibration)
    logits = _logits(model, _encode(dev_passages, labels, tokenizer, config.max_tokens), tokenizer)
    metrics = classifier_metrics(
        dev_passages, labels, 1 / (1 + np.exp(-logits)), thresholds, config.seed
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
        training={"config": dataclasses.asdict(config), "folds_by": "article"},
    )
    write_directory(out, model, tokenizer, manifest)
    if config.int8:
        say("quantising to int8")
        quantise_classifier(out, [passage.text for passage in passages], config.seed)


def _refuse_overlap(train: Sequence[LabelledPassage], dev: Sequence[LabelledPassage]) -> None:
    shared = {passage.article for passage in train} & {passage.article for passage in dev}
    if shared:
        raise DataError(
            f"{len(shared)} articles stand in both --train and --dev, {sorted(shared)[0]!r} among "
            "them; split by article, or the figures flatter"
        )


def _matrix(passages: Sequence[LabelledPassage], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.array([[label in passage.labels for label in labels] for passage in passages])


def _encode(
    passages: Sequence[LabelledPassage], labels: Sequence[str], tokenizer: Any, max_tokens: int
) -> list[Example]:
    """Token ids and 0/1 targets; a passage longer than a window is trained on by its first one."""
    texts = [passage.text for passage in passages]
    ids = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return [
        {"input_ids": row, "labels": [float(label in passage.labels) for label in labels]}
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
    base: str,
    labels: tuple[str, ...],
    tokenizer: Any,
    config: ClassifierConfig,
) -> torch.nn.Module:
    # New layers are drawn at loading, so the seed must be set before it too.
    torch.manual_seed(config.seed)
    model = hub.load_sequence_classifier(base, labels, "multi_label_classification")
    return fit(model, model.base_model, examples, lambda rows: _collate(rows, tokenizer), config)


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
    truth: npt.NDArray[np.bool_],
    base: str,
    labels: tuple[str, ...],
    tokenizer: Any,
    config: ClassifierConfig,
) -> Calibration:
    """Out-of-fold logits of ``config.folds`` models, then calibration on the wanted sources."""
    articles = [passage.article for passage in passages]
    if len(set(articles)) < config.folds:
        raise DataError(
            f"{len(set(articles))} articles cannot be split into {config.folds} folds; give more "
            "articles or set folds=2"
        )
    wanted = np.array(
        [
            not config.calibration_sources or passage.source in config.calibration_sources
            for passage in passages
        ]
    )
    if not wanted.any():
        raise DataError(
            f"no training passage has a source among {config.calibration_sources}; "
            "calibration_sources=[] takes them all"
        )
    logits = np.zeros(truth.shape)
    splitter = GroupKFold(config.folds, shuffle=True, random_state=config.seed)
    for fold, (inside, outside) in enumerate(splitter.split(examples, groups=articles), start=1):
        say(f"fold {fold} of {config.folds}: {len(inside)} passages")
        model = _fine_tune([examples[i] for i in inside], base, labels, tokenizer, config)
        logits[outside] = _logits(model, [examples[i] for i in outside], tokenizer)
    return fit_calibration(logits[wanted], truth[wanted])
