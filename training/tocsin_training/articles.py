"""One line of ``training/corpus`` -> an article, or what is wrong with it.

A mistake is told by where it stands, never by the text there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

LABELS = ("claim", "threat", "retaliation", "diplomacy")
# fmt: off
GENRES = (
    "wire", "feature", "regional-daily", "live-blog", "communique", "un-press-release",
    "explainer", "interview", "op-ed", "round-up", "transcript", "other-news",
)
TAGS = {
    "region": (
        "africa", "middle-east", "south-asia", "east-asia-pacific", "europe",
        "caucasus-central-asia", "north-america", "latin-america", "seas-and-poles", "world",
    ),
    "era": ("before-1900", "1900-1945", "1946-1991", "1992-2010", "2011-now", "near-future"),
    "conflict": (
        "interstate", "civil-war", "insurgency", "hostages", "coup-and-politics",
        "trade-and-sanctions", "sea", "air-and-drones", "cyber-and-space", "nuclear",
        "border-and-resources", "peace-process", "refugees", "none",
    ),
    "register": (
        "agency", "us-network", "quality-press", "regional-english", "translationese",
        "official", "spoken", "popular",
    ),
    # With labels in most passages, to learn them from; with labels as rare as in published news.
    "source": ("authored", "authored-news"),
}
# fmt: on
KINDS = ("state", "place", "person", "armed_group", "organisation", "people", "thing")
KEYS = ("id", "genre", *TAGS, "setting", "names", "passages", "summary", "key")
MIN_WORDS, MAX_WORDS = 35, 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    text: str
    labels: frozenset[str]
    is_boilerplate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article of the corpus; ``place`` is its file and line. ``tags`` has the keys of ``TAGS``.

    Every word in it is one that is allowed there, and ``passages`` is not empty.
    """

    place: str
    id: str
    genre: str
    tags: Mapping[str, str]
    passages: tuple[Passage, ...]


def parse_article(place: str, line: bytes) -> tuple[Article | None, list[str]]:
    """The article of a line, and every mistake in it.

    None where its id, its tags or its passages cannot be read. Mistakes in the form of a field (a
    key that is missing, a string for a list) hide those that could only be seen behind them.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        return None, [f"{place}: is not JSON in UTF-8 ({type(error).__name__}{at})"]
    basic = _keys(values, KEYS) or [*_tags(values), *_passages(values["passages"])]
    if basic:
        return None, [f"{place}: {problem}" for problem in basic]
    # Names and key are looked for in passages that can be read.
    rest = [*_summary(values["summary"]), *_key(values["key"], values["passages"]), *_names(values)]
    article = Article(
        place=place,
        id=values["id"],
        genre=values["genre"],
        tags={tag: values[tag] for tag in TAGS},
        passages=tuple(
            Passage(
                text=passage["text"],
                labels=frozenset(passage["labels"]),
                is_boilerplate="boilerplate" in passage,
            )
            for passage in values["passages"]
        ),
    )
    return article, [f"{place}: {problem}" for problem in rest]


def _keys(found: object, wanted: tuple[str, ...]) -> list[str]:
    """What is wrong with the keys of an object that has to have exactly these, in this order."""
    if not isinstance(found, dict):
        return ["is not an object"]
    names = ", ".join(wanted)
    if missing := [key for key in wanted if key not in found]:
        return [f"has no {', '.join(missing)}"]
    if len(found) > len(wanted):
        return [f"has keys other than {names}"]
    return [] if tuple(found) == wanted else [f"does not have its keys in the order {names}"]


def _tags(article: dict[str, Any]) -> Iterator[str]:
    for key in ("id", "setting"):
        if not _is_text(article[key]):
            yield f"{key!r} is not a line of text"
    for key, words in (("genre", GENRES), *TAGS.items()):
        if article[key] not in words:
            yield f"{key!r} is none of {', '.join(words)}"


def _passages(passages: object) -> Iterator[str]:
    if not isinstance(passages, list) or not passages:
        yield "'passages' is not a list with something in it"
        return
    for number, passage in enumerate(passages):
        is_marked = isinstance(passage, dict) and "boilerplate" in passage
        wanted = ("text", "labels", "boilerplate") if is_marked else ("text", "labels")
        for problem in _keys(passage, wanted) or _passage(passage):
            yield f"passage {number}: {problem}"
    if isinstance(passages[0], dict) and passages[0].get("boilerplate"):
        yield "passage 0: is boilerplate; the first passage is the headline"


def _passage(passage: dict[str, Any]) -> Iterator[str]:
    text, labels = passage["text"], passage["labels"]
    if not _is_text(text):
        yield "'text' is not a line of text: empty, several lines, or no string"
    if not isinstance(labels, list) or not all(label in LABELS for label in labels):
        yield f"'labels' is not a list of {', '.join(LABELS)}"
    elif len(set(labels)) < len(labels):
        yield "'labels' names a label twice"
    elif labels and "boilerplate" in passage:
        yield "has labels and is boilerplate, which is dropped before labelling"
    if passage.get("boilerplate", True) is not True:
        yield "'boilerplate' is not true; leave it out where it does not hold"


def _summary(summary: object) -> Iterator[str]:
    if not _is_text(summary):
        yield "'summary' is not a line of text"
    elif not MIN_WORDS <= (words := len(summary.split())) <= MAX_WORDS:
        yield f"'summary' has {words} words; it has {MIN_WORDS} to {MAX_WORDS}"


def _key(key: object, passages: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with the key passages of an article whose passages are as they should be."""
    if not isinstance(key, list) or not key or not all(type(number) is int for number in key):
        yield "'key' is not a list of numbers of passages"
    elif key != sorted(set(key)):
        yield "'key' is not in the order of the article, or names a passage twice"
    elif not 0 <= key[0] <= key[-1] < len(passages):
        yield f"'key' names a passage that is not there; the last is {len(passages) - 1}"
    elif any("boilerplate" in passages[number] for number in key):
        yield "'key' names a passage that is boilerplate"


def _names(article: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the names of an article whose passages are as they should be."""
    if not isinstance(article["names"], list):
        yield "'names' is not a list"
        return
    texts = [passage["text"] for passage in article["passages"]]
    whole = "\n".join([*texts, str(article["summary"])])
    owners: dict[str, int] = {}
    for number, name in enumerate(article["names"]):
        for problem in _keys(name, ("kind", "forms")) or _name(name, whole):
            yield f"name {number}: {problem}"
        forms = name.get("forms") if isinstance(name, dict) else None
        for place, form in enumerate(forms if isinstance(forms, list) else []):
            if isinstance(form, str) and (owner := owners.setdefault(form, number)) != number:
                yield f"name {number}: form {place} is a form of name {owner} too"


def _name(name: dict[str, Any], whole: str) -> Iterator[str]:
    """A form inside a longer word is not used: names are exchanged word by word."""
    forms = name["forms"]
    if name["kind"] not in KINDS:
        yield f"'kind' is none of {', '.join(KINDS)}"
    if not isinstance(forms, list) or not forms or not all(_is_text(form) for form in forms):
        yield "'forms' is not a list of the forms of a name"
        return
    lengths = [len(form) for form in forms]
    if lengths != sorted(lengths, reverse=True):
        yield "'forms' is not in the order of length, longest first"
    if len(set(forms)) < len(forms):
        yield "'forms' names a form twice"
    for place, form in enumerate(forms):
        if not re.search(rf"(?<!\w){re.escape(form)}(?!\w)", whole):
            yield f"form {place} is nowhere in the article or its summary"


def _is_text(value: object) -> TypeGuard[str]:
    """Whether a value is one line that is not empty, in characters that UTF-8 can hold."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and len(value.splitlines()) == 1
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )
