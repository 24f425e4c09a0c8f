"""Sentences as offsets: what the summariser quotes; and windows, which are cut between them."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin_models.passages import split_windows
from tocsin_models.sentences import split_sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


# fmt: off
FRAGMENTS = (
    ". ", "! ", "? ", " . ", ' . " ', "\r\n", "\n\n", "\u2028", "\x85", "\xa0", "\u3000", "B",
    "Dr.", "U.S.", "“", "”", '"', "'", "(", ")", "e\u0301", "\u05d0", "\ud800", "…",
)
# fmt: on
NEWS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(FRAGMENTS),
    ),
    max_size=30,
).map("".join)


@given(NEWS)
@example("B\xa0. x")  # sentencex 1.0.32 panics on this unless the space is made ASCII first
@example("B\u2028. ")
@example("a\ud800b. C")
def test_every_visible_character_is_in_exactly_one_sentence(text: str) -> None:
    # Receipts point into the text: a lost or doubled character is a false quotation.
    spans = split_sentences(text)
    covered = [0] * len(text)
    for start, end in spans:
        assert start < end
        assert text[start:end] == text[start:end].strip()
        for position in range(start, end):
            covered[position] += 1
    assert max(covered, default=0) <= 1
    assert all(count for count, char in zip(covered, text, strict=True) if not char.isspace())
    assert spans == sorted(spans)


def test_abbreviations_and_decimals_do_not_end_a_sentence() -> None:
    # A summary sentence that ends in "Gen." names nobody.
    text = "Gen. Orsolo of the U.N. Mission counted 3.5 million. He left."
    assert cut(text) == ["Gen. Orsolo of the U.N. Mission counted 3.5 million.", "He left."]


def test_a_quotation_keeps_its_closing_mark() -> None:
    assert cut("“We will strike.” He left. “Who?” he asked.") == [
        "“We will strike.”",
        "He left.",
        "“Who?” he asked.",
    ]


@pytest.mark.parametrize(
    "rank",
    [
        "Brig-Gen.",
        "Brig.-Gen.",
        "Lt-Col.",
        "Maj-Gen.",
        "Gen.",
        "Spc.",
        "Amb.",
        "Wg. Cdr.",
        "Gens.",
        "named Ms.",
    ],
)
def test_a_rank_is_not_the_end_of_a_sentence(rank: str) -> None:
    # A summary began with "Tukur Maidawa, has vowed": half a sentence, printed.
    first = f"The minister, {rank} Abo Marun, has vowed to return."
    assert cut(f"{first} He left.") == [first, "He left."]


def test_a_fort_is_not_the_end_of_a_sentence_and_a_foot_or_an_illness_is() -> None:
    # Told by the capital alone: "in front of the court at Ft." quotes nothing.
    assert cut("He stood in the court at Ft. Marun. He left.") == [
        "He stood in the court at Ft. Marun.",
        "He left.",
    ]
    for first in ("The boat lay under 30 ft.", "The envoy has MS."):
        assert cut(f"{first} Nobody died.") == [first, "Nobody died."]


@pytest.mark.parametrize(
    "rest",
    [
        "Tuesday and killed nine.",
        "Saturdays and Sundays.",
        "July 5 and killed nine.",
        "Sept. 5 and killed nine.",
        "ET and killed nine.",
        "GMT and killed nine.",
        "Eastern Time and killed nine.",
        "Port Maren time (0700 GMT) and killed nine.",
    ],
)
def test_an_hour_goes_on_with_its_day_and_its_time_zone(rest: str) -> None:
    # "Tuesday and killed nine." was a sentence of its own, without anybody who killed.
    for hour in ("6:15 a.m.", "10 p.m.", "10 P.M."):
        first = f"Four men stormed the depot at {hour} {rest}"
        assert cut(f"{first} Rain fell.") == [first, "Rain fell."]


@pytest.mark.parametrize(
    "second",
    [
        "The talks failed.",
        "On Tuesday they failed.",
        "Tuesday’s talks failed.",
        "Mayors of nine towns came.",
        "Eastern towns burned.",
        "Easterners fled.",
        "This time on Monday they had failed.",
        "Time was short.",
        "Nobody came.",
    ],
)
def test_an_hour_may_end_a_sentence(second: str) -> None:
    # Joined by mistake, a quotation brings what nobody asked for.
    assert cut(f"They met at 6 p.m. {second}") == ["They met at 6 p.m.", second]


def test_a_long_text_is_cut_as_in_one_piece() -> None:
    # Long texts are read piece by piece: a seam inside a sentence would cut it in two.
    sentence = "The militia said it had struck the depot at Tell Marun. "
    assert cut(sentence * 2_000) == [sentence.strip()] * 2_000


@pytest.mark.parametrize("word", ["abcdef", "abcdef\t", "x" * 7_990 + " y", " "])
def test_a_text_without_an_end_is_cut_between_words(word: str) -> None:
    # A transcript has no full stop for pages: half a word was the end of one quotation, half the
    # beginning of the next.
    text = f"{word} " * 3_000 if len(word) < 100 else f"{word} " * 20
    assert " ".join(cut(text)).split() == text.split()


def test_a_word_that_is_longer_than_a_piece_is_read_whatever_it_costs() -> None:
    # Waiting for white space that never comes would be waiting for ever.
    assert "".join(cut("x" * 50_000)) == "x" * 50_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Nothing but the free-standing mark tells the end in lower-cased, tokenised text.
        ("the army said . it denied it .", ["the army said .", "it denied it ."]),
        ("why now ? nobody knows !", ["why now ?", "nobody knows !"]),
        # A mark behind an open quotation closes it; without one it opens the next sentence.
        ('" we will not . " he left .', ['" we will not . "', "he left ."]),
        ('he left . " we will not , " she said .', ["he left .", '" we will not , " she said .']),
        # A plural possessive opens no quotation.
        ("it hit the troops ' camp . ' we saw it , ' he said .", None),
        ("they left ( again . ) nobody knows .", ["they left ( again . )", "nobody knows ."]),
        # Points inside a word, and dots that trail off, end nothing.
        ("the u.s. sent 3.5 tonnes of aid .", ["the u.s. sent 3.5 tonnes of aid ."]),
    ],
)
def test_tokenised_lower_case_text_is_cut_at_its_marks(
    text: str, expected: list[str] | None
) -> None:
    expected = expected or ["it hit the troops ' camp .", "' we saw it , ' he said ."]
    assert cut(text) == expected


@pytest.mark.parametrize(
    "unit",
    ["“Aa bb. ", "Brig-Gen. ", "' a . ", "a . ", "(", "\n", "\u2028. B", "[1]", "a ", "6 a.m. ET "],
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    # One text of unclosed quotation marks took sentencex 3.5 s; a service would stall on it.
    text = unit * (200_000 // len(unit))
    began = time.perf_counter()
    split_sentences(text)
    assert time.perf_counter() - began < 2.0


WORDS = st.lists(st.sampled_from(["the", "army", "said.", "No!", "“Go.”", "3.5"]), max_size=80)


@given(words=WORDS, max_tokens=st.integers(min_value=1, max_value=20))
def test_windows_hold_every_token_once_and_never_too_many(
    words: list[str], max_tokens: int
) -> None:
    # A token outside every window is text cut off unread (design, rule 2); one too many crashes.
    offsets: list[tuple[int, int]] = []
    for word in words:
        start = offsets[-1][1] + 1 if offsets else 0
        offsets.append((start, start + len(word)))
    windows = split_windows(offsets, split_sentences(" ".join(words)), max_tokens)
    assert [token for first, end in windows for token in range(first, end)] == list(
        range(len(offsets))
    )
    assert all(end - first <= max_tokens for first, end in windows)
    assert all(first < end for first, end in windows) or windows == [(0, 0)]


def test_windows_are_filled_with_whole_sentences() -> None:
    # A threat cut in half scores in neither window.
    offsets = [(position, position + 1) for position in range(0, 20, 2)]
    sentences = [(0, 5), (6, 11), (12, 15), (16, 19)]  # of 3, 3, 2 and 2 tokens
    assert split_windows(offsets, sentences, 6) == [(0, 6), (6, 10)]
    assert split_windows(offsets, sentences, 5) == [(0, 3), (3, 8), (8, 10)]


def test_only_a_sentence_longer_than_a_window_is_cut_inside() -> None:
    offsets = [(position, position + 1) for position in range(0, 20, 2)]
    assert split_windows(offsets, [(0, 3), (4, 19)], 4) == [(0, 2), (2, 6), (6, 10)]


def test_no_tokens_give_one_empty_window() -> None:
    # The maximum over no window at all would have no value.
    assert split_windows([], [], 8) == [(0, 0)]


def test_a_window_of_no_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        split_windows([(0, 1)], [(0, 1)], 0)
