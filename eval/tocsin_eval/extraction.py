"""How much of a summary is copied from its article, and how often it repeats itself.

A word is a run of letters, digits and underscores, case folded: punctuation and quotation marks
count nowhere, so that typography makes no copy look new. Published figures were mostly counted over
spaCy's tokens, punctuation included, and differ by a few hundredths.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Words that summary and article share in a row: ``length`` of them, at least 1, from word
    ``start`` of the summary and word ``article_start`` of the article."""

    start: int
    length: int
    article_start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What a summary takes from its article and from itself.

    ``coverage`` (0 to 1) is the share of the summary's words that stand in a fragment, ``density``
    the mean over its words of the length of the fragment they stand in (0 to the summary's length),
    ``compression`` the article's words per word of the summary (Grusky et al. 2018, section 4).
    None where the summary has no word.

    ``novel_1grams`` and so on are shares (0 to 1) of the summary's n-grams, counted as often as
    they occur, that stand nowhere in the article (See et al. 2017, section 6.2). The summary's are
    counted within sentences, the article's over the whole: a summary of whole sentences has none,
    in whatever order. None where no sentence is long enough for one.

    ``repeated_trigrams`` is the share (0 to 1) of the summary's trigrams that stood in it before;
    None where it has none. ``most_alike`` is the largest F1 of shared words (0 to 1, as ROUGE-1
    without a stemmer counts them) between two of its sentences; None with fewer than two sentences
    that hold a word.
    """

    coverage: float | None
    density: float | None
    compression: float | None
    novel_1grams: float | None
    novel_2grams: float | None
    novel_3grams: float | None
    repeated_trigrams: float | None
    most_alike: float | None


def words(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(text.casefold())


def measure_extraction(sentences: Sequence[str], article: str) -> Extraction:
    """Compare the sentences of a summary with the article they summarise."""
    spoken = [words(sentence) for sentence in sentences]
    summary = [word for sentence in spoken for word in sentence]
    read = words(article)
    lengths = [fragment.length for fragment in fragments(summary, read)]
    novel = [_share_of_novel(spoken, read, order) for order in (1, 2, 3)]
    return Extraction(
        coverage=sum(lengths) / len(summary) if summary else None,
        density=sum(length**2 for length in lengths) / len(summary) if summary else None,
        compression=len(read) / len(summary) if summary else None,
        novel_1grams=novel[0],
        novel_2grams=novel[1],
        novel_3grams=novel[2],
        repeated_trigrams=_share_of_repeated(spoken, 3),
        most_alike=_most_alike([sentence for sentence in spoken if sentence]),
    )


def fragments(summary: Sequence[str], article: Sequence[str]) -> list[Fragment]:
    """Extractive fragments, in the summary's order, without overlap (Grusky et al. 2018, figure 3).

    At each word of the summary the longest run that the article shares is taken, the first of
    equals, and reading goes on behind it. As in the paper, a run that matched is not entered again
    in its middle: the search goes on behind it in the article.

    Only places where the article has the word are looked at, so an article of thousands of words
    costs no more than the repetitions in it.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(article):
        places[word].append(place)
    found: list[Fragment] = []
    start = 0
    while start < len(summary):
        best: Fragment | None = None
        behind = 0
        for place in places.get(summary[start], ()):
            if place < behind:
                continue
            length = _shared_run(summary, start, article, place)
            behind = place + length
            if best is None or length > best.length:
                best = Fragment(start=start, length=length, article_start=place)
        if best is not None:
            found.append(best)
        start += best.length if best is not None else 1
    return found


def _shared_run(summary: Sequence[str], start: int, article: Sequence[str], place: int) -> int:
    length = 0
    longest = min(len(summary) - start, len(article) - place)
    while length < longest and summary[start + length] == article[place + length]:
        length += 1
    return length


def _ngrams(tokens: Sequence[str], order: int) -> Iterable[tuple[str, ...]]:
    return zip(*(tokens[shift:] for shift in range(order)), strict=False)


def _share_of_novel(
    sentences: Sequence[Sequence[str]], article: Sequence[str], order: int
) -> float | None:
    ngrams = [ngram for sentence in sentences for ngram in _ngrams(sentence, order)]
    if not ngrams:
        return None
    known = set(_ngrams(article, order))
    return sum(ngram not in known for ngram in ngrams) / len(ngrams)


def _share_of_repeated(sentences: Sequence[Sequence[str]], order: int) -> float | None:
    ngrams = [ngram for sentence in sentences for ngram in _ngrams(sentence, order)]
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else None


def _most_alike(sentences: Sequence[Sequence[str]]) -> float | None:
    # Copies are told at once, so that a "summary" of a thousand sentences does not take a minute
    # where it repeats one.
    if len(set(map(tuple, sentences))) < len(sentences):
        return 1.0
    counted = [Counter(sentence) for sentence in sentences]
    lengths = [len(sentence) for sentence in sentences]
    best: float | None = None
    for one, other in combinations(range(len(sentences)), 2):
        total = lengths[one] + lengths[other]
        if best is not None and 2 * min(lengths[one], lengths[other]) <= best * total:
            continue
        shared = (counted[one] & counted[other]).total()
        best = max(best or 0.0, 2 * shared / total)
    return best
