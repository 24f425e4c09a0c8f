"""Near-duplicates among many short texts, found by the runs of eight words that they share."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tocsin_training.texts import words_of

Hashes: TypeAlias = NDArray[np.uint64]
Positions: TypeAlias = NDArray[np.int64]

# As pre-adaptation drops the articles of the development set (../shared/data/README.md).
SHINGLE_WORDS = 8
MIN_SHARE = 0.6
# A dozen words make five shingles; fewer are shared by chance ("said in a statement on Monday").
MIN_WORDS = 12

# Most words are in no text of the index, so a table of 2**20 bits spares most binary searches.
_FILTER_BITS = 20


class NearDuplicates:
    """An index of texts that tells which of them other texts repeat.

    Two texts are near-duplicates when their words are the same, or when both have ``MIN_WORDS``
    words or more and at least ``MIN_SHARE`` of the shingles (the different runs of
    ``SHINGLE_WORDS`` words) of the one that has fewer stand in the other too. Case and punctuation
    do not count. A text without a word is nobody's duplicate.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = [words_of(text) for text in texts]
        vocabulary = dict.fromkeys(chain.from_iterable(self._words))
        # 0 is any word that no text of the index has.
        self._numbers = {word: number for number, word in enumerate(vocabulary, start=1)}
        self._random = np.random.default_rng(0).integers(
            2**64, size=len(vocabulary) + 1, dtype=np.uint64
        )
        self._same: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for position, words in enumerate(self._words):
            self._same[tuple(words)].append(position)
        hashes, owners = self._shingles(self._words)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._owners = hashes[order], owners[order]
        self._filter = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
        self._filter[_filter_places(self._hashes)] = True

    def find(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Pairs (position in ``texts``, position in the index) of near-duplicates, in order.

        About a million words a second.
        """
        found = [words_of(text) for text in texts]
        pairs = {
            (position, other)
            for position, words in enumerate(found)
            if words
            for other in self._same.get(tuple(words), ())
        }
        pairs |= {
            (position, other)
            for position, other in self._candidates(found)
            if _shares_enough(found[position], self._words[other])
        }
        yield from sorted(pairs)

    def find_within(self) -> Iterator[tuple[int, int]]:
        """Pairs of texts of the index that are near-duplicates, the earlier text first."""
        pairs = {
            (first, second)
            for words, places in self._same.items()
            if words
            for second in places
            for first in places
            if first < second
        }
        pairs |= {
            (first, second)
            for first, second in self._candidates(self._words, is_within=True)
            if first < second and _shares_enough(self._words[first], self._words[second])
        }
        yield from sorted(pairs)

    def _candidates(
        self, texts: Sequence[list[str]], *, is_within: bool = False
    ) -> set[tuple[int, int]]:
        """Pairs that share at least one shingle (or a hash of one); ``is_within`` the index itself,
        where each text shares all of its own."""
        hashes, owners = self._shingles(texts)
        is_likely = self._filter[_filter_places(hashes)]
        hashes, owners = hashes[is_likely], owners[is_likely]
        first = np.searchsorted(self._hashes, hashes, side="left")
        last = np.searchsorted(self._hashes, hashes, side="right")
        # Hit k of a shingle is at first + k: a loop over hits would take seconds.
        counts = last - first
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        hits = np.repeat(first, counts) + np.arange(int(counts.sum())) - starts
        pairs = np.stack([np.repeat(owners, counts), self._owners[hits]], axis=1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]] if is_within else pairs, axis=0)
        return {(int(owner), int(other)) for owner, other in pairs}

    def _shingles(self, texts: Sequence[list[str]]) -> tuple[Hashes, Positions]:
        """The hash of each shingle of each text that is long enough, and whose it is.

        Hashes are sums of a random number a word, times a power of an odd number for its place,
        modulo 2**64: equal shingles have equal hashes, and ``_shares_enough`` sees the rest.
        """
        numbers = self._numbers
        long = [place for place, words in enumerate(texts) if len(words) >= MIN_WORDS]
        lengths = np.array([len(texts[place]) for place in long], dtype=np.int64)
        words = np.fromiter(
            (numbers.get(word, 0) for place in long for word in texts[place]),
            dtype=np.int64,
            count=int(lengths.sum()),
        )
        random = self._random[words]
        counts = lengths - (SHINGLE_WORDS - 1)
        # Where each shingle starts: every word but the last seven of each text.
        gaps = np.repeat(np.arange(len(long)) * (SHINGLE_WORDS - 1), counts)
        starts = np.arange(int(counts.sum())) + gaps
        hashes = np.zeros(len(starts), dtype=np.uint64)
        for place in range(SHINGLE_WORDS):
            hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + random[starts + place]
        return hashes, np.repeat(np.array(long, dtype=np.int64), counts)


def _filter_places(hashes: Hashes) -> Hashes:
    return hashes >> np.uint64(64 - _FILTER_BITS)


def _shares_enough(first: list[str], second: list[str]) -> bool:
    """Whether enough of the fewer shingles are shared; both texts have ``MIN_WORDS`` words."""
    one, other = _shingle_set(first), _shingle_set(second)
    return len(one & other) >= MIN_SHARE * min(len(one), len(other))


def _shingle_set(words: list[str]) -> set[tuple[str, ...]]:
    return {
        tuple(words[start : start + SHINGLE_WORDS])
        for start in range(len(words) - SHINGLE_WORDS + 1)
    }
