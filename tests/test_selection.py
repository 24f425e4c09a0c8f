"""Which of the scored sentences make the summary."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin_models.protocols import Limits
from tocsin_models.selection import Candidate, count_words, select
from tocsin_models.styles import MOST_WORDS


def candidates(*lines: tuple[str, float]) -> list[Candidate]:
    return [Candidate(text=text, score=score) for text, score in lines]


def words(count: int, name: str) -> str:
    return " ".join(f"{name}{index}" for index in range(count))


def test_the_best_sentences_come_in_the_order_of_the_article() -> None:
    found = candidates(("The port burned.", -3.0), ("Talks began.", 2.0), ("Rain fell.", 1.0))
    assert select(found, Limits(max_sentences=2)) == [1, 2]


def test_a_sentence_that_repeats_three_words_is_passed_over() -> None:
    # Wire copy says its first paragraph twice; a summary must not.
    found = candidates(
        ("Shells hit the northern port on Monday.", 0.9),
        ("Witnesses said shells hit the northern port.", 0.8),
        ("The envoy flew home.", 0.1),
    )
    assert select(found, Limits(max_sentences=2)) == [0, 2]


def test_the_short_style_stops_between_40_and_80_words() -> None:
    found = candidates(
        *((words(30, name), score) for name, score in zip("abcd", (4, 3, 2, 1), strict=True))
    )
    assert select(found, Limits()) == [0, 1]


def test_an_explicit_number_of_sentences_lifts_the_limit_of_words() -> None:
    found = candidates(*((words(60, name), 1.0) for name in "abc"))
    assert select(found, Limits()) == [0]
    assert select(found, Limits(max_sentences=3)) == [0, 1, 2]


def test_an_explicit_number_of_words_is_never_exceeded() -> None:
    found = candidates((words(30, "a"), 0.9), (words(12, "b"), 0.5), (words(9, "c"), 0.4))
    assert select(found, Limits(max_words=20)) == [1]
    assert select(found, Limits(max_words=5)) == []


def test_one_endless_sentence_is_still_a_summary() -> None:
    # An article of one sentence of 100 words has a summary: that sentence.
    assert select(candidates((words(100, "a"), 0.5)), Limits()) == [0]


@given(
    st.lists(st.tuples(st.text("ab .", max_size=60), st.floats(0, 1)), max_size=30),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 100),
)
def test_limits_hold_whatever_the_sentences(
    lines: list[tuple[str, float]], max_sentences: int | None, max_words: int | None
) -> None:
    found = candidates(*lines)
    chosen = select(found, Limits(max_sentences=max_sentences, max_words=max_words))
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= (max_sentences or 3)
    total = sum(count_words(found[index].text) for index in chosen)
    if max_words is not None:
        assert total <= max_words
    elif max_sentences is None and len(chosen) > 1:
        assert total <= MOST_WORDS
