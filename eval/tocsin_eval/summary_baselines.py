"""Summarisers to be beaten: lead-3, TextRank, LexRank; and the oracle, which nothing may beat.

The only file that imports ``sumy``. It is handed our own sentences and words, so that none of
NLTK's data is needed: where they are missing, sumy would tell the user to download them.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import tocsin_models.sentences
from tocsin_eval import rouge
from tocsin_models.protocols import Limits, Summariser
from tocsin_models.records import ModelInfo, Paragraph, Summary, SummarySentence
from tocsin_models.selection import count_words
from tocsin_models.styles import DEFAULT_SENTENCES
from tocsin_models.summariser import Sentence, body_sentences

# Letters, with an apostrophe or hyphen inside: numbers connect sentences that share nothing else.
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

# sumy compares every sentence with every other in Python: 200 took 0.5 s, so 5,000 would take five
# minutes. A longer article is ranked in blocks of at most this many sentences, whose better
# quarters are ranked again, and so on: each sentence is read, and the time grows with the length.
MOST_AT_ONCE = 128
_SURVIVORS = 4


class Lead:
    """The first sentences of the body."""

    def __init__(self) -> None:
        self.info = _info("lead-3")

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        """The first three sentences, or as many as the limits allow; one that would break the limit
        of words is passed over."""
        sentences = _sentences(paragraphs)
        return _summary(sentences, list(range(len(sentences))), [1.0] * len(sentences), limits)


class _Graph:
    """Sentences that much of the article resembles, as sumy ranks them. Stop words are left out,
    words are stemmed. Equals, and articles in which no two sentences share a word, are taken in the
    article's order."""

    def __init__(self, name: str, build: Callable[[], Any]) -> None:
        self.info = _info(name, "sumy", "nltk")
        self._build = build

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        """The three best sentences, or as many as the limits allow, in the article's order; one
        that would break the limit of words is passed over. Limits never change who is better."""
        sentences = _sentences(paragraphs)
        order, ratings = _rank_in_blocks(self._build(), [sentence.text for sentence in sentences])
        return _summary(sentences, order, ratings, limits)


class TextRank(_Graph):
    """TextRank (Mihalcea and Tarau 2004), by ``sumy``."""

    def __init__(self) -> None:
        super().__init__("textrank", _build_textrank)


class LexRank(_Graph):
    """LexRank with a threshold of 0.1 (Erkan and Radev 2004), by ``sumy``."""

    def __init__(self) -> None:
        super().__init__("lexrank", _build_lexrank)


class Oracle:
    """The sentences that ``rouge.greedy_oracle`` chooses for a reference it has been handed: what
    no choice of as many sentences is likely to exceed, not a system."""

    def __init__(self, reference: Sequence[str]) -> None:
        self.info = _info("oracle")
        self._reference = tuple(reference)

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        """At most three sentences, or as many as the limits allow: fewer where none helps, none
        where the article shares no word with the reference."""
        sentences = _sentences(paragraphs)
        chosen = rouge.greedy_oracle(
            [sentence.text for sentence in sentences],
            self._reference,
            limits.max_sentences or DEFAULT_SENTENCES,
            limits.max_words,
        )
        summary = _summary(sentences, chosen, [1.0] * len(sentences), limits)
        if chosen or not sentences:
            return summary
        reason = "no sentence shares a word with the reference, or fits into the limits"
        return Summary(sentences=(), windows=summary.windows, reason=reason)


BASELINES: Mapping[str, Callable[[], Summariser]] = {
    "lead-3": Lead,
    "textrank": TextRank,
    "lexrank": LexRank,
}


@cache
def _info(name: str, *packages: str) -> ModelInfo:
    """``revision`` changes with the algorithm's code, the splitter and the packages it runs in."""
    digest = hashlib.sha256(name.encode())
    for package in (*packages, "sentencex"):
        digest.update(f" {package} {version(package)}".encode())
    for module in (__file__, rouge.__file__, tocsin_models.sentences.__file__):
        digest.update(Path(module).read_bytes())
    return ModelInfo(
        name=name,
        revision="sha256:" + digest.hexdigest(),
        precision="f64",
        device="cpu",
        languages=("en",),
    )


def _sentences(paragraphs: Sequence[Paragraph]) -> list[Sentence]:
    """Sentences of the body that hold a letter or a digit."""
    return [one for one in body_sentences(paragraphs) if any(map(str.isalnum, one.text))]


def _summary(
    sentences: Sequence[Sentence], order: Sequence[int], ratings: Sequence[float], limits: Limits
) -> Summary:
    """The first of ``order`` (indices, best first) that fit into the limits, in article order."""
    if not sentences:
        reason = "the article has no sentence outside its headline"
        return Summary(sentences=(), windows=0, reason=reason)
    most_sentences = limits.max_sentences or DEFAULT_SENTENCES
    room = limits.max_words
    chosen: list[int] = []
    for index in order:
        if len(chosen) == most_sentences:
            break
        if room is not None:
            length = count_words(sentences[index].text)
            if length > room:
                continue
            room -= length
        chosen.append(index)
    too_long = None if chosen else f"no sentence fits into {limits.max_words} words"
    return Summary(
        sentences=tuple(
            SummarySentence(
                text=sentences[index].text,
                start=sentences[index].start,
                end=sentences[index].end,
                passage=sentences[index].passage,
                score=round(ratings[index], 6),
            )
            for index in sorted(chosen)
        ),
        windows=1,
        reason=too_long,
    )


def _rank_in_blocks(ranker: Any, texts: Sequence[str]) -> tuple[list[int], list[float]]:
    """Indices, best first, and the rating of each sentence in the last round it took part in."""
    ratings = [0.0] * len(texts)
    behind: list[list[int]] = []
    playing = list(range(len(texts)))
    while len(playing) > MOST_AT_ONCE:
        blocks = -(-len(playing) // MOST_AT_ONCE)
        winners: list[int] = []
        losers: list[int] = []
        for part in np.array_split(np.array(playing), blocks):
            block = [int(index) for index in part]
            order = _rank(ranker, texts, block, ratings)
            keep = max(1, len(block) // _SURVIVORS)
            winners += order[:keep]
            losers += order[keep:]
        behind.append(sorted(losers, key=lambda index: (-ratings[index], index)))
        playing = sorted(winners)
    order = _rank(ranker, texts, playing, ratings)
    for losers in reversed(behind):
        order += losers
    return order, ratings


def _rank(
    ranker: Any, texts: Sequence[str], block: Sequence[int], ratings: list[float]
) -> list[int]:
    """The sentences of a block, best first; their ratings are written into ``ratings``."""
    for index, rating in zip(block, _rate(ranker, [texts[i] for i in block]), strict=True):
        ratings[index] = rating
    return sorted(block, key=lambda index: (-round(ratings[index], 9), index))


def _rate(ranker: Any, texts: Sequence[str]) -> list[float]:
    """sumy's rating of each sentence, 0 where it gives none."""
    from sumy.models.dom import ObjectDocumentModel
    from sumy.models.dom import Paragraph as SumyParagraph
    from sumy.models.dom import Sentence as SumySentence

    if not texts:
        return []
    tokenizer = _Words()
    # sumy rates equal sentences as one: told apart by a number, which is no word.
    document = ObjectDocumentModel(
        [
            SumyParagraph(
                [SumySentence(f"{text} {number}", tokenizer) for number, text in enumerate(texts)]
            )
        ]
    )
    ratings = [0.0] * len(texts)

    def keep(infos: Sequence[Any]) -> Sequence[Any]:
        """In the place of a number of sentences: sees the ratings of all."""
        for info in infos:
            ratings[info.order] = float(info.rating)
        return infos

    # LexRank divides by nought where no two sentences share a word.
    with np.errstate(divide="ignore", invalid="ignore"):
        ranker(document, keep)
    return [rating if np.isfinite(rating) else 0.0 for rating in ratings]


class _Words:
    """The tokenizer that sumy's sentences ask for their words."""

    def to_words(self, text: str) -> tuple[str, ...]:
        return tuple(_WORD.findall(text.replace("’", "'")))


def _build_textrank() -> Any:
    from sumy.summarizers.text_rank import TextRankSummarizer

    return _prepare(TextRankSummarizer)


def _build_lexrank() -> Any:
    from sumy.summarizers.lex_rank import LexRankSummarizer

    return _prepare(LexRankSummarizer)


def _prepare(summarizer: Any) -> Any:
    from sumy.nlp.stemmers import Stemmer
    from sumy.utils import get_stop_words

    ranker = summarizer(Stemmer("english"))
    ranker.stop_words = get_stop_words("english")
    return ranker
