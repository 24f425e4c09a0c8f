"""How well cleaning tells boilerplate from reporting: precision, recall and F1, intervals by
article.

    python -m tocsin_eval.boilerplate --data FILE…

A file holds labelled rows (``{"id", "article", "text", …}``) or whole articles (``{"id",
"passages"}``), one JSON object a line; what cleaning should drop carries ``"boilerplate": true``.
Whole articles go through ``clean()``, paragraphs joined by a blank line, because crossheads are
told by their neighbours.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin_models.cleaning import clean
from tocsin_models.errors import DataError
from tocsin_models.records import Article

RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    """One article: its passages in order, and for each whether cleaning should drop it."""

    id: str
    passages: tuple[str, ...]
    is_boilerplate: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share between 0 and 1 with the bounds of its 95 % bootstrap interval over articles."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """``dropped_wrongly`` counts news passages lost, by the reason that dropped them."""

    articles: int
    passages: int
    boilerplate: int
    precision: Share
    recall: Share
    f1: Share
    dropped_wrongly: dict[str, int]


Counts = tuple[int, int, int]


def read(path: Path) -> list[LabelledText]:
    """Articles of a JSONL file, in the order in which each first appears.

    Raises:
        DataError: the file cannot be read, or a line is not one of the two forms; names the line.
    """
    grouped: dict[str, list[tuple[str, bool]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            passages = row.get("passages", [row])
            name = str(row["id"] if "passages" in row else row["article"])
            found = [(str(p["text"]), bool(p.get("boilerplate", False))) for p in passages]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}, line {number}: neither a labelled row nor an article "
                f"({type(error).__name__}); expected id, article, text or id, passages"
            ) from error
        grouped.setdefault(name, []).extend(found)
    return [
        LabelledText(
            id=name,
            passages=tuple(text for text, _ in rows),
            is_boilerplate=tuple(flag for _, flag in rows),
        )
        for name, rows in grouped.items()
    ]


def measure(articles: Sequence[LabelledText]) -> Measurement:
    """Clean every article and compare what was dropped with what should have been.

    The interval resamples articles, not passages: those of one article stand and fall together.
    """
    wrongly: Counter[str] = Counter()
    counts = [_count(article, wrongly) for article in articles]
    generator = random.Random(SEED)
    resampled = [
        _shares(generator.choices(counts, k=len(counts))) for _ in range(RESAMPLES if counts else 0)
    ]
    precision, recall, f1 = (
        _with_interval(value, sorted(shares[column] for shares in resampled))
        for column, value in enumerate(_shares(counts))
    )
    return Measurement(
        articles=len(articles),
        passages=sum(len(article.passages) for article in articles),
        boilerplate=sum(sum(article.is_boilerplate) for article in articles),
        precision=precision,
        recall=recall,
        f1=f1,
        dropped_wrongly=dict(wrongly.most_common()),
    )


def dropped_passages(article: LabelledText) -> dict[int, str]:
    """Index of each passage that cleaning drops -> the reason."""
    texts = [" ".join(text.split()) for text in article.passages]
    reasons = {
        item.start: item.reason
        for item in clean(Article(id=article.id, text="\n\n".join(texts))).dropped
    }
    found: dict[int, str] = {}
    start = 0
    for index, text in enumerate(texts):
        if start in reasons:
            found[index] = reasons[start]
        start += len(text) + 2
    return found


def _count(article: LabelledText, wrongly: Counter[str]) -> Counts:
    dropped = dropped_passages(article)
    right = sum(article.is_boilerplate[index] for index in dropped)
    wrongly.update(reason for index, reason in dropped.items() if not article.is_boilerplate[index])
    return right, len(dropped), sum(article.is_boilerplate)


def _shares(counts: Iterable[Counts]) -> tuple[float, float, float]:
    right, dropped, wanted = (sum(column) for column in zip((0, 0, 0), *counts, strict=True))
    precision = right / dropped if dropped else 1.0
    recall = right / wanted if wanted else 1.0
    f1 = 2 * right / (dropped + wanted) if dropped + wanted else 1.0
    return precision, recall, f1


def _with_interval(value: float, ordered: Sequence[float]) -> Share:
    if not ordered:
        return Share(value=value, low=value, high=value)
    edge = round(0.025 * (len(ordered) - 1))
    return Share(value=value, low=ordered[edge], high=ordered[-1 - edge])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row per file, and one for all together when there are several."""
    parser = argparse.ArgumentParser(prog="python -m tocsin_eval.boilerplate", description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--show", action="store_true", help="also count what was dropped wrongly")
    options = parser.parse_args(arguments)
    files = [(path.name, read(path)) for path in options.data]
    if len(files) > 1:
        files.append(("all", [article for _, articles in files for article in articles]))
    print("| data | articles | passages | boilerplate | precision | recall | F1 |")
    print("|---|---|---|---|---|---|---|")
    for name, articles in files:
        found = measure(articles)
        cells = (
            f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"
            for share in (found.precision, found.recall, found.f1)
        )
        print(
            f"| {name} | {found.articles} | {found.passages} | {found.boilerplate} | "
            + " | ".join(cells)
            + " |"
        )
        if options.show:
            print(f"  dropped wrongly: {found.dropped_wrongly}")


if __name__ == "__main__":
    main()
