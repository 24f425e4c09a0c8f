"""Scored sentences -> the ones a summary is made of: whole thoughts, no repetition, a budget."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice

from tocsin_models.extracts import SentenceFacts, best_extract
from tocsin_models.protocols import Limits
from tocsin_models.styles import Room, room_of

# Sentences that one sentence may bring with it. Who needs more is not worth the room.
_MOST_TOGETHER = 12

# Extracts are weighed of this many sentences, the likeliest: all 469 of up to three.
_POOL = 14

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sentence that may be chosen, and what it needs around it.

    ``score`` ranks it, higher is better. ``before`` and ``after`` count the sentences in front of
    it and behind it that one quotation runs through with it. ``is_mid_air``: it says nothing
    without the sentence before it.
    """

    text: str
    score: float
    before: int = 0
    after: int = 0
    is_mid_air: bool = False
    is_in_focus: bool = False


def select(candidates: Sequence[Candidate], limits: Limits) -> list[int]:
    """Indices of the chosen sentences, in order. ``candidates`` are those of one article, in order.

    Of the likeliest sentences the extract is taken that is worth most as a whole
    (``extracts.best_extract``); what room is left is filled by the next best. A sentence brings
    what it needs (``Candidate``), and none shares three words in a row with another. If any
    sentence is in focus, the best of them is taken before all others. Where nothing can be chosen,
    the best sentence stands alone; nothing is chosen only if none fits into an explicit
    ``max_words``.

    Raises:
        ConfigError: the style is unknown.
    """
    room = room_of(limits)
    chosen = _Choice(candidates, room)
    order = sorted(range(len(candidates)), key=lambda i: (-candidates[i].score, i))
    for index in order:
        if candidates[index].is_in_focus and chosen.add(index):
            break
    together = (frozenset(chosen.missing(index)) for index in order)
    units = list(islice((unit for unit in together if unit and chosen.may_take(unit)), _POOL))
    start = frozenset(chosen.indices)
    chosen.take(best_extract(chosen.facts, units, start, room) - start)
    chosen.fill()
    if not chosen.indices:
        order.sort(key=lambda i: (chosen.missing(i) != [i], -candidates[i].score, i))
        fits = [
            index
            for index in order
            if limits.max_words is None or chosen.facts[index].words <= limits.max_words
        ]
        return fits[:1]
    return sorted(chosen.indices)


def count_words(text: str) -> int:
    """Words as an editor counts them: runs between white space."""
    return len(text.split())


class _Choice:
    """A growing choice that never breaks its limits, and in which no sentence lacks what it
    needs."""

    def __init__(self, candidates: Sequence[Candidate], room: Room) -> None:
        self.indices: set[int] = set()
        self.facts = [_facts(candidate) for candidate in candidates]
        self._candidates = candidates
        self._room = room
        self._trigrams: set[tuple[str, ...]] = set()
        self._words = 0

    @property
    def is_enough(self) -> bool:
        room = self._room
        if room.most_sentences is not None and len(self.indices) >= room.most_sentences:
            return True
        return (
            room.least_words is not None
            and self._words >= room.least_words
            and len(self.indices) >= room.least_sentences
        )

    def fill(self) -> None:
        """Take the best until it is enough or nothing more fits."""
        queue = [(-candidate.score, index) for index, candidate in enumerate(self._candidates)]
        heapify(queue)
        while queue and not self.is_enough:
            _, index = heappop(queue)
            if index not in self.indices and self.add(index):
                # Who needed it needs less now, and may fit.
                first = max(0, index - 2 * _MOST_TOGETHER)
                near = self._candidates[first : index + 2 * _MOST_TOGETHER]
                for other, candidate in enumerate(near, first):
                    if other not in self.indices and (candidate.is_mid_air or candidate.before):
                        heappush(queue, (-candidate.score, other))

    def add(self, index: int) -> bool:
        """Take a sentence with what it needs, if all of it may come in."""
        missing = self.missing(index)
        if not self.may_take(missing):
            return False
        self.take(missing)
        return True

    def may_take(self, indices: Collection[int]) -> bool:
        """Whether these sentences fit in and repeat neither each other nor what is chosen."""
        room, facts = self._room, [self.facts[index] for index in indices]
        trigrams = frozenset().union(*(fact.trigrams for fact in facts))
        return (
            len(facts) <= _MOST_TOGETHER
            and (
                room.most_words is None
                or self._words + sum(fact.words for fact in facts) <= room.most_words
            )
            and (
                room.most_sentences is None or len(self.indices) + len(facts) <= room.most_sentences
            )
            and all(fact.tokens for fact in facts)
            and len(trigrams) == sum(len(fact.trigrams) for fact in facts)
            and self._trigrams.isdisjoint(trigrams)
        )

    def take(self, indices: Collection[int]) -> None:
        """Add sentences that may come in."""
        self.indices.update(indices)
        for index in indices:
            self._trigrams |= self.facts[index].trigrams
            self._words += self.facts[index].words

    def missing(self, index: int) -> list[int]:
        """A sentence and what it needs that is not chosen yet; no more than tell that it is too
        much."""
        first = index - self._candidates[index].before
        while (
            self._candidates[first].is_mid_air
            and first > 0
            and first - 1 not in self.indices
            and index - first <= _MOST_TOGETHER
        ):
            first -= 1 + self._candidates[first - 1].before
        last = index + self._candidates[index].after
        return [i for i in range(first, last + 1) if i not in self.indices]


def _facts(candidate: Candidate) -> SentenceFacts:
    tokens = tuple(_WORD.findall(candidate.text.lower()))
    return SentenceFacts(
        tokens=tokens,
        words=count_words(candidate.text),
        probability=1 / (1 + math.exp(-candidate.score)),
    )
