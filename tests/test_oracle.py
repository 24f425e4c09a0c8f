"""What the summariser learns from: every good extract, not only the one a greedy search finds."""

from itertools import combinations

import numpy as np
import pytest

from tocsin_eval.rouge import count_ngrams
from tocsin_training.oracle import CANDIDATES, soft_oracle

REFERENCE = [
    "The harbour of Ostrel was closed on Friday.",
    "Its pilots had been asked to leave by the council.",
]
SENTENCES = [
    "Ferries waited in the bay.",
    "On Friday the harbour of Ostrel was closed.",
    "The council had asked its pilots to leave.",
    "The harbour of Ostrel was shut on Friday.",
    "Rain fell.",
    "Nobody in the town spoke of it.",
]


def f1(chosen: tuple[int, ...]) -> float:
    """ROUGE-1 F1 + ROUGE-2 F1 by the definition, bigrams within sentences."""
    wanted, found = count_ngrams(REFERENCE), count_ngrams([SENTENCES[i] for i in chosen])
    return sum(
        2 * shared.total() / (one.total() + other.total())
        for shared, one, other in (
            (wanted[0] & found[0], wanted[0], found[0]),
            (wanted[1] & found[1], wanted[1], found[1]),
        )
    )


def test_targets_are_the_weights_of_the_extracts_that_hold_a_sentence() -> None:
    """A slip in the clipping of n-grams would teach the network to repeat itself."""
    extracts = [
        chosen for size in (1, 2, 3) for chosen in combinations(range(len(SENTENCES)), size)
    ]
    scores = np.array([f1(chosen) for chosen in extracts])
    weights = np.exp((scores - scores.max()) / 0.05)
    weights /= weights.sum()
    expected = [
        sum(weight for weight, chosen in zip(weights, extracts, strict=True) if index in chosen)
        for index in range(len(SENTENCES))
    ]
    # A sentence that shares no word with the reference is in no candidate.
    found = soft_oracle(SENTENCES, REFERENCE, 3, 0.05)
    assert found[4] == 0
    keeps_no_word = [index for index in range(len(SENTENCES)) if f1((index,)) == 0]
    without = [chosen for chosen in extracts if not set(chosen) & set(keeps_no_word)]
    share = sum(weights[extracts.index(chosen)] for chosen in without)
    for index in set(range(len(SENTENCES))) - set(keeps_no_word):
        by_hand = sum(weights[extracts.index(c)] for c in without if index in c) / share
        assert found[index] == pytest.approx(by_hand, abs=1e-5)
        assert found[index] == pytest.approx(expected[index], abs=0.05)


def test_twins_share_what_a_greedy_search_gives_to_one() -> None:
    """One of two sentences that say the same would be called wrong."""
    targets = soft_oracle(
        ["Guns fell silent.", "Rain.", "Guns fell silent."], ["Guns fell silent."], 1, 0.01
    )
    assert targets.tolist() == pytest.approx([0.5, 0.0, 0.5], abs=1e-6)


def test_a_low_temperature_leaves_the_best_extract() -> None:
    targets = soft_oracle(SENTENCES, REFERENCE, 3, 1e-4)
    best = max((chosen for size in (1, 2, 3) for chosen in combinations(range(6), size)), key=f1)
    assert {index for index, target in enumerate(targets) if target > 0.5} == set(best)


def test_a_summary_of_other_words_teaches_nothing() -> None:
    """Half-way targets of an article without any overlap would be noise."""
    assert not soft_oracle(SENTENCES, ["Quarterly profits doubled"], 3, 0.04).any()
    assert soft_oracle([], REFERENCE, 3, 0.04).shape == (0,)


def test_a_long_article_is_searched_among_its_best_sentences_only() -> None:
    """All extracts of three of 500 sentences would take minutes an article."""
    targets = soft_oracle([*["Ostrel."] * 500, *SENTENCES], REFERENCE, 3, 0.04)
    assert 0 < (targets > 0).sum() <= CANDIDATES
    assert targets[501] > 0.3
