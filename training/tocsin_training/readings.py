"""The two readings of each article, how far they agree, and the hard cases they met.

``training/readings/readings.jsonl`` has one line an article: its ``id``, and an item for each of
its passages in ``first`` (the writer's labels: letters in the codebook's order, or ``-``), in
``second`` (those of a reader who had not seen the first) and in ``rulings`` (the codes of the hard
cases that decided the second reader, or nearly did). The labels in the corpus are the settled ones:
what both readers agree on stands.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.metrics import cohen_kappa_score

from tocsin_models.errors import DataError
from tocsin_training.articles import LABELS, Article

LETTERS = dict(zip("CTRD", LABELS, strict=True))
# Code -> the heading of the ruling in the codebook.
RULINGS = {
    "cap": "Capability",
    "noun": "A threat as a noun",
    "veil": "Veiled threats",
    "nobody": "Nobody claims",
    "hedge": "One hedging word",
    "official": "Official accounts",
    "words": "Words for words",
    "move": "Movements that speak like governments",
    "rel": "Relations",
    "expel": "Expel “by diplomacy or force”",
    "cond": "If you do X, we do Y",
    "fake": "Faked, mistranslated, withdrawn by another",
    "motive": "Motives",
    "ministry": "Ministries",
    "host": "Hostages",
    "police": "Police and politics",
}
_SETS = {
    "".join(letters) or "-": frozenset(LETTERS[letter] for letter in letters)
    for letters in (
        [letter for bit, letter in enumerate(LETTERS) if number >> bit & 1]
        for number in range(1 << len(LETTERS))
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Two readings of one article; the three tuples have an item a passage, and equal lengths."""

    place: str
    id: str
    first: tuple[frozenset[str], ...]
    second: tuple[frozenset[str], ...]
    rulings: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How two readers used one label. ``kappa`` is Cohen's; NaN where no reader ever varied."""

    kappa: float
    both: int
    first_only: int
    second_only: int
    neither: int


def parse_readings(path: Path) -> tuple[list[Reading], list[str]]:
    """The readings of a file that can be read, and every mistake of the others."""
    readings: list[Reading] = []
    problems: list[str] = []
    for place, line in numbered_lines(path):
        try:
            reading = _reading(place, json.loads(line))
        except (ValueError, RecursionError):
            problems.append(f"{place}: is not JSON in UTF-8")
            continue
        if isinstance(reading, Reading):
            readings.append(reading)
        else:
            problems.append(f"{place}: {reading}")
    return readings, problems


def parse_letters(letters: str) -> frozenset[str] | None:
    """The labels that ``CT`` or ``-`` stands for; None where it stands for nothing."""
    return _SETS.get(letters)


def numbered_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file with their place in it, as ``corpus/A.jsonl, line 3``.

    Raises:
        DataError: it cannot be read.
    """
    try:
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(lines, start=1):
        yield f"{path}, line {number}", line


def check_readings(readings: Sequence[Reading], articles: Sequence[Article]) -> list[str]:
    """What is wrong between readings and corpus: an article without a reading or with two, a
    reading without its article or of another length, a settled label against both readers."""
    problems = [
        f"{place}: its article was already read in a line above" for place in _second(readings)
    ]
    read = {reading.id: reading for reading in readings}
    known = {article.id for article in articles}
    problems += [
        f"{r.place}: is of no article of the corpus" for r in readings if r.id not in known
    ]
    for article in articles:
        if (reading := read.get(article.id)) is None:
            problems.append(f"{article.place}: has no reading")
        else:
            problems += _compare(article, reading)
    return problems


def without_boilerplate(
    readings: Iterable[Reading], articles: Iterable[Article]
) -> Iterator[Reading]:
    """The readings without the passages that nobody labels: agreement on those says nothing.

    They are those of the articles given, of the same length each.
    """
    dropped: Mapping[str, list[bool]] = {
        article.id: [passage.is_boilerplate for passage in article.passages] for article in articles
    }
    for reading in readings:
        kept = [place for place, drop in enumerate(dropped[reading.id]) if not drop]
        yield Reading(
            place=reading.place,
            id=reading.id,
            first=tuple(reading.first[place] for place in kept),
            second=tuple(reading.second[place] for place in kept),
            rulings=tuple(reading.rulings[place] for place in kept),
        )


def agreement(readings: Iterable[Reading]) -> dict[str, Agreement]:
    """For each label, in the codebook's order, how the two readers used it; see
    ``without_boilerplate``."""
    pairs = [pair for r in readings for pair in zip(r.first, r.second, strict=True)]
    found = {}
    for label in LABELS:
        first = [label in one for one, _ in pairs]
        second = [label in other for _, other in pairs]
        counts = Counter(zip(first, second, strict=True))
        is_constant = len(set(first) | set(second)) < 2
        found[label] = Agreement(
            kappa=math.nan if is_constant else float(cohen_kappa_score(first, second)),
            both=counts[True, True],
            first_only=counts[True, False],
            second_only=counts[False, True],
            neither=counts[False, False],
        )
    return found


def count_rulings(readings: Iterable[Reading]) -> dict[str, int]:
    """For each ruling, how many passages it decided or nearly did, in the order of ``RULINGS``."""
    counts = Counter(code for r in readings for codes in r.rulings for code in set(codes))
    return {code: counts[code] for code in RULINGS}


def _reading(place: str, values: Any) -> Reading | str:
    """The reading that a line holds, or what is wrong with it first."""
    keys = ("id", "first", "second", "rulings")
    if not isinstance(values, dict) or tuple(values) != keys or not isinstance(values["id"], str):
        return f"is not an object of {', '.join(keys)}, in this order"
    items = [values[key] for key in keys[1:]]
    if not all(isinstance(item, list) for item in items) or len({*map(len, items)}) > 1:
        return "'first', 'second' and 'rulings' are not lists of one length"
    for key in ("first", "second"):
        for number, letters in enumerate(values[key]):
            if not isinstance(letters, str) or letters not in _SETS:
                return f"item {number} of {key!r} is neither - nor letters of CTRD, in this order"
    for number, codes in enumerate(values["rulings"]):
        if not isinstance(codes, list) or not all(code in tuple(RULINGS) for code in codes):
            return f"item {number} of 'rulings' is not a list of {', '.join(RULINGS)}"
    return Reading(
        place=place,
        id=values["id"],
        first=tuple(_SETS[letters] for letters in values["first"]),
        second=tuple(_SETS[letters] for letters in values["second"]),
        rulings=tuple(tuple(codes) for codes in values["rulings"]),
    )


def _second(readings: Sequence[Reading]) -> Iterator[str]:
    seen: set[str] = set()
    for reading in readings:
        if reading.id in seen:
            yield reading.place
        seen.add(reading.id)


def _compare(article: Article, reading: Reading) -> Iterator[str]:
    if len(reading.first) != len(article.passages):
        yield (
            f"{article.place}: has {len(article.passages)} passages, its reading "
            f"{len(reading.first)} ({reading.place})"
        )
        return
    for number, passage in enumerate(article.passages):
        first, second = reading.first[number], reading.second[number]
        where = f"{article.place}, passage {number}"
        if passage.is_boilerplate and (first or second or reading.rulings[number]):
            yield f"{where}: is boilerplate and was read as a passage ({reading.place})"
        for label in LABELS if not passage.is_boilerplate else ():
            if (label in first) == (label in second) != (label in passage.labels):
                has, both = ("has", "neither") if label in passage.labels else ("lacks", "each")
                yield f"{where}: {has} {label!r}, which {both} of its readers gave it"
