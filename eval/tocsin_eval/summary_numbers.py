"""All numbers of one summary of one article."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin_eval.extraction import measure_extraction
from tocsin_eval.rouge import join_lines, rouge
from tocsin_models.selection import count_words
from tocsin_models.sentences import split_sentences
from tocsin_models.support import unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryNumbers:
    """Numbers that may be averaged and resampled over articles. None means that the number does not
    exist for this article, which is then left out of its mean; it never stands for 0.

    ``rouge1``, ``rouge2`` and ``rougeLsum`` are F1 in percent, 0 for an empty summary; None where
    no reference is known. ``coverage``, ``density``, ``compression``, the shares of novel n-grams,
    ``repeated_trigrams`` and ``most_alike`` are those of ``extraction.Extraction``. ``sentences``
    and ``words`` (runs between white space) are counts, and so are the unsupported items
    (``support.unsupported``): 0 for an empty summary, never None. A quotation that somebody else
    says in the article is an unsupported one.

    ``verbatim`` is the share (0 to 1) of the summary's sentences that stand in the article, but for
    white space; None for an empty summary. ``position`` is where they stand, the mean over
    sentences, from 0 (the article's first sentence) to 1 (its last); None for an empty summary and
    where one of its sentences does not stand in the article.
    """

    rouge1: float | None
    rouge2: float | None
    rougeLsum: float | None  # noqa: N815 - the name it has in every paper and package
    coverage: float | None
    density: float | None
    compression: float | None
    novel_1grams: float | None
    novel_2grams: float | None
    novel_3grams: float | None
    repeated_trigrams: float | None
    most_alike: float | None
    sentences: float
    words: float
    unsupported_names: float
    unsupported_numbers: float
    unsupported_dates: float
    unsupported_quotations: float
    position: float | None
    verbatim: float | None


def measure_summary(
    paragraphs: Sequence[str], sentences: Sequence[str], reference: Sequence[str] | None
) -> SummaryNumbers:
    """Measure the sentences of a summary against the article's paragraphs and a reference.

    ``reference`` is the summary an editor wrote, as sentences, or None where there is none.
    Sentences that hold only white space are not counted.
    """
    article = "\n\n".join(paragraphs)
    summary = [sentence for sentence in sentences if sentence.strip()]
    scores = rouge(join_lines(summary), join_lines(reference)) if reference is not None else None
    extraction = measure_extraction(summary, article)
    kinds = [item.kind for item in unsupported(join_lines(summary), article)]
    positions = _positions(paragraphs, summary)
    known = [position for position in positions if position is not None]
    is_whole = bool(summary) and len(known) == len(summary)
    return SummaryNumbers(
        rouge1=scores.rouge1 if scores else None,
        rouge2=scores.rouge2 if scores else None,
        rougeLsum=scores.rougeLsum if scores else None,
        coverage=extraction.coverage,
        density=extraction.density,
        compression=extraction.compression,
        novel_1grams=extraction.novel_1grams,
        novel_2grams=extraction.novel_2grams,
        novel_3grams=extraction.novel_3grams,
        repeated_trigrams=extraction.repeated_trigrams,
        most_alike=extraction.most_alike,
        sentences=float(len(summary)),
        words=float(sum(map(count_words, summary))),
        unsupported_names=float(kinds.count("name")),
        unsupported_numbers=float(kinds.count("number")),
        unsupported_dates=float(kinds.count("date")),
        unsupported_quotations=float(kinds.count("quotation") + kinds.count("speaker")),
        position=sum(known) / len(known) if is_whole else None,
        verbatim=len(known) / len(summary) if summary else None,
    )


def _positions(paragraphs: Sequence[str], summary: Sequence[str]) -> list[float | None]:
    """Where each sentence of a summary begins among the article's sentences, 0 to 1; the first
    place of several. One that others cut into sentences differently is found too, as long as it
    cuts no word."""
    article = [
        " ".join(paragraph[start:end].split())
        for paragraph in paragraphs
        for start, end in split_sentences(paragraph)
    ]
    numbers: dict[str, int] = {}
    starts = []
    length = 0
    for number, sentence in enumerate(article):
        numbers.setdefault(sentence, number)
        starts.append(length)
        length += len(sentence) + 1
    text = " ".join(article)
    positions: list[float | None] = []
    for sentence in summary:
        plain = " ".join(sentence.split())
        known = numbers.get(plain)
        if known is None and (place := _find_whole(text, plain)) is not None:
            known = bisect_right(starts, place) - 1
        positions.append(None if known is None else known / max(1, len(article) - 1))
    return positions


def _find_whole(text: str, piece: str) -> int | None:
    """The first place of ``piece`` in ``text`` where it does not begin or end within a word."""
    place = text.find(piece)
    while place >= 0:
        end = place + len(piece)
        is_cut = (text[place - 1 : place].isalnum() and piece[0].isalnum()) or (
            text[end : end + 1].isalnum() and piece[-1].isalnum()
        )
        if not is_cut:
            return place
        place = text.find(piece, place + 1)
    return None
