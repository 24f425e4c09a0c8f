"""Whether names decide: ``python -m tocsin_eval.name_swaps`` swaps every listed name in held-out
passages and counts the decisions that change. A label should not hang on who is in the news."""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tocsin_eval.bootstrap import Array, Interval, article_sums, interval, ratio, resample_sums
from tocsin_eval.data import LabelledPassage, read_passages
from tocsin_eval.names import swap_names
from tocsin_eval.tables import source_name
from tocsin_models.classifier import load_classifier
from tocsin_models.errors import DataError, TocsinError
from tocsin_models.labels import assign_labels
from tocsin_models.protocols import Classifier

EXIT_REFUSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """``flipped`` of ``decisions`` changed (one per passage and label), by label; ``share`` is that
    of all of them, resampled by article; ``moved`` is the mean change of a probability."""

    passages: int
    decisions: int
    flipped: dict[str, int]
    share: Interval
    moved: float


def measure_flips(
    classifier: Classifier, passages: Sequence[LabelledPassage], count: int, seed: int
) -> Flips:
    """Decisions on ``count`` passages that hold a name, drawn by the seed, before and after.

    Raises:
        DataError: fewer passages than ``count`` hold a name.
    """
    chance = random.Random(seed)
    pairs = [(row, swap_names(row.text, row.names, chance)) for row in passages]
    named = [(row, swapped) for row, swapped in pairs if row.text != swapped]
    if len(named) < count:
        raise DataError(
            f"{len(named)} passages hold a name; {count} are wanted: give more --data"
            + (f", or --passages {len(named)}" if named else "")
        )
    drawn = chance.sample(named, count)
    before = classifier.score([row.text for row, _ in drawn])
    after = classifier.score([swapped for _, swapped in drawn])
    thresholds = classifier.info.thresholds or {}
    flipped = np.zeros((count, len(before.labels)))
    for row in range(count):
        first, second = (assign_labels(scores, row, thresholds)[0] for scores in (before, after))
        flipped[row] = [label in set(first) ^ set(second) for label in before.labels]
    return Flips(
        passages=count,
        decisions=flipped.size,
        flipped=dict(zip(before.labels, flipped.sum(axis=0).astype(int).tolist(), strict=True)),
        share=_share(flipped, [row.article for row, _ in drawn], seed),
        moved=float(np.abs(before.probabilities - after.probabilities).mean()),
    )


def _share(flipped: Array, articles: Sequence[str], seed: int) -> Interval:
    counts = np.stack([flipped.sum(axis=1), np.full(len(flipped), flipped.shape[1])], axis=1)
    sums = resample_sums(article_sums(counts, articles), seed=seed)
    return interval(float(flipped.mean()), ratio(sums[:, 0], sums[:, 1]))


def _at_least_one(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is too small; give 1 or more")
    return value


def _seed(word: str) -> int:
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is no seed; give a whole number, 0 or more")
    return int(word)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; with a mistake, one line on standard error, and return 2."""
    parser = argparse.ArgumentParser(prog="python -m tocsin_eval.name_swaps", description=__doc__)
    parser.add_argument("--model", type=Path, help="a classifier directory; the embedded one")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="labelled passages")
    parser.add_argument(
        "--passages", type=_at_least_one, default=200, help="how many to swap names in; 1 or more"
    )
    parser.add_argument("--seed", type=_seed, default=0, help="of the draws; 0 or more")
    asked = parser.parse_args(arguments)
    try:
        found = measure_flips(
            load_classifier(asked.model), read_passages(asked.data), asked.passages, asked.seed
        )
    except TocsinError as error:
        print(f"name_swaps: error: {error}", file=sys.stderr)
        return EXIT_REFUSED
    share = found.share
    names = ", ".join(map(source_name, asked.data))
    print(f"{found.passages} passages of {names}; seed {asked.seed}")
    print(
        f"{sum(found.flipped.values())} of {found.decisions} decisions ({share.value:.2%}; 95%: "
        f"{share.low:.2%} to {share.high:.2%}, bootstrap over articles) flip"
    )
    print(f"by label: {found.flipped}; a probability moves by {found.moved:.3f} on average")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
