"""Sentences weighed together, by the ROUGE that they are expected to have."""

import math
from collections.abc import Sequence
from itertools import chain, combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin_models.extracts import SentenceFacts, best_extract
from tocsin_models.protocols import Limits
from tocsin_models.selection import Candidate, select
from tocsin_models.styles import Room, room_of


def facts(text: str, probability: float) -> SentenceFacts:
    tokens = tuple(text.split())
    return SentenceFacts(tokens=tokens, words=len(tokens), probability=probability)


def worth(sentences: Sequence[SentenceFacts], extract: Sequence[int], room: Room) -> float:
    """What ``extracts.py`` says it maximises, a word at a time and without arrays."""
    total = 0.1 * sum(sentences[index].probability for index in extract)
    unigrams: list[list[Any]] = [list(sentence.tokens) for sentence in sentences]
    for texts in (unigrams, [list(pairwise(text)) for text in unigrams]):
        told = {ngram for index in extract for ngram in texts[index]}
        hits = 0.0
        for ngram in told:
            holders = [
                sentence for sentence, text in zip(sentences, texts, strict=True) if ngram in text
            ]
            hits += (1 - math.prod([1 - holder.probability for holder in holders])) ** 1.5
        length = sum(len(texts[index]) for index in extract)
        total += 2 * hits / (length + room.usual_words)
    return total


_WORDS = st.sampled_from(["army", "port", "burns", "rain", "fell", "talks", "began", "envoy"])
_SENTENCES = st.lists(
    st.builds(facts, st.lists(_WORDS, min_size=1, max_size=7).map(" ".join), st.floats(0.01, 0.9)),
    min_size=3,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(_SENTENCES, st.integers(1, 3), st.none() | st.integers(6, 20))
def test_no_extract_is_worth_more(
    sentences: list[SentenceFacts], most: int, words: int | None
) -> None:
    # Against all extracts there are, by plain arithmetic: an error in the arrays would choose worse
    # sentences and nobody would see it.
    room = Room(most_sentences=most, most_words=words)
    units = [frozenset({index}) for index in range(len(sentences))]

    def is_allowed(extract: Sequence[int]) -> bool:
        own = [sentences[index] for index in extract]
        runs = list(chain.from_iterable(sentence.trigrams for sentence in own))
        total = sum(sentence.words for sentence in own)
        return (
            len(own) <= most and len(runs) == len(set(runs)) and total <= (room.most_words or total)
        )

    allowed = [
        extract
        for size in range(most + 1)
        for extract in combinations(range(len(sentences)), size)
        if is_allowed(extract)
    ]
    # The room is filled: an extract counts if none holds it and more.
    full = [one for one in allowed if not any(set(one) < set(other) for other in allowed)]
    best = max(worth(sentences, extract, room) for extract in full)
    found = sorted(best_extract(sentences, units, frozenset(), room))
    assert tuple(found) in full
    assert worth(sentences, found, room) == pytest.approx(best, abs=2e-6)


def test_what_two_likely_sentences_both_say_is_told_once() -> None:
    # By score alone the first two: the same news twice, which trigram blocking does not see. The
    # least likely one is the only other news.
    found = [
        Candidate(text="Rebels seized the northern port at dawn last Monday", score=1.0),
        Candidate(text="The northern port at noon was what rebels seized", score=0.9),
        Candidate(text="Talks resume in Geneva on Friday", score=0.2),
    ]
    assert select(found, Limits(max_sentences=2)) == [0, 2]


def test_a_headline_says_what_others_say_too() -> None:
    # All three likely sentences are about the port: one that names it beats a likelier loner.
    found = [
        Candidate(text="An old man sold figs by the road", score=0.3),
        Candidate(text="Rebels seized the northern port on Monday", score=0.2),
        Candidate(text="The northern port fell to rebels, the army said", score=-0.1),
        Candidate(text="Nobody knew who held the northern port", score=-0.1),
    ]
    assert select(found, Limits(style="headline")) == [1]


def test_the_best_in_focus_stays_in() -> None:
    # An editor who asks for threats gets one, however little it shares with the rest.
    found = [
        *(Candidate(text=f"the port fell to {name}", score=3.0) for name in ("rebels", "us")),
        Candidate(text="Figs were cheap", score=-6.0, is_in_focus=True),
    ]
    assert select(found, Limits(max_sentences=2))[-1] == 2


def test_of_many_sentences_as_many_come_as_were_asked_for() -> None:
    # Extracts are weighed of 14 sentences; who asks for 30 still gets 30.
    found = [Candidate(text=f"a{n} b{n} c{n} d{n}", score=-n / 10) for n in range(60)]
    assert select(found, Limits(max_sentences=30)) == list(range(30))


def test_an_extract_is_held_against_three_quarters_of_what_fits() -> None:
    # Too short a summary in mind favours short sentences, too long a one long ones.
    assert room_of(Limits()).usual_words == 45
    assert room_of(Limits(style="headline")).usual_words == 15
    assert room_of(Limits(style="standard")).usual_words == 75
    assert room_of(Limits(max_sentences=4)).usual_words == 60
    assert room_of(Limits(max_sentences=4, max_words=40)).usual_words == 30
