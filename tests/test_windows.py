"""Windows over an article's sentences: everything is read, and read where it stands."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_models.tokens import LENGTH_STEP, TextTokenizer, padded_length
from tocsin_models.windows import SLOTS, cut_evenly, cut_windows, groups_of, to_arrays

SENTENCES = st.lists(st.lists(st.integers(5, 99), max_size=40), max_size=80)


@given(SENTENCES, st.integers(1, 30))
def test_every_token_is_read_once_and_in_order(sentences: list[list[int]], room: int) -> None:
    # A token lost here would be a part of the article that no summary can ever quote.
    windows = cut_windows(sentences, room)
    assert [token for window in windows for token in window.ids] == list(
        chain.from_iterable(sentences)
    )
    assert all(len(window.ids) <= room and len(window.pieces) <= SLOTS for window in windows)


@given(SENTENCES, st.integers(1, 30))
def test_a_sentence_that_fits_a_window_is_never_cut(sentences: list[list[int]], room: int) -> None:
    pieces = [number for window in cut_windows(sentences, room) for number, _, _ in window.pieces]
    for number, sentence in enumerate(sentences):
        assert pieces.count(number) == max(1, -(-len(sentence) // room))


@given(SENTENCES, st.integers(8, 126), st.integers(0, 4))
def test_even_windows_read_the_same_and_never_pad_more(
    sentences: list[list[int]], room: int, special: int
) -> None:
    # Summaries may not pay for the speed with a word that nobody reads, or with a sentence in two.
    full, even = cut_windows(sentences, room), cut_evenly(sentences, room, special)
    assert [token for window in even for token in window.ids] == list(
        chain.from_iterable(sentences)
    )
    pieces = [number for window in even for number, _, _ in window.pieces]
    assert pieces == [number for window in full for number, _, _ in window.pieces]
    for window in even:
        assert len(window.ids) <= room
        assert len(window.pieces) <= SLOTS
        ends = [0, *(end for _, _, end in window.pieces)]
        assert ends == [*(first for _, first, _ in window.pieces), len(window.ids)]
    assert len(even) == len(full)
    padded = [
        max((padded_length(len(one.ids) + special, room + special) for one in cut), default=0)
        for cut in (even, full)
    ]
    assert padded[0] <= padded[1]


def test_even_windows_leave_no_nearly_empty_last_one() -> None:
    # It would be padded to the others' length, and cost as much as they do.
    sentences = [[7] * 10] * 7
    assert [len(window.ids) for window in cut_windows(sentences, 62)] == [60, 10]
    assert [len(window.ids) for window in cut_evenly(sentences, 62, special=2)] == [40, 30]
    # Not where it would cut a sentence in two: its halves would be judged apart.
    sentences = [[7] * 50, [7] * 12, [7] * 10]
    assert [len(window.ids) for window in cut_evenly(sentences, 62, special=2)] == [62, 10]


def test_pooling_averages_exactly_the_tokens_of_a_sentence(tiny_base: Path) -> None:
    # One column off, and a sentence would be judged by its neighbour's words.
    tokenizer = TextTokenizer(tiny_base)
    windows = cut_windows([[7, 8, 9], [10], [11, 12]], room=4)
    arrays = to_arrays([windows], tokenizer, max_tokens=64)
    rows = arrays["pooling"].reshape(-1, arrays["pooling"].shape[-1])[arrays["slots"][0]]
    owners = np.repeat(np.arange(len(windows)), [len(window.pieces) for window in windows])
    means = [row @ arrays["input_ids"][owner] for row, owner in zip(rows, owners, strict=True)]
    assert means == pytest.approx([8, 10, 11.5])
    assert arrays["positions"].tolist() == [[0, 1, 2]]


def test_articles_of_one_batch_are_told_apart(tiny_base: Path) -> None:
    # Training reads several articles at once; a mixed-up slot would teach it the wrong sentence.
    tokenizer = TextTokenizer(tiny_base)
    first, second = cut_windows([[7, 7], [8]], 8), cut_windows([[9]], 8)
    both = to_arrays([first, second], tokenizer, 64)
    assert both["sentence_mask"].tolist() == [[1, 1], [1, 0]]
    assert both["slots"][1, 0] == SLOTS  # the first slot of the second window


def test_groups_hold_every_window_once() -> None:
    windows = cut_windows([[1] * 4] * 10, 4)
    groups = list(groups_of(windows, 3))
    assert [len(group) for group in groups] == [3, 3, 3, 1]
    assert list(chain.from_iterable(groups)) == windows


@given(st.integers(1, 256))
def test_padded_lengths_are_steps_of_the_ladder(tokens: int) -> None:
    # Free lengths would make a score depend on what stands beside it.
    length = padded_length(tokens, 256)
    assert tokens <= length <= 256
    assert length % LENGTH_STEP == 0


def test_the_tokenizer_frames_and_keeps_offsets_in_code_points(tiny_base: Path) -> None:
    # Offsets in bytes would cut windows inside an Arabic or Cyrillic paragraph.
    tokenizer = TextTokenizer(tiny_base)
    text = "Аль-Мина denied"
    [tokens] = tokenizer.encode([text])
    assert text[slice(*tokens.offsets[-1])].lower() in "denied"
    assert tokens.offsets[-1][1] == len(text)
    assert tokenizer.frame([9]) == [2, 9, 3]
    assert tokenizer.special_tokens == 2


def test_a_lone_surrogate_is_read_as_an_unknown_character(tiny_base: Path) -> None:
    # JSON can carry "\ud800"; the Rust tokenizer cannot, and one such row must not fail the rest.
    assert TextTokenizer(tiny_base).encode(["the \ud800 port"])[0].ids
