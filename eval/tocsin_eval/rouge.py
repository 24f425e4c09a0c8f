"""ROUGE, and the sentences of an article that ROUGE would choose.

``rouge`` is what tables report: the ``rouge-score`` package with its Porter stemmer, F1 in percent.
``greedy_oracle`` is what the extractive summariser learns from. It scores by the same n-gram
overlap, without the stemmer, in a few milliseconds an article, because it runs over whole corpora.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from tocsin_models.selection import count_words

# The tokens of rouge-score (rouge_score/tokenize.py): lower-cased runs of ASCII letters and digits.
_TOKEN = re.compile(r"[a-z0-9]+")

# Two scores that differ by less are the same score, computed in another order.
_SAME_SCORE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class RougeScores:
    """F1 in percent, 0 to 100. ``rougeLsum`` (Lin 2004, section 3.2) reads a line as a sentence."""

    rouge1: float
    rouge2: float
    rougeLsum: float  # noqa: N815 - the name it has in every paper and package


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeLsum"], use_stemmer=True)


def rouge(prediction: str, reference: str) -> RougeScores:
    """Compare a summary with its reference; in both, sentences are separated by a newline.

    A text without a letter or digit of ASCII scores 0, on either side.
    """
    scores = _scorer().score(target=reference, prediction=prediction)
    return RougeScores(**{name: 100.0 * score.fmeasure for name, score in scores.items()})


def join_lines(sentences: Iterable[str]) -> str:
    """One sentence a line, as ``rouge`` reads them; a line break inside one would make two of it
    for ROUGE-Lsum."""
    return "\n".join(" ".join(sentence.split()) for sentence in sentences)


def mean_rouge(pairs: Iterable[tuple[str, str]]) -> RougeScores:
    """Mean over (prediction, reference) pairs, each pair counting once.

    Raises:
        ValueError: there is no pair.
    """
    scores = [rouge(prediction, reference) for prediction, reference in pairs]
    if not scores:
        raise ValueError("mean_rouge needs at least one (prediction, reference) pair")
    return RougeScores(
        rouge1=sum(score.rouge1 for score in scores) / len(scores),
        rouge2=sum(score.rouge2 for score in scores) / len(scores),
        rougeLsum=sum(score.rougeLsum for score in scores) / len(scores),
    )


def count_ngrams(sentences: Iterable[str]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Unigrams and bigrams of some sentences; no bigram spans two of them."""
    unigrams: Counter[str] = Counter()
    bigrams: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        tokens = _TOKEN.findall(sentence.lower())
        unigrams.update(tokens)
        bigrams.update(pairwise(tokens))
    return unigrams, bigrams


class _Overlap:
    """N-grams of one order shared by the reference and a growing selection of sentences."""

    def __init__(self, reference: Counter[Any], sentences: Sequence[Counter[Any]]) -> None:
        self._uncovered = dict(reference)
        self._reference_total = reference.total()
        # Only n-grams of the reference can ever count, so the rest are kept as a length alone.
        self.shared = [
            {ngram: count for ngram, count in sentence.items() if ngram in reference}
            for sentence in sentences
        ]
        self._totals = [sentence.total() for sentence in sentences]
        self._hits = 0
        self._selected_total = 0

    def _gain(self, index: int) -> int:
        uncovered = self._uncovered
        return sum(min(count, uncovered[ngram]) for ngram, count in self.shared[index].items())

    def f1_with(self, index: int) -> float:
        """F1 of the selection and sentence ``index`` together, 0 to 1."""
        total = self._reference_total + self._selected_total + self._totals[index]
        return 2 * (self._hits + self._gain(index)) / total if total else 0.0

    def select(self, index: int) -> None:
        self._hits += self._gain(index)
        self._selected_total += self._totals[index]
        for ngram, count in self.shared[index].items():
            self._uncovered[ngram] = max(0, self._uncovered[ngram] - count)


def greedy_oracle(
    sentences: Sequence[str],
    reference: Sequence[str] | str,
    max_sentences: int,
    max_words: int | None = None,
) -> list[int]:
    """Indices of the sentences that greedily maximise ROUGE-1 F1 + ROUGE-2 F1, in article order.

    One sentence is added at a time, the one that helps most (the earlier of two equals), until
    none helps or ``max_sentences`` are chosen (Nallapati et al. 2017, "SummaRuNNer"; Liu and Lapata
    2019, "Text Summarization with Pretrained Encoders"). ``reference`` is the summary, as sentences
    or whole. With ``max_words`` (runs between white space), a sentence that would break the limit
    is passed over.

    Bigrams are counted within a sentence, on both sides: so a sentence's worth does not depend on
    which neighbour happens to be chosen too, as it would where the last word of one sentence and
    the first of the next make a bigram. An article without a shared word gives an empty list.
    """
    lines = [reference] if isinstance(reference, str) else reference
    reference_unigrams, reference_bigrams = count_ngrams(lines)
    counted = [count_ngrams([sentence]) for sentence in sentences]
    unigrams = _Overlap(reference_unigrams, [pair[0] for pair in counted])
    bigrams = _Overlap(reference_bigrams, [pair[1] for pair in counted])

    # A sentence without a word of the reference only makes the selection longer.
    candidates = [index for index in range(len(sentences)) if unigrams.shared[index]]
    chosen: list[int] = []
    best_score = 0.0
    room = max_words
    while candidates and len(chosen) < max_sentences:
        if room is not None:
            candidates = [index for index in candidates if count_words(sentences[index]) <= room]
        best_index = -1
        for index in candidates:
            score = unigrams.f1_with(index) + bigrams.f1_with(index)
            if score > best_score + _SAME_SCORE:
                best_score, best_index = score, index
        if best_index < 0:
            break
        unigrams.select(best_index)
        bigrams.select(best_index)
        candidates.remove(best_index)
        chosen.append(best_index)
        if room is not None:
            room -= count_words(sentences[best_index])
    return sorted(chosen)
