"""What the summariser learns from: how much each sentence belongs into a good extract.

A single greedy extract (Nallapati et al. 2017) calls one sentence right and its near twin wrong.
Here all extracts of a few promising sentences are scored, and a sentence's target is the share of
the good ones that hold it.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_eval.rouge import count_ngrams

# Extracts are drawn from this many sentences, the best by themselves: all 298 extracts of up to
# three of them take a millisecond.
CANDIDATES = 12


def soft_oracle(
    sentences: Sequence[str], reference: Sequence[str], max_sentences: int, temperature: float
) -> npt.NDArray[np.float32]:
    """Target of each sentence, float32, shape (sentences,), in [0, 1].

    An extract of at most ``max_sentences`` weighs exp((score - best) / ``temperature``), its score
    being ROUGE-1 F1 + ROUGE-2 F1 (0 to 2, bigrams within sentences); weights add up to 1, and a
    target is the weight of the extracts that hold the sentence. All zero where no sentence shares a
    word with the reference.
    """
    targets = np.zeros(len(sentences), np.float32)
    counted = [count_ngrams([sentence]) for sentence in sentences]
    wanted = count_ngrams(reference)
    unigrams = _Overlaps(wanted[0], [pair[0] for pair in counted])
    bigrams = _Overlaps(wanted[1], [pair[1] for pair in counted])
    each = np.eye(len(sentences), dtype=np.float32)
    alone = unigrams.f1(each) + bigrams.f1(each)
    best = [int(index) for index in np.argsort(-alone, kind="stable")[:CANDIDATES] if alone[index]]
    if not best:
        return targets
    extracts = _extracts(len(best), max_sentences)
    scores = unigrams.only(best).f1(extracts) + bigrams.only(best).f1(extracts)
    weights = np.exp((scores - scores.max()) / temperature)
    targets[best] = (weights / weights.sum()) @ extracts
    return targets


@cache
def _extracts(sentences: int, most: int) -> npt.NDArray[np.float32]:
    """Every choice of 1 to ``most`` sentences, shape (choices, sentences), 0 or 1."""
    rows = [
        chosen
        for size in range(1, min(most, sentences) + 1)
        for chosen in combinations(range(sentences), size)
    ]
    found = np.zeros((len(rows), sentences), np.float32)
    for row, chosen in enumerate(rows):
        found[row, list(chosen)] = 1
    return found


class _Overlaps:
    """N-grams of one order that sentences share with a reference."""

    def __init__(self, wanted: Counter[Any], sentences: Sequence[Counter[Any]]) -> None:
        self._wanted = np.array(list(wanted.values()), np.float32)
        self._shared = np.array(
            [[sentence[ngram] for ngram in wanted] for sentence in sentences], np.float32
        ).reshape(len(sentences), len(wanted))
        self._totals = np.array([sentence.total() for sentence in sentences], np.float32)

    def only(self, indices: Sequence[int]) -> "_Overlaps":
        """The same of some of the sentences."""
        found = object.__new__(_Overlaps)
        found._wanted = self._wanted
        found._shared, found._totals = self._shared[indices], self._totals[indices]
        return found

    def f1(self, extracts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """F1 of each extract, shape (extracts,), 0 to 1."""
        hits = np.minimum(extracts @ self._shared, self._wanted).sum(axis=1)
        totals = extracts @ self._totals + self._wanted.sum()
        found: npt.NDArray[np.float32] = 2 * hits / np.maximum(totals, 1)
        return found
