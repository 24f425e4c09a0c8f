"""What the corpus covers, as the Markdown tables of ``training/README.md``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tocsin_training.articles import LABELS, TAGS, Article
from tocsin_training.contrast import Version, count_contrast
from tocsin_training.readings import (
    RULINGS,
    Agreement,
    Reading,
    agreement,
    count_rulings,
    without_boilerplate,
)

_COLUMNS = ("articles", "passages", *LABELS, "background", "two or more", "boilerplate")
_ALL = "**all**"


def render_coverage(articles: Sequence[Article], readings: Iterable[Reading]) -> str:
    """Seven tables: by genre, genre by region, the other three tags, rulings, agreement.

    ``readings`` are of these articles, as ``check_readings`` wants them.
    """
    labelled = list(without_boilerplate(readings, articles))
    tables = [
        _genres(articles),
        _regions(articles),
        *(_tag(articles, tag) for tag in TAGS if tag != "region"),
        _rulings(count_rulings(labelled)),
        _agreement(agreement(labelled)),
    ]
    return "\n".join(tables)


def render_contrast(versions: Sequence[Version]) -> str:
    """Two tables of the contrast passages: how many of what, and how far their readers agree."""
    counts = count_contrast(versions)
    columns = ["contrast", *counts]
    rows = [[_ALL, *(f"{count:,}" for count in counts.values())]]
    readings = [version.reading for version in versions]
    return "\n".join([_table(columns, rows), _agreement(agreement(readings))])


def _genres(articles: Iterable[Article]) -> str:
    """The largest genre first, the sum last. Boilerplate is dropped before labelling, so it is
    counted apart and is neither a passage nor background."""
    genres: dict[str, Counter[str]] = {}
    for article in articles:
        counts = genres.setdefault(article.genre, Counter())
        counts["articles"] += 1
        for passage in article.passages:
            counts["boilerplate"] += passage.is_boilerplate
            if not passage.is_boilerplate:
                counts["passages"] += 1
                counts.update(passage.labels)
                counts["background"] += not passage.labels
                counts["two or more"] += len(passage.labels) > 1
    rows = sorted(genres.items(), key=lambda row: (-row[1]["passages"], row[0]))
    rows.append((_ALL, sum(genres.values(), Counter())))
    return _table(
        ["genre", *_COLUMNS],
        ([name, *(f"{counts[column]:,}" for column in _COLUMNS)] for name, counts in rows),
    )


def _regions(articles: Sequence[Article]) -> str:
    """Articles of each genre from each region, genres in the order of the table above."""
    regions = TAGS["region"]
    counts = Counter((article.genre, article.tags["region"]) for article in articles)
    sizes = Counter(article.genre for article in articles)
    rows = [
        [genre, *(f"{counts[genre, region] or '–'}" for region in regions), str(size)]
        for genre, size in sorted(sizes.items(), key=lambda row: (-row[1], row[0]))
    ]
    sums = Counter(article.tags["region"] for article in articles)
    rows.append([_ALL, *(str(sums[region]) for region in regions), str(sum(sums.values()))])
    return _table(["articles", *regions, "all"], rows)


def _tag(articles: Sequence[Article], tag: str) -> str:
    """Articles and passages of each word of a tag, in the order of ``TAGS``."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for article in articles:
        counts[article.tags[tag]] += 1
        sizes[article.tags[tag]] += sum(not passage.is_boilerplate for passage in article.passages)
    rows = ([word, f"{counts[word]:,}", f"{sizes[word]:,}"] for word in TAGS[tag])
    return _table([tag, "articles", "passages"], rows)


def _rulings(counts: Mapping[str, int]) -> str:
    rows = ([RULINGS[code], f"`{code}`", f"{count:,}"] for code, count in counts.items())
    return _table(["ruling", "code", "passages"], rows, texts=2)


def _agreement(found: Mapping[str, Agreement]) -> str:
    rows = (
        [
            label,
            f"{counts.kappa:.3f}",
            *(f"{n:,}" for n in (counts.both, counts.first_only, counts.second_only)),
            f"{counts.neither:,}",
        ]
        for label, counts in found.items()
    )
    header = ["label", "Cohen's kappa", "both", "first reader only", "second only", "neither"]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Markdown that ends in a newline; the first ``texts`` columns are words, others numbers."""
    rule = "|" + "---|" * texts + "---:|" * (len(header) - texts)
    return "".join(f"{line}\n" for line in (_row(header), rule, *map(_row, rows)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
