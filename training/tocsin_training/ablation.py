"""What each part of the classifier's training brings: the same recipe again with something missing.

    python -m tocsin_training.ablation --train FILES… --dev FILES… --out runs/ablation

One draw of whole articles is trained on in different ways, and all are read on the same held-out
passages. Each is one fine-tuning without folds, so nothing is calibrated: decisions are cut at 0.5
(of single labels the best is given), and average precision needs no cut. The table and the learning
curve go to OUT; a run that was interrupted goes on with the same command.
"""

import argparse
import dataclasses
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_eval.classification import label_matrix
from tocsin_eval.data import LabelledPassage, read_both
from tocsin_eval.names import swap_names
from tocsin_eval.plots import plot_learning_curve
from tocsin_models import hub
from tocsin_models.errors import DataError, TocsinError
from tocsin_training.config import ClassifierConfig, describe_settings, load_config
from tocsin_training.outcomes import Answers, Outcome, compare_answers, render_outcomes
from tocsin_training.output import check_out, describe_data, move_directory
from tocsin_training.progress import say
from tocsin_training.recipe import Recipe, load_tokenizer
from tocsin_training.targets import Target, choose_target
from tocsin_training.work import Work, describe_base

EXIT_REFUSED = 2

# Sources of what was written for this project; all others are published news.
WRITTEN = frozenset({"authored", "authored-news", "contrast"})

CURVE = {"an eighth of the passages": 1 / 8, "a quarter": 1 / 4, "half": 1 / 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One training: of the first ``share`` of the passages drawn those whose source ``reads`` lets
    in, with other ``settings``, from another ``base``."""

    name: str
    share: float = 1.0
    reads: Callable[[str], bool] = lambda source: True
    settings: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None

    def select(self, drawn: Sequence[LabelledPassage]) -> list[LabelledPassage]:
        """The passages that it is trained on."""
        part = drawn[: round(self.share * len(drawn))]
        return [row for row in part if self.reads(row.source)]


def list_variants(config: ClassifierConfig, adapted: str | None = None) -> list[Variant]:
    """The recipe first: all others are held against it."""
    told_apart = "told apart" if config.name_tokens else "not told apart"
    found = [
        Variant(name="the recipe"),
        Variant(name="written passages only", reads=lambda source: source in WRITTEN),
        Variant(name="real passages only", reads=lambda source: source not in WRITTEN),
        Variant(name="without contrast passages", reads=lambda source: source != "contrast"),
        Variant(name="without exchanged names", settings={"swap_names": 0.0, "pair_names": 0.0}),
        Variant(
            name=f"listed names {told_apart}", settings={"name_tokens": not config.name_tokens}
        ),
    ]
    if adapted:
        found.append(Variant(name="with longer pre-training", base=adapted))
    found += [Variant(name=name, share=share) for name, share in CURVE.items()]
    found += [
        Variant(name=f"seed {config.seed + n}", settings={"seed": config.seed + n}) for n in (1, 2)
    ]
    return found


def draw_articles(
    passages: Sequence[LabelledPassage], count: int, seed: int
) -> list[LabelledPassage]:
    """Whole articles, drawn by the seed, until they hold at least ``count`` passages (0 for all).
    Fewer are the first ones of more, so that a learning curve adds to what it had."""
    articles: dict[str, list[LabelledPassage]] = {}
    for row in passages:
        articles.setdefault(row.article, []).append(row)
    order = sorted(articles)
    random.Random(seed).shuffle(order)
    drawn: list[LabelledPassage] = []
    for article in order:
        if 0 < count <= len(drawn):
            break
        drawn += articles[article]
    return drawn


def run_ablation(
    train: Sequence[Path],
    dev: Sequence[Path],
    base: str,
    adapted: str | None,
    out: Path,
    config: ClassifierConfig,
    count: int,
) -> list[Outcome]:
    """Train every variant on ``count`` passages, read ``dev`` with each, write what came of it.

    Raises:
        ConfigError: ``out`` is not free, or other work lies there.
        DataError: the data do not do; as ``train_classifier``.
        ModelNotFound: a base cannot be loaded.
    """
    check_out(out)
    passages, read = read_both(train, dev)
    target = choose_target(passages, read, config, {}, is_calibrated=False)
    if lacking := sorted(set(target.labels) - {label for row in read for label in row.labels}):
        raise DataError(
            f"no row of --dev has {', '.join(map(repr, lacking))}, so nothing can be told of it; "
            "add rows that have it"
        )
    drawn = draw_articles(passages, count, config.seed)
    described = {
        "config": describe_settings(config),
        **describe_base(base),
        "adapted": describe_base(adapted) if adapted else None,
        "passages": len(drawn),
        "data": [dict(row) for row in describe_data(train=train, dev=dev)],
    }
    work = Work(out, described)
    chance = random.Random(config.seed)
    swapped = [
        dataclasses.replace(row, text=swap_names(row.text, row.names, chance)) for row in read
    ]
    answers = []
    for variant in _worth_training(list_variants(config, adapted), drawn, config):
        rows = variant.select(drawn)
        logits = _train(variant, rows, [*read, *swapped], base, target, config, work)
        scores = np.split(target.probabilities(logits), 2)
        given = np.split(target.decide(logits), 2)
        answers.append(
            Answers(
                name=variant.name,
                passages=len(rows),
                scores=scores[0],
                given=given[0],
                given_swapped=given[1],
            )
        )
    outcomes = compare_answers(
        answers,
        label_matrix([row.labels for row in read], target.labels),
        [row.article for row in read],
        np.array([row.text != other.text for row, other in zip(read, swapped, strict=True)]),
        config.seed,
    )
    _write(work.staging(), out, outcomes)
    work.remove()
    return outcomes


def _worth_training(
    variants: Sequence[Variant], drawn: Sequence[LabelledPassage], config: ClassifierConfig
) -> list[Variant]:
    """Without those that would read nothing, or be the recipe once more."""
    kept = [variants[0]]
    for variant in variants[1:]:
        rows = variant.select(drawn)
        is_set_otherwise = dataclasses.replace(config, **variant.settings) != config
        if not rows:
            say(f"left out: {variant.name}; the data hold no such rows")
        elif len(rows) < len(drawn) or is_set_otherwise or variant.base:
            kept.append(variant)
        else:
            say(f"left out: {variant.name}; that is what the recipe does with these data")
    return kept


def _train(
    variant: Variant,
    rows: Sequence[LabelledPassage],
    read: Sequence[LabelledPassage],
    base: str,
    target: Target,
    config: ClassifierConfig,
    work: Work,
) -> npt.NDArray[np.float64]:
    """Logits of the passages to ``read``: (passages, labels)."""
    stage = variant.name.replace(" ", "-")
    found = work.load(stage)
    if found is None:
        base = variant.base or base
        own = dataclasses.replace(config, **variant.settings)
        tokenizer, names = load_tokenizer(base, own)
        recipe = Recipe(base, target, tokenizer, own, work, names=names)
        found = recipe.logits(recipe.fine_tune(rows, stage), read)
        work.keep(stage, found)
    return found


def _write(made: Path, out: Path, outcomes: Sequence[Outcome]) -> None:
    made.mkdir(parents=True)
    (made / "ablation.md").write_text(render_outcomes(outcomes), encoding="utf-8")
    curve = sorted(
        (row for row in outcomes if row.name in CURVE or row is outcomes[0]),
        key=lambda row: row.passages,
    )
    svg = plot_learning_curve(
        [row.passages for row in curve],
        {
            "average precision": [row.average_precision for row in curve],
            "macro-F1 at 0.5": [row.macro_f1 for row in curve],
        },
    )
    (made / "learning-curve.svg").write_text(svg, encoding="utf-8")
    move_directory(made, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with a mistake, say so on standard error, and return 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_training.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="labelled passages")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="held-out ones")
    parser.add_argument("--base", default=hub.DEFAULT_BASE, help=f"({hub.DEFAULT_BASE})")
    parser.add_argument("--adapted", help="a base made by tocsin train adapt, to try beside it")
    parser.add_argument("--config", type=Path, help="YAML settings of tocsin train classifier")
    parser.add_argument(
        "--passages", type=_count, default=0, help="how many to draw; 0, the default, for all"
    )
    parser.add_argument("--out", type=Path, required=True, help="a new directory")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override")
    asked = parser.parse_intermixed_args(arguments)
    try:
        config = load_config(ClassifierConfig, asked.config, asked.overrides)
        outcomes = run_ablation(
            asked.train, asked.dev, asked.base, asked.adapted, asked.out, config, asked.passages
        )
    except TocsinError as error:
        print(f"ablation: error: {error}", file=sys.stderr)
        return EXIT_REFUSED
    print(render_outcomes(outcomes), end="")
    return 0


def _count(word: str) -> int:
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is no count; give 0 for all, or more")
    return int(word)


if __name__ == "__main__":
    raise SystemExit(main())
