"""Whether names decide: ``python -m tocsin_eval.name_swaps`` swaps every listed name in held-out
passages and counts the decisions that change. A label should not hang on who is in the news."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tocsin_eval.data import LabelledPassage, read_passages
from tocsin_eval.names import swap_names
from tocsin_models.classifier import load_classifier
from tocsin_models.labels import assign_labels
from tocsin_models.protocols import Classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """``flipped`` of ``decisions`` changed (one per passage and label); ``moved`` is the mean
    change of a probability."""

    passages: int
    decisions: int
    flipped: dict[str, int]
    moved: float

    @property
    def share(self) -> float:
        return sum(self.flipped.values()) / self.decisions


def measure_flips(
    classifier: Classifier, passages: Sequence[LabelledPassage], count: int, seed: int
) -> Flips:
    """Decisions on ``count`` passages that hold a name, drawn by the seed, before and after.

    Raises:
        ValueError: fewer passages than ``count`` hold a name.
    """
    chance = random.Random(seed)
    pairs = [(row.text, swap_names(row.text, row.names, chance)) for row in passages]
    named = [pair for pair in pairs if pair[0] != pair[1]]
    if len(named) < count:
        raise ValueError(f"{len(named)} passages hold a name; {count} are wanted")
    drawn = chance.sample(named, count)
    before = classifier.score([text for text, _ in drawn])
    after = classifier.score([text for _, text in drawn])
    thresholds = classifier.info.thresholds or {}
    flipped = dict.fromkeys(before.labels, 0)
    for row in range(count):
        labels = [set(assign_labels(scores, row, thresholds)[0]) for scores in (before, after)]
        for label in labels[0] ^ labels[1]:
            flipped[label] += 1
    return Flips(
        passages=count,
        decisions=count * len(before.labels),
        flipped=flipped,
        moved=float(np.abs(before.probabilities - after.probabilities).mean()),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tocsin_eval.name_swaps", description=__doc__)
    parser.add_argument("--model", type=Path, help="a classifier directory; the embedded one")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="labelled passages")
    parser.add_argument("--passages", type=int, default=200, help="how many to swap names in")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    found = measure_flips(
        load_classifier(asked.model), read_passages(asked.data), asked.passages, asked.seed
    )
    print(f"{sum(found.flipped.values())} of {found.decisions} decisions ({found.share:.2%}) flip")
    print(f"by label: {found.flipped}; a probability moves by {found.moved:.3f} on average")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
