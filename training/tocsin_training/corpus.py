"""Checks ``training/corpus``, its readings and ``training/contrast``, and counts them: ``make
corpus``."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from tocsin_eval.cells import Problems
from tocsin_eval.tables import Source
from tocsin_models.errors import DataError, TocsinError
from tocsin_training.articles import Article, parse_article
from tocsin_training.contrast import check_contrast, parse_contrast
from tocsin_training.coverage import render_contrast, render_coverage
from tocsin_training.duplicates import NearDuplicates
from tocsin_training.readings import check_readings, numbered_lines, parse_readings
from tocsin_training.texts import paragraphs_of, read_texts

EXIT_MISTAKES = 1
EXIT_REFUSED = 2
# Whatever is compared at once is held as words and hashes, a few hundred bytes a word.
_BATCH = 4096


def check_corpus(
    paths: Sequence[Path], beside: Sequence[Source] = (), readings: Path | None = None
) -> list[str]:
    """Every mistake in files of the corpus, by file, line and passage, never by the text in it.

    The form of each article (``articles.py``), ids that come twice, and passages that are
    near-duplicates (``duplicates.py``) of each other or of a paragraph in the tables ``beside``;
    with ``readings`` also what ``check_readings`` finds. Boilerplate may come twice.

    Raises:
        DataError: a file of the corpus or the readings cannot be opened.
    """
    articles, problems = parse_corpus(paths)
    problems += _ids(articles)
    problems += _duplicates(articles, beside)
    if readings:
        found, mistakes = parse_readings(readings)
        problems += mistakes + check_readings(found, articles)
    return problems


def parse_corpus(paths: Iterable[Path]) -> tuple[list[Article], list[str]]:
    """The articles of some files, as far as they can be read, and every mistake in them."""
    articles: list[Article] = []
    problems: list[str] = []
    for path in paths:
        for place, line in numbered_lines(path):
            article, mistakes = parse_article(place, line)
            problems += mistakes
            if article:
                articles.append(article)
    return articles, problems


def _ids(articles: Iterable[Article]) -> Iterator[str]:
    places: dict[str, str] = {}
    for article in articles:
        if (place := places.setdefault(article.id, article.place)) != article.place:
            yield f"{article.place}: 'id' was already used in {place}"


def _duplicates(articles: Sequence[Article], beside: Sequence[Source]) -> Iterator[str]:
    places, texts = [], []
    for article in articles:
        for number, passage in enumerate(article.passages):
            if not passage.is_boilerplate:
                places.append(f"{article.place}, passage {number}")
                texts.append(passage.text)
    index = NearDuplicates(texts)
    for first, second in index.find_within():
        yield f"{places[second]}: is a near-duplicate of {places[first]}"
    problems = Problems()
    for source in beside:
        found: dict[int, int] = {}
        for row, other in _find_beside(index, source, problems):
            found.setdefault(other, row)
        for other, row in sorted(found.items()):
            yield f"{places[other]}: is a near-duplicate of a text in {source}, row {row}"
    yield from problems.shown


def _find_beside(
    index: NearDuplicates, source: Source, problems: Problems
) -> Iterator[tuple[int, int]]:
    """Pairs (row of the table, counted from 1; position in the index) of near-duplicates."""
    paragraphs = (
        (row, paragraph)
        for row, texts in enumerate(read_texts(source, problems), start=1)
        for paragraph in paragraphs_of(texts)
    )
    while batch := list(islice(paragraphs, _BATCH)):
        for position, other in index.find([paragraph for _, paragraph in batch]):
            yield batch[position][0], other


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables; with a mistake, print every mistake on standard error and return 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_training.corpus", description=main.__doc__
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("training"),
        help="holds corpus/*.jsonl, readings/readings.jsonl and, where there are any, "
        "contrast/*.jsonl (default: training)",
    )
    parser.add_argument(
        "--beside",
        nargs="+",
        default=[],
        metavar="FILE",
        help="tables of which no text may stand in the corpus, such as those of ../shared/data",
    )
    asked = parser.parse_args(words)
    paths = sorted(asked.folder.glob("corpus/*.jsonl"))
    readings = asked.folder / "readings" / "readings.jsonl"
    try:
        if not paths:
            raise DataError(f"{asked.folder / 'corpus'}: holds no .jsonl; give another folder")
        problems = check_corpus(paths, asked.beside, readings)
        articles, _ = parse_corpus(paths)
        versions, mistakes = parse_contrast(sorted(asked.folder.glob("contrast/*.jsonl")))
        texts = [passage.text for article in articles for passage in article.passages]
        problems += mistakes + check_contrast(versions, texts, asked.beside)
    except TocsinError as error:
        print(f"corpus: error: {error}", file=sys.stderr)
        return EXIT_REFUSED
    if problems:
        print("\n".join([*problems, f"{len(problems)} mistakes"]), file=sys.stderr)
        return EXIT_MISTAKES
    print(render_coverage(articles, parse_readings(readings)[0]), end="")
    if versions:
        print(f"\n{render_contrast(versions)}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
