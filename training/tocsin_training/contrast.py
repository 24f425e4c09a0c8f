"""Contrast passages: the same few sentences in versions whose labels (mostly) differ.

One line of ``training/contrast/*.jsonl`` is one version, ``{"id", "article", "source", "text",
"labels", "ruling", "first", "second"}``: ``article`` is the group, ``ruling`` what the group turns
on, ``first`` and ``second`` the labels of the writer and of a reader who saw that text alone
(letters as in ``readings.py``). Counterfactual editing of this kind (Kaushik et al. 2020; contrast
sets, Gardner et al. 2020) teaches what a label hangs on, and a table of labelled passages it is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin_eval.cells import Problems, Record
from tocsin_eval.tables import Source, read_table
from tocsin_training.articles import LABELS
from tocsin_training.duplicates import NearDuplicates
from tocsin_training.readings import Reading, parse_letters
from tocsin_training.texts import paragraphs_of, read_texts

_KEYS = ("id", "article", "source", "text", "labels", "ruling", "first", "second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a group; ``reading`` holds both readings of it."""

    place: str
    id: str
    group: str
    text: str
    labels: frozenset[str]
    reading: Reading


def parse_contrast(paths: Sequence[Path]) -> tuple[list[Version], list[str]]:
    """The versions in some files, as far as they can be read, and every mistake in their form."""
    problems = Problems()
    rows = [_version(record) for path in paths for record in read_table(path, problems)]
    return [row for row in rows if row.text], problems.shown


def check_contrast(
    versions: Sequence[Version], corpus: Sequence[str], beside: Sequence[Source] = ()
) -> list[str]:
    """What is wrong with versions of good form: an id or a text twice, a group of one
    version, a label against both readers, a near-duplicate (``duplicates.py``) of a
    version of another group, of a passage of the ``corpus`` or of a text in a table ``beside``."""
    return [
        *_twice(versions),
        *_lone(versions),
        *_against_both(versions),
        *_copies(versions, corpus, beside),
    ]


def _version(record: Record) -> Version:
    if tuple(record.values) != _KEYS:
        record.complain(f"does not have the keys {', '.join(_KEYS)}, in this order")
    labels = frozenset(record.labels())
    if unknown := sorted(labels - set(LABELS)):
        record.complain(f"'labels' has {', '.join(unknown)}; there are {', '.join(LABELS)}")
    readings = []
    for name in ("first", "second"):
        found = parse_letters(record.text(name))
        if found is None:
            record.complain(f"{name!r} is neither - nor letters of CTRD, in this order")
        readings.append(found or frozenset())
    record.text("ruling")
    first, second = readings
    row = record.text("id")
    return Version(
        place=record.place,
        id=row,
        group=record.text("article"),
        text=record.text("text"),
        labels=labels,
        reading=Reading(
            place=record.place, id=row, first=(first,), second=(second,), rulings=((),)
        ),
    )


def _twice(versions: Sequence[Version]) -> Iterator[str]:
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    for version in versions:
        if (place := ids.setdefault(version.id, version.place)) != version.place:
            yield f"{version.place}: 'id' was already used in {place}"
        if (place := texts.setdefault(version.text, version.place)) != version.place:
            yield f"{version.place}: has the text of {place}"


def _lone(versions: Sequence[Version]) -> Iterator[str]:
    sizes = Counter(version.group for version in versions)
    for version in versions:
        if sizes[version.group] == 1:
            yield f"{version.place}: is the only version of its group, {version.group!r}"


def _against_both(versions: Sequence[Version]) -> Iterator[str]:
    for version in versions:
        [first], [second] = version.reading.first, version.reading.second
        for label in LABELS:
            if (label in first) == (label in second) != (label in version.labels):
                has, both = ("has", "neither") if label in version.labels else ("lacks", "each")
                yield f"{version.place}: {has} {label!r}, which {both} of its readers gave it"


def _copies(
    versions: Sequence[Version], corpus: Sequence[str], beside: Sequence[Source]
) -> Iterator[str]:
    index = NearDuplicates([version.text for version in versions])
    for first, second in index.find_within():
        if versions[first].group != versions[second].group:
            yield f"{versions[second].place}: is a near-duplicate of {versions[first].place}"
    for _, other in index.find(corpus):
        yield f"{versions[other].place}: is a near-duplicate of a passage of the corpus"
    problems = Problems()
    for source in beside:
        parts = [part for texts in read_texts(source, problems) for part in paragraphs_of(texts)]
        for other in sorted({other for _, other in index.find(parts)}):
            yield f"{versions[other].place}: is a near-duplicate of a text in {source}"
    yield from problems.shown


def count_contrast(versions: Sequence[Version]) -> dict[str, int]:
    """Groups, versions, versions with each label, with none, and with two or more."""
    counts = Counter(label for version in versions for label in version.labels)
    return {
        "groups": len({version.group for version in versions}),
        "passages": len(versions),
        **{label: counts[label] for label in LABELS},
        "background": sum(not version.labels for version in versions),
        "two or more": sum(len(version.labels) > 1 for version in versions),
    }
