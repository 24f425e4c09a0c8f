"""Articles without labels, but for those that a model will be measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from tocsin_eval.cells import Problems
from tocsin_eval.tables import Source, source_stem
from tocsin_models.errors import DataError
from tocsin_training.duplicates import NearDuplicates
from tocsin_training.texts import paragraphs_of, read_rows, read_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledArticle:
    """``source`` is the name of its table, ``id`` that of its row (``read_rows``)."""

    id: str
    source: str
    paragraphs: tuple[str, ...]


def read_unlabelled(
    texts: Sequence[Source], without: Sequence[Source]
) -> tuple[list[UnlabelledArticle], int]:
    """The articles of some tables, and how many were left out.

    A row's text is its ``paragraphs``, ``text`` or ``article``. What is measured on must not have
    been read, so a row is left out when one of its lines is a line of ``without``: the same words,
    or, where both have 12 words or more, 60% of the 8-word shingles of the shorter one. A passage
    of fewer words is thus found only where it is a whole line.

    Raises:
        DataError: a source cannot be read, or nothing is left to read.
    """
    problems = Problems()
    told = chain.from_iterable(read_texts(source, problems) for source in without)
    held = NearDuplicates([part for row in told for part in paragraphs_of(row)])
    articles: list[UnlabelledArticle] = []
    dropped = 0
    for source in texts:
        rows = [(id, paragraphs_of(row)) for id, row in read_rows(source, problems)]
        owners = [number for number, (_, row) in enumerate(rows) for _ in row]
        lines = list(chain.from_iterable(row for _, row in rows))
        holding = {owners[place] for place, _ in held.find(lines)}
        dropped += len(holding)
        name = source_stem(source)
        articles += [
            UnlabelledArticle(id=id, source=name, paragraphs=tuple(row))
            for number, (id, row) in enumerate(rows)
            if row and number not in holding
        ]
    problems.raise_if_any()
    if not articles:
        raise DataError("--texts: no row is left to read; at least one is needed")
    return articles, dropped
