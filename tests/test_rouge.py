"""ROUGE and the greedy oracle, held against rouge-score's own counting."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer, tokenize

from tocsin_eval.rouge import greedy_oracle, join_lines, mean_rouge, rouge

WORDS = ["raid", "port", "army", "minister", "talks", "fire", "border", "drone", "ceasefire", "7"]


def oracle_by_brute_force(
    sentences: list[str], reference: list[str], max_sentences: int
) -> list[int]:
    """Every step rescored from nothing, by the n-gram functions of rouge-score itself."""

    def ngrams(texts: list[str], order: int) -> Counter[Any]:
        counts: Counter[Any] = Counter()
        for text in texts:
            counts.update(rouge_scorer._create_ngrams(tokenize.tokenize(text, None), order))
        return counts

    def score(indices: list[int]) -> float:
        chosen = [sentences[index] for index in indices]
        total = 0.0
        for order in (1, 2):
            pair = ngrams(reference, order), ngrams(chosen, order)
            total += rouge_scorer._score_ngrams(*pair).fmeasure
        return total

    chosen: list[int] = []
    best = 0.0
    while len(chosen) < max_sentences:
        step = None
        for index in range(len(sentences)):
            if index not in chosen and score([*chosen, index]) > best + 1e-12:
                best, step = score([*chosen, index]), index
        if step is None:
            break
        chosen.append(step)
    return sorted(chosen)


@pytest.mark.parametrize("seed", range(60))
def test_the_fast_oracle_chooses_what_brute_force_through_rouge_score_chooses(seed: int) -> None:
    # The oracle is the summariser's only teacher: an off-by-one in clipping would teach it wrongly.
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(0, 9))).capitalize() + "."

    sentences = [sentence() for _ in range(draw.randint(0, 8))]
    reference = [sentence() for _ in range(draw.randint(0, 3))]
    limit = draw.randint(0, 5)
    assert greedy_oracle(sentences, reference, limit) == oracle_by_brute_force(
        sentences, reference, limit
    )


def test_the_oracle_stops_when_nothing_improves() -> None:
    # Without the stop it would fill up to max_sentences and teach padding.
    sentences = ["The port was shelled.", "Rain fell on the hills.", "Schools stayed closed."]
    assert greedy_oracle(sentences, "The port was shelled.", 3) == [0]


def test_the_oracle_answers_in_article_order_and_prefers_the_earlier_of_two_equals() -> None:
    # Copies of one sentence are common (a standfirst repeated): the choice must be stable.
    sentences = ["Troops left.", "Envoys met in the old city.", "Troops left."]
    assert greedy_oracle(sentences, ["Envoys met in the old city.", "Troops left."], 3) == [0, 1]


def test_the_oracle_of_an_article_that_shares_no_word_is_empty() -> None:
    # Rows with an empty or foreign reference exist; they must give no label, not a crash.
    assert greedy_oracle(["Rain fell."], "Troops left.", 3) == []
    assert greedy_oracle([], "Troops left.", 3) == []
    assert greedy_oracle(["Rain fell."], [], 3) == []


def test_a_sentence_twice_is_not_counted_twice() -> None:
    # ROUGE clips counts: a repeated sentence covers nothing new.
    assert greedy_oracle(["Talks failed.", "Talks failed."], "Talks failed again.", 2) == [0]


def test_rouge_is_in_percent_with_the_stemmer_and_reads_lines_as_sentences() -> None:
    # Published figures are percent, stemmed, Lsum by line; any other convention is not comparable.
    same = rouge("Troops left.\nTalks failed.", "Troops left.\nTalks failed.")
    assert (same.rouge1, same.rouge2, same.rougeLsum) == (100, 100, 100)
    assert rouge("talk", "talks").rouge1 == 100
    swapped = rouge("Talks failed.\nTroops left.", "Troops left.\nTalks failed.")
    assert swapped.rougeLsum == 100
    assert rouge("Talks failed. Troops left.", "Troops left. Talks failed.").rougeLsum < 100


def test_rouge_of_nothing_is_nought() -> None:
    # An empty summary is a legal answer (design, "The records") and must count as 0, not vanish.
    assert rouge("", "Troops left.").rouge1 == 0
    assert rouge("Troops left.", "…").rougeLsum == 0


def test_mean_rouge_weighs_rows_equally() -> None:
    # Weighing by length would let the longest references decide.
    pairs = [("Troops left.", "Troops left."), ("Rain", "A long reference that shares no word")]
    assert mean_rouge(pairs).rouge1 == pytest.approx(50)
    with pytest.raises(ValueError, match="at least one"):
        mean_rouge([])


@given(
    st.lists(
        st.sampled_from(["", " ", "…", "停火", "\ud800", "Talks talking.", "talk\n", *WORDS]),
        max_size=9,
    ),
    st.lists(st.text(max_size=30), max_size=4),
    st.booleans(),
)
def test_every_number_is_the_packages(drawn: list[str], texts: list[str], is_swapped: bool) -> None:
    # A second implementation, or a wrapper that filters rows, would drift from published figures.
    sides = "\n".join(drawn), "\n".join([*texts, *drawn[:3]])
    prediction, reference = sides[::-1] if is_swapped else sides
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeLsum"], use_stemmer=True)
    expected = scorer.score(target=reference, prediction=prediction)
    found = rouge(prediction, reference)
    for name, score in expected.items():
        assert isinstance(getattr(found, name), float)
        assert getattr(found, name) == pytest.approx(100 * score.fmeasure, abs=1e-9)


def test_a_line_break_inside_a_sentence_does_not_make_two_of_it() -> None:
    # ROUGE-Lsum counts lines; hard-wrapped copy would score another number than the same unwrapped.
    assert join_lines(["Troops\nleft  the port.", "Talks failed."]) == (
        "Troops left the port.\nTalks failed."
    )


def test_the_oracle_passes_over_a_sentence_that_breaks_the_limit_of_words() -> None:
    # A reference point that may be longer than the systems beside it is none.
    sentences = ["Troops left the port of Dibbat at dawn.", "Troops left.", "Talks failed."]
    reference = ["Troops left the port of Dibbat.", "Talks failed."]
    assert greedy_oracle(sentences, reference, 3) == [0, 2]
    assert greedy_oracle(sentences, reference, 3, max_words=9) == [0]
    assert greedy_oracle(sentences, reference, 3, max_words=4) == [1, 2]
    assert greedy_oracle(sentences, reference, 3, max_words=0) == []
