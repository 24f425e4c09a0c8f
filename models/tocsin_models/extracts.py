"""Which sentences together an editor's summary is likely to share most with.

The network says of each sentence how likely it stands in a good extract. Taken by that alone, the
best three may say the same thing three times. Here extracts are weighed whole, by the ROUGE they
are expected to have: minimum Bayes risk, as in machine translation (Kumar and Byrne 2004).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tocsin_models.styles import Room

# Extracts grow by a sentence at a time, and this many of the best go on (beam search).
_WIDTH = 32

# Noisy-or takes sentences to be chosen independently, and so overstates what is unlikely: a power
# mends it as well as a fitted calibration. And what a sentence's own probability counts beside
# ROUGE-1 and ROUGE-2, each 0 to 1. Both were chosen on training articles, on a plateau
# (training/README.md, log of 2026-11-30).
_SHARPNESS = 1.5
_OWN = 0.1

# A sentence that is certain would make all its words certain, and their logarithm infinite.
_SUREST = 0.999

Array = npt.NDArray[np.float64]
Trigrams = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceFacts:
    """What counts of a sentence here: its words in lower case, how many words an editor counts, the
    runs of three words in it, and the probability that it stands in a good extract."""

    tokens: tuple[str, ...]
    words: int
    trigrams: Trigrams
    probability: float


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
    inside = sorted(start.union(*units))
    if not inside:
        return start
    search = _Search(sentences, inside, units, room)
    extracts = np.array([[index in start for index in inside]], dtype=np.float64)
    ended: list[Array] = []
    enough: list[Array] = []
    while len(extracts):
        grown, may_grow = search.grow(extracts)
        ended.append(extracts[~may_grow])
        enough.append(extracts[search.are_enough(extracts)])
        extracts = search.best(grown, _WIDTH)
    found = np.concatenate(enough)
    if not len(found):
        found = np.concatenate(ended)
    [best] = search.best(found, 1)
    return frozenset(index for index, is_in in zip(inside, best, strict=True) if is_in)


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
        self._units = self._units.reshape(len(units), len(inside))
        self._words = np.array([sentence.words for sentence in own], np.float64)
        self._tokens = np.array([len(sentence.tokens) for sentence in own], np.float64)
        self._probabilities = np.array([sentence.probability for sentence in own])
        self._clashes = np.zeros((len(own), len(own)))
        for (i, one), (j, other) in combinations(enumerate(own), 2):
            self._clashes[i, j] = not one.trigrams.isdisjoint(other.trigrams)
        unigrams = [sentence.tokens for sentence in sentences]
        probabilities = [sentence.probability for sentence in sentences]
        self._expected = [
            _Expected(unigrams, probabilities, inside),
            _Expected([list(pairwise(one)) for one in unigrams], probabilities, inside),
        ]

    def grow(self, extracts: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Every extract with one unit more, each once, and which of ``extracts`` have any."""
        grown = np.maximum(extracts[:, None], self._units)
        is_more = grown.sum(-1) > extracts.sum(-1)[:, None]
        fits = is_more & (((grown @ self._clashes) * grown).sum(-1) == 0)
        if self._room.most_sentences is not None:
            fits &= grown.sum(-1) <= self._room.most_sentences
        if self._room.most_words is not None:
            fits &= grown @ self._words <= self._room.most_words
        once = {row.tobytes(): row for row in grown[fits]}
        shape = (len(once), extracts.shape[1])
        return np.array(list(once.values())).reshape(shape), fits.any(-1)

    def are_enough(self, extracts: Array) -> npt.NDArray[np.bool_]:
        """Which have the least length that the room asks for; none where it asks for none."""
        if self._room.least_words is None:
            return np.zeros(len(extracts), bool)
        found: npt.NDArray[np.bool_] = (extracts @ self._words >= self._room.least_words) & (
            extracts.sum(-1) >= self._room.least_sentences
        )
        return found

    def best(self, extracts: Array, most: int) -> Array:
        """The ``most`` that are worth most, in that order. Rounded as scores are, so that noise of
        a processor's arithmetic decides nothing."""
        worths = self._probabilities @ extracts.T * _OWN
        tokens, usual = extracts @ self._tokens, self._room.usual_words
        lengths = (tokens, tokens - extracts.sum(-1))
        for expected, length in zip(self._expected, lengths, strict=True):
            worths += 2 * expected.hits(extracts) / (length + usual)
        return extracts[np.argsort(-np.round(worths, 6), kind="stable")[:most]]


class _Expected:
    """N-grams of one order, and how likely an editor's summary holds each of them."""

    def __init__(
        self,
        sentences: Sequence[Sequence[Any]],
        probabilities: Sequence[float],
        inside: Sequence[int],
    ) -> None:
        known = dict.fromkeys(chain.from_iterable(sentences[index] for index in inside))
        columns = {ngram: column for column, ngram in enumerate(known)}
        # It stands there unless every sentence that holds it is absent (noisy-or: Pearl 1988).
        absent = [0.0] * len(columns)
        for sentence, probability in zip(sentences, probabilities, strict=True):
            lost = float(np.log1p(-min(probability, _SUREST)))
            for ngram in set(sentence):
                if (column := columns.get(ngram)) is not None:
                    absent[column] += lost
        self._likely = (1 - np.exp(absent)) ** _SHARPNESS
        self._held = np.zeros((len(inside), len(columns)))
        for row, index in enumerate(inside):
            self._held[row, [columns[ngram] for ngram in sentences[index]]] = 1

    def hits(self, extracts: Array) -> Array:
        """N-grams that each extract is expected to share with the summary."""
        found: Array = (extracts @ self._held > 0) @ self._likely
        return found
