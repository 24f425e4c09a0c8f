"""Scored sentences -> the ones a summary is made of: whole thoughts, no repetition, a budget."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from tocsin_models.protocols import Limits
from tocsin_models.styles import Room, room_of

# Sentences that one sentence may bring with it. Who needs more is not worth the room.
_MOST_TOGETHER = 12

_WORD = re.compile(r"\w+")
_Trigram = tuple[str, str, str]


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

    The best are taken first. A sentence brings what it needs (``Candidate``); if that does not fit,
    or if it shares three words in a row with what is chosen (trigram blocking: Paulus et al. 2017),
    the next one is tried. If any sentence is
    in focus, the best of them is taken before all others. Where nothing can be chosen, the best
    sentence stands alone; nothing is chosen only if none fits into an explicit ``max_words``.

    Raises:
        ConfigError: the style is unknown.
    """
    room = room_of(limits)
    chosen = _Choice(candidates, room)
    order = sorted(range(len(candidates)), key=lambda i: (-candidates[i].score, i))
    for index in order:
        if candidates[index].is_in_focus and chosen.add(index):
            break
    chosen.fill()
    if not chosen.indices:
        order.sort(key=lambda i: (chosen.missing(i) != [i], -candidates[i].score, i))
        fits = [
            index
            for index in order
            if limits.max_words is None or count_words(candidates[index].text) <= limits.max_words
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
        self._candidates = candidates
        self._room = room
        self._trigrams: set[_Trigram] = set()
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
        words = self._words + sum(count_words(self._candidates[i].text) for i in missing)
        room = self._room
        if (
            len(missing) > _MOST_TOGETHER
            or (room.most_words is not None and words > room.most_words)
            or (
                room.most_sentences is not None
                and len(self.indices) + len(missing) > room.most_sentences
            )
        ):
            return False
        found: set[_Trigram] = set()
        for i in missing:
            spoken = [word.lower() for word in _WORD.findall(self._candidates[i].text)]
            own = set(zip(spoken, spoken[1:], spoken[2:], strict=False))
            if own & (self._trigrams | found) or not spoken:
                return False
            found |= own
        self.indices.update(missing)
        self._trigrams |= found
        self._words = words
        return True

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
