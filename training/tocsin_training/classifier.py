"""Labelled passages in, a classifier directory out.

The recipe, in order: fine-tune once per article-grouped fold, collect out-of-fold logits, choose
calibration and thresholds on them, fine-tune on everything, fold the calibration in, write.
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold

from tocsin_eval.data import LabelledPassage, read_both
from tocsin_eval.tables import Source
from tocsin_models.errors import DataError
from tocsin_models.manifest import Manifest
from tocsin_training.calibration import (
    MIN_POSITIVES,
    Calibration,
    fit_calibration,
    fit_temperature,
    fold_calibration,
)
from tocsin_training.config import ClassifierConfig, describe_settings
from tocsin_training.fit import check_length, check_tensorboard
from tocsin_training.output import describe_data, move_directory, write_directory
from tocsin_training.progress import say
from tocsin_training.quantise import quantise_classifier
from tocsin_training.recipe import Recipe, load_tokenizer
from tocsin_training.report import classifier_metrics
from tocsin_training.targets import Matrix, choose_target
from tocsin_training.teach import SoftPassage, check_apart, read_soft_targets
from tocsin_training.work import Work, describe_base


def train_classifier(
    train: Sequence[Source],
    dev: Sequence[Source],
    base: str,
    out: Path,
    config: ClassifierConfig,
    columns: Mapping[str, str] | None = None,
    soft: Sequence[Source] = (),
) -> None:
    """Fine-tune ``base`` on ``train`` and write a model directory to ``out``.

    ``columns`` says which column of the tables is which field. ``soft`` are passages with a
    teacher's probabilities (``teach.py``), learnt from beside the labelled ones, in folds too; no
    calibration or threshold is chosen on them. ``dev`` is read once, after
    everything is decided, and only tells.

    Raises:
        DataError: a source is no table of labelled passages, or what is in them does not do; see
            ``targets.choose_target``.
        ConfigError: a definition is of a label that no row has, windows are longer than what
            ``base`` reads, or other work lies at ``out``.
        ModelNotFound: ``base`` cannot be loaded.
    """
    columns = columns or {}
    passages, dev_passages = read_both(train, dev, columns)
    target = choose_target(passages, dev_passages, config, columns)
    labels = target.labels
    soft_passages = _draw_soft(read_soft_targets(soft, labels), config)
    check_apart(soft_passages, dev_passages)
    kind = "one label each" if target.is_single_label else "any number of labels each"
    say(f"{len(passages)} passages to train on, {len(dev_passages)} to tell; {kind}: {labels}")

    # What may be mistyped comes first: work that is begun is for the same command only.
    check_tensorboard(config)
    check_length(base, config)
    tokenizer, names = load_tokenizer(base, config)
    data = describe_data(train=train, soft=soft, dev=dev)
    problem = "single_label" if target.is_single_label else "multi_label"
    described = {"config": describe_settings(config), "problem": problem, "columns": dict(columns)}
    work = Work(out, {**described, **describe_base(base), "data": [dict(row) for row in data]})
    recipe = Recipe(base, target, tokenizer, config, work, soft_passages, names)
    truth = target.matrix(passages)
    calibration = _calibrate(passages, truth, recipe)
    thresholds = dict(zip(labels, calibration.thresholds.round(4).tolist(), strict=True))
    if bare := [label for label, is_fitted in zip(labels, calibration.is_fitted, strict=True)
                if not is_fitted]:  # fmt: skip
        say(
            f"not calibrated: {', '.join(bare)}; among the left-out passages fewer than "
            f"{MIN_POSITIVES} have the label, or lack it, or the model did not learn it"
        )
    say(f"thresholds {thresholds}")

    model = recipe.fine_tune(passages, "everything")
    fold_calibration(model, calibration)
    logits = recipe.logits(model, dev_passages)
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
        data=data,
        metrics=metrics,
        training={**described, "folds_by": "article", **_describe_soft(soft_passages)},
    )
    made = work.staging()
    write_directory(made, model, tokenizer, manifest)
    if config.int8:
        say("quantising to int8")
        quantise_classifier(made, [passage.text for passage in passages], config.seed)
    move_directory(made, out)
    work.remove()


def _draw_soft(passages: list[SoftPassage], config: ClassifierConfig) -> list[SoftPassage]:
    count = config.soft_passages
    if not 0 < count < len(passages):
        return passages
    drawn = sorted(random.Random(config.seed).sample(range(len(passages)), count))
    return [passages[row] for row in drawn]


def _describe_soft(passages: Sequence[SoftPassage]) -> dict[str, Any]:
    if not passages:
        return {}
    teachers = sorted({passage.teacher for passage in passages})
    return {"soft_passages": len(passages), "teachers": teachers}


def _calibrate(passages: Sequence[LabelledPassage], truth: Matrix, recipe: Recipe) -> Calibration:
    """Out-of-fold logits of ``folds`` models, then calibration on the wanted sources.

    With ``folds_used`` it is the left-out articles of so many folds only: less to calibrate on, but
    one of four folds costs a quarter of what four do.

    Raises:
        DataError: none of the passages left out is of a wanted source; nothing was trained then.
    """
    config = recipe.config
    articles = np.array([passage.article for passage in passages])
    wanted = np.array(
        [
            not config.calibration_sources or passage.source in config.calibration_sources
            for passage in passages
        ]
    )
    splitter = GroupKFold(config.folds, shuffle=True, random_state=config.seed)
    splits = list(splitter.split(passages, groups=articles))[: config.folds_used or None]
    wanted &= np.isin(np.arange(len(passages)), np.concatenate([rows for _, rows in splits]))
    if not wanted.any():
        raise DataError(
            f"no passage of calibration_sources={config.calibration_sources} is in the fold left "
            f"out by folds_used={config.folds_used}; set folds_used=0 for all folds, or name more "
            "sources"
        )
    logits = np.zeros(truth.shape)
    for fold, (inside, outside) in enumerate(splits, start=1):
        stage = f"fold-{fold}"
        found = recipe.work.load(stage)
        if found is None:
            left_out = [passages[row] for row in outside]
            model = recipe.fine_tune([passages[row] for row in inside], stage, left_out)
            found = recipe.logits(model, left_out)
            recipe.work.keep(stage, found)
        logits[outside] = found
    if recipe.target.is_single_label:
        return fit_temperature(logits[wanted], truth[wanted])
    return fit_calibration(logits[wanted], truth[wanted], articles[wanted], config.threshold_policy)
