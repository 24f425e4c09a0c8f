"""Sentences that a model wrote -> sentences with receipts; what the article does not say is
replaced by what it does say."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from tocsin_models.candidates import is_reporting, make_candidates
from tocsin_models.datelines import dateline_end
from tocsin_models.openings import starts_in_mid_air
from tocsin_models.protocols import Limits
from tocsin_models.records import Paragraph, SummarySentence
from tocsin_models.selection import count_words
from tocsin_models.styles import room_of
from tocsin_models.summariser import Sentence
from tocsin_models.support import Kind, unsupported

T = TypeVar("T")

# A reason ends up in logs and reports: it names the kind of thing, never the thing.
_REASONS: dict[Kind, str] = {
    "name": "name not in the article",
    "number": "number not in the article",
    "date": "date not in the article",
    "quotation": "quotation not in the article",
    "speaker": "quotation of somebody else in the article",
}
_UNFINISHED = "not a whole sentence"
_MID_AIR = "needs a sentence that is not in front of it"
_UNRELATED = "nothing of it in the article"

_WORD = re.compile(r"\w+")
# Shorter words are grammar more often than matter.
_LEAST_LETTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A sentence that a model wrote, number ``index`` of its summary; unfinished where it ran into
    the limit of length."""

    index: int
    text: str
    is_finished: bool = True


def ground(
    written: Sequence[Written],
    sentences: Sequence[Sentence],
    paragraphs: Sequence[Paragraph],
    limits: Limits,
) -> tuple[tuple[SummarySentence, ...], int]:
    """The summary's sentences, as the model ordered them, and how many were checked.

    ``written`` come best first; ``sentences`` are those of the article's body, at least one. One
    that repeats three words in a row of a chosen one, or has no room, is passed over. One that
    fails the check is replaced by the article's sentence that covers it best, of those that are not
    in the summary, stand on their own and have room; it is left out where there is none. So is one
    that points back ("He …") where the one written before it is not in the summary, or replaced:
    it would speak of somebody else. The first has room, however long, unless ``max_words`` is
    explicit.
    """
    room = room_of(limits)
    article = "\n\n".join(paragraph.text for paragraph in paragraphs)
    sources = [_Grams.of(sentence.text) for sentence in sentences]
    quotable = _standing_alone(sentences)
    chosen: dict[int, SummarySentence] = {}
    used: set[int] = set()
    trigrams: set[tuple[str, ...]] = set()
    words = checked = 0
    for one in _in_turn(written):
        if len(chosen) == room.most_sentences:
            break
        left = None if room.most_words is None else room.most_words - words
        if not chosen and limits.max_words is None:
            left = None
        grams = _Grams.of(one.text)
        if not grams.words or grams.trigrams & trigrams:
            continue
        overlaps = [grams.overlap(source) for source in sources]
        best = max(range(len(sources)), key=lambda index: (overlaps[index], -index))
        before = chosen.get(one.index - 1)
        is_led_up_to = before is not None and not before.replaced
        reason = _fault(one, article, overlaps[best], is_led_up_to)
        checked += 1
        if reason is not None:
            fitting = [
                index
                for index in quotable
                if index not in used
                and not sources[index].trigrams & trigrams
                and (left is None or count_words(sentences[index].text) <= left)
            ]
            if not fitting:
                continue
            best = max(fitting, key=lambda index: (overlaps[index], -index))
            grams = sources[best]
        elif left is not None and count_words(one.text) > left:
            continue
        # "DIBBAT (AP) —" belongs to the article.
        cut = 0 if reason is None else dateline_end(sentences[best].text)
        text = one.text if reason is None else sentences[best].text[cut:]
        chosen[one.index] = SummarySentence(
            text=text,
            start=sentences[best].start + cut,
            end=sentences[best].end,
            passage=sentences[best].passage,
            score=round(overlaps[best], 6),
            replaced=reason is not None,
            reason=reason,
        )
        used.add(best)
        trigrams |= grams.trigrams
        words += count_words(text)
    return tuple(chosen[index] for index in sorted(chosen)), checked


def _standing_alone(sentences: Sequence[Sentence]) -> list[int]:
    """Indices of those that an extract may hold without the ones around them; all, if none does."""
    reporting = [index for index, one in enumerate(sentences) if is_reporting(one.text)]
    candidates = make_candidates(
        [sentences[index].text for index in reporting],
        [sentences[index].passage for index in reporting],
        [0.5] * len(reporting),
    )
    alone = [
        index
        for index, one in zip(reporting, candidates, strict=True)
        if not (one.before or one.after or one.is_mid_air)
    ]
    return alone or reporting


def most_telling(written: Sequence[Written], article: str) -> list[Written]:
    """The sentences of several windows, best first: those whose words the article uses most, where
    a word that has been said counts for less (SumBasic: Nenkova and Vanderwende 2005)."""
    counts = Counter(_content(article))
    total = sum(counts.values()) or 1
    weights = {word: count / total for word, count in counts.items()}
    left = {one.index: (one, set(_content(one.text))) for one in written}
    ordered: list[Written] = []
    while left:
        best, words = max(
            left.values(),
            key=lambda item: (
                sum(weights.get(word, 0.0) for word in item[1]) / max(1, len(item[1])),
                -item[0].index,
            ),
        )
        ordered.append(best)
        del left[best.index]
        weights |= {word: weights[word] ** 2 for word in words if word in weights}
    return ordered


def _in_turn(written: Sequence[Written]) -> Iterator[Written]:
    """As given, but what points back waits for the sentence in front of it."""
    left = {one.index for one in written}
    waiting: dict[int, Written] = {}
    for one in written:
        if one.index - 1 in left and starts_in_mid_air(one.text):
            waiting[one.index] = one
            continue
        following: Written | None = one
        while following is not None:
            yield following
            left.remove(following.index)
            following = waiting.pop(following.index + 1, None)


def _fault(written: Written, article: str, overlap: float, is_led_up_to: bool) -> str | None:
    """What is wrong with a sentence; None if nothing is."""
    kinds = dict.fromkeys(item.kind for item in unsupported(written.text, article))
    if kinds:
        return ", ".join(_REASONS[kind] for kind in kinds)
    if not written.is_finished:
        return _UNFINISHED
    if not is_led_up_to and starts_in_mid_air(written.text):
        return _MID_AIR
    return None if overlap else _UNRELATED


def _content(text: str) -> Iterator[str]:
    return (word for word in _WORD.findall(text.lower()) if len(word) >= _LEAST_LETTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grams:
    """A sentence's words, in small letters, singly and in a row."""

    words: Counter[str]
    pairs: Counter[tuple[str, ...]]
    trigrams: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, text: str) -> "_Grams":
        words = _WORD.findall(text.lower())
        return cls(
            words=Counter(words),
            pairs=Counter(pairwise(words)),
            trigrams=frozenset(zip(words, words[1:], words[2:], strict=False)),
        )

    def overlap(self, other: "_Grams") -> float:
        """The mean of the F1 of words and of pairs of words (ROUGE-1 and ROUGE-2), 0 to 1; 0
        where no word of matter is shared."""
        if not any(len(word) >= _LEAST_LETTERS for word in self.words.keys() & other.words.keys()):
            return 0.0
        return (_f1(self.words, other.words) + _f1(self.pairs, other.pairs)) / 2


def _f1(one: Counter[T], other: Counter[T]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0
