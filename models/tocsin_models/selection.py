"""Scored sentences -> the ones a summary is made of: no repetition, a budget of length."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin_models.protocols import Limits

# The style "short": what a front page has room for (issue 7, "Editors' wishes").
DEFAULT_SENTENCES = 3
LEAST_WORDS, MOST_WORDS = 40, 80

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sentence that may be chosen."""

    text: str
    score: float


def select(candidates: Sequence[Candidate], limits: Limits) -> list[int]:
    """Indices of the chosen sentences, in order.

    Best score first; a sentence that shares three words in a row with one already chosen is passed
    over (trigram blocking: Paulus et al. 2017), and so is one that would break the word limit.
    Without limits at most three sentences and 80 words are chosen, and sentences are added only
    until 40 words stand; an explicit ``max_sentences`` lifts the limit of words. One sentence is
    always chosen unless ``max_words`` is explicit and none fits.
    """
    most_sentences = limits.max_sentences or DEFAULT_SENTENCES
    is_default = limits.max_sentences is None and limits.max_words is None
    most_words = limits.max_words
    if most_words is None and limits.max_sentences is None:
        most_words = MOST_WORDS
    order = sorted(range(len(candidates)), key=lambda index: (-candidates[index].score, index))
    chosen: list[int] = []
    trigrams: set[tuple[str, ...]] = set()
    words = 0
    for index in order:
        if len(chosen) == most_sentences or (is_default and words >= LEAST_WORDS):
            break
        spoken = [word.lower() for word in _WORD.findall(candidates[index].text)]
        length = count_words(candidates[index].text)
        found = set(zip(spoken, spoken[1:], spoken[2:], strict=False))
        if found & trigrams or not spoken:
            continue
        if most_words is not None and words + length > most_words:
            continue
        chosen.append(index)
        trigrams |= found
        words += length
    if not chosen and is_default and order:
        chosen = order[:1]
    return sorted(chosen)


def count_words(text: str) -> int:
    """Words as an editor counts them: runs between white space."""
    return len(text.split())
