"""Which sentences together an editor's summary is likely to share most with.

The network says of each sentence how likely it stands in a good extract. Taken by that alone, the
best three may say the same thing three times. Here extracts are weighed whole, by the ROUGE they
are expected to have: minimum Bayes risk, as in machine translation (Kumar and Byrne 2004).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tocsin_models.styles import Room

# Extracts grow by a sentence at a time, and this many of the best go on (beam search).
_WIDTH = 16

# Noisy-or takes sentences to be chosen independently, and so overstates what is unlikely: a power
# mends it as well as a fitted calibration. And what a sentence's own probability counts beside
# ROUGE-1 and ROUGE-2, each 0 to 1. Both were chosen on training articles, on a plateau
# (training/README.md, log of 2026-11-30).
_SHARPNESS = 1.5
_OWN = 0.1

# A sentence that is certain would make all its words certain, and their logarithm infinite.
_SUREST = 0.999

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SentenceFacts:
    """What counts of a sentence here: its words in lower case, how many words an editor counts, and
    the probability that it stands in a good extract."""

    tokens: tuple[str, ...]
    words: int
    probability: float

    @cached_property
    def trigrams(self) -> frozenset[tuple[str, str, str]]:
        """Runs of three words."""
        return frozenset(zip(self.tokens, self.tokens[1:], self.tokens[2:], strict=False))


def best_extract(
    sentences: Sequence[SentenceFacts],
    units: Sequence[frozenset[int]],
    start: frozenset[int],
    room: Room,
) -> frozenset[int]:
    """The extract of an article that is worth most, as indices of ``sentences``.

    It is ``start`` and any of ``units``, sentences that come together or not at all. It never
    breaks the room's limits and shares no three words in a row between two sentences (trigram
    blocking: Paulus et al. 2017); it has the room's least length if any extract has, and without
    one it ends where no unit fits any more.
    """
    if not units:
        return start
    inside = sorted(start.union(*units))
    search = _Search(sentences, inside, units, room)
    extracts = np.array([[index in start for index in inside]], np.float64)
    worths = np.zeros(1)
    found: list[tuple[bool, float, Array]] = []
    while len(extracts):
        grown, of_grown, may_grow = search.grow(extracts)
        for row, worth, is_enough, goes_on in zip(
            extracts, worths, search.are_enough(extracts), may_grow, strict=True
        ):
            if is_enough or not goes_on:
                found.append((bool(is_enough), float(worth), row))
        best = np.argsort(-of_grown, kind="stable")[:_WIDTH]
        extracts, worths = grown[best], of_grown[best]
    _, _, chosen = max(found, key=lambda one: one[:2])
    return frozenset(index for index, is_in in zip(inside, chosen, strict=True) if is_in)


class _Search:
    """Extracts as rows of 0 and 1, a column for each sentence that can come in (``inside``)."""

    def __init__(
        self,
        sentences: Sequence[SentenceFacts],
        inside: Sequence[int],
        units: Sequence[frozenset[int]],
        room: Room,
    ) -> None:
        self._room = room
        own = [sentences[index] for index in inside]
        self._units = np.array([[index in unit for index in inside] for unit in units], np.float64)
        self._words = np.array([sentence.words for sentence in own], np.float64)
        self._tokens = np.array([len(sentence.tokens) for sentence in own], np.float64)
        self._probabilities = np.array([sentence.probability for sentence in own])
        self._clashes = np.zeros((len(own), len(own)))
        for (i, one), (j, other) in combinations(enumerate(own), 2):
            self._clashes[i, j] = not one.trigrams.isdisjoint(other.trigrams)
        self._expected = _expect(sentences, inside, self._units)

    def grow(self, extracts: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
        """Every extract with one unit more, each once; what each of these is worth; and which of
        ``extracts`` have any."""
        grown = np.maximum(extracts[:, None], self._units)
        counts, words = grown.sum(-1), grown @ self._words
        fits = counts > extracts.sum(-1)[:, None]
        fits &= ((grown @ self._clashes) * grown).sum(-1) == 0
        if self._room.most_sentences is not None:
            fits &= counts <= self._room.most_sentences
        if self._room.most_words is not None:
            fits &= words <= self._room.most_words
        worths = grown @ self._probabilities * _OWN
        tokens, usual = grown @ self._tokens, self._room.usual_words
        for expected, ngrams in zip(self._expected, (tokens, tokens - counts), strict=True):
            worths += 2 * expected.hits(extracts) / (ngrams + usual)
        rows = grown[fits]
        once = list({row.tobytes(): number for number, row in enumerate(rows)}.values())
        # Rounded as scores are, so that noise of a processor's arithmetic decides nothing.
        return rows[once], np.round(worths[fits][once], 6), fits.any(-1)

    def are_enough(self, extracts: Array) -> npt.NDArray[np.bool_]:
        """Which have the least length that the room asks for; none where it asks for none."""
        if self._room.least_words is None:
            return np.zeros(len(extracts), bool)
        found: npt.NDArray[np.bool_] = (extracts @ self._words >= self._room.least_words) & (
            extracts.sum(-1) >= self._room.least_sentences
        )
        return found


def _expect(
    sentences: Sequence[SentenceFacts], inside: Sequence[int], units: Array
) -> "tuple[_Expected, _Expected]":
    """Words and pairs of words, of which no pair spans two sentences."""
    known: dict[str, int] = {}
    words = np.array(
        [known.setdefault(token, len(known)) for one in sentences for token in one.tokens],
        np.int64,
    )
    rows = np.repeat(np.arange(len(sentences)), [len(one.tokens) for one in sentences])
    absent = np.log1p(-np.minimum([one.probability for one in sentences], _SUREST))
    is_pair = rows[1:] == rows[:-1]
    pairs = (words[:-1] * len(known) + words[1:])[is_pair]
    return (
        _Expected(rows, words, absent, inside, units),
        _Expected(rows[1:][is_pair], pairs, absent, inside, units),
    )


class _Expected:
    """N-grams of one order, and how likely an editor's summary holds each of them.

    ``rows`` and ``ngrams`` say which sentence each n-gram of the article stands in; ``absent`` is
    the logarithm of the chance that a sentence is in no good extract.
    """

    def __init__(
        self,
        rows: Integers,
        ngrams: Integers,
        absent: Array,
        inside: Sequence[int],
        units: Array,
    ) -> None:
        place = np.full(len(absent), -1)
        place[inside] = np.arange(len(inside))
        _, ngrams = np.unique(ngrams, return_inverse=True)
        is_known = np.zeros(len(ngrams), bool)
        is_known[ngrams[place[rows] >= 0]] = True
        known = int(is_known.sum())
        kept = is_known[ngrams]
        columns = (np.cumsum(is_known) - 1)[ngrams[kept]]
        # However often a sentence holds an n-gram, it counts once.
        rows, columns = np.divmod(np.unique(rows[kept] * known + columns), max(known, 1))
        # It stands there unless every sentence that holds it is absent (noisy-or: Pearl 1988).
        lost = np.bincount(columns, weights=absent[rows], minlength=known)
        self._likely = (1 - np.exp(lost)) ** _SHARPNESS
        self._held = np.zeros((len(inside), known))
        own = place[rows] >= 0
        self._held[place[rows[own]], columns[own]] = 1
        self._held_by_units = (units @ self._held > 0).astype(np.float64)

    def hits(self, extracts: Array) -> Array:
        """N-grams that each extract, with each of the units, is expected to share with the summary:
        shape (extracts, units)."""
        covered = extracts @ self._held > 0
        fresh = np.where(covered, 0, self._likely)
        found: Array = (covered @ self._likely)[:, None] + fresh @ self._held_by_units.T
        return found
