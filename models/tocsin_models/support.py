"""Which names, numbers, dates and quotations of a summary do not stand in its article.

What is compared is a normal form: "Feb. 29" is "29 February", "5,000" is "five thousand", "U.N." is
"UN" and "United Nations", "Syrian" is "Syria". A sentence that stands in the article word for word
is supported as a whole. The check reads English. It sees invented particulars and nothing else: a
summary that swaps two names of the article, drops a "not" or rounds a number down to one that the
article has passes, and a number that is only implied ("three men", listed one by one) does not. A
name at the head of a sentence is seen where what follows tells it ("Omar Haddad", "Omar said").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from tocsin_models.name_forms import (
    COMPOUND,
    NUMBERED,
    ORDINARY_WORDS,
    SAME_AS,
    TITLES,
    Token,
    equivalents,
    initials_within,
    join_runs,
    normal_key,
    read_names,
    read_regions,
    read_tokens,
    stems,
)
from tocsin_models.quantities import COUNTS, ROMAN, Date, DateKey, read_dates, read_numbers
from tocsin_models.quotations import fold, is_quoted, quotable, read_quotations, squeeze, stands_in
from tocsin_models.sentences import split_sentences
from tocsin_models.speakers import other_speakers

# "Al-Assad" may be written "Assad".
_ARTICLES = ("al", "el")

Kind: TypeAlias = Literal["name", "number", "date", "quotation", "speaker"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Unsupported:
    """``summary_text[start:end]`` is of this kind and has no counterpart in the article."""

    start: int
    end: int
    kind: Kind


def unsupported(summary_text: str, article_text: str) -> tuple[Unsupported, ...]:
    """What the article does not say, in the order of the summary; an item may lie in another.

    A line of the summary is read on its own, so that a quotation mark left open in one sentence
    finds no partner in the next: put a sentence a line. A sentence taken from the article gives
    nothing, whatever its characters.
    """
    found: list[Unsupported] = []
    for start, end in _units(summary_text, _squeezed(article_text)):
        article = _read_article(article_text)
        found.extend(_check(summary_text[start:end], start, article))
    return tuple(sorted(found))


@lru_cache(maxsize=4)
def _squeezed(article: str) -> str:
    return squeeze(fold(article))


def _units(summary: str, article: str) -> Iterator[tuple[int, int]]:
    """Spans of the summary's sentences that do not stand in the squeezed article word for word."""
    for line in re.finditer(r"[^\n]+", summary):
        if stands_in(article, squeeze(fold(line.group()))):
            continue
        for start, end in split_sentences(line.group()):
            sentence = squeeze(fold(line.group()[start:end]))
            if not stands_in(article, sentence):
                yield line.start() + start, line.start() + end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Article:
    """All that an article says, in normal forms."""

    text: str
    quotable: str
    words: frozenset[str]
    stems: frozenset[str]
    acronyms: frozenset[str]
    initials: frozenset[str]
    regions: frozenset[str]
    numbers: frozenset[str]
    dates: frozenset["DateKey"]


# A summary of each of several systems is checked against one article after the other.
@lru_cache(maxsize=4)
def _read_article(article: str) -> _Article:
    text = fold(article)
    tokens = list(read_tokens(text))
    words = {key for token in tokens for key in token.keys}
    for form in (COMPOUND, NUMBERED):
        words |= {normal_key(found.group()) for found in form.finditer(text)}
    words |= {key.removesuffix("s") for key in words if key[-2:-1].isdigit()}
    # "Al Nour" may be written "Alnour".
    words |= {normal_key(one.text + other.text) for one, other in pairwise(tokens)}
    capitalised = [token for token in tokens if token.is_capitalised]
    sources = tokens if text.islower() else capitalised
    acronyms = {token.keys[0] for token in capitalised if token.is_acronym}
    # Umar Sadiq is not the US.
    initials = {
        letters
        for run in join_runs(text, capitalised)
        for letters in initials_within(run)
        if len(letters) > 2 or letters not in SAME_AS
    }
    # In an article without capitals "us" may be the country.
    words -= {"is"} if text.islower() else ORDINARY_WORDS
    words |= acronyms
    words |= equivalents(words | initials)
    numbers = {COUNTS[token.keys[0]] for token in tokens if token.keys[0] in COUNTS}
    # Some corpora were tokenised into "5, 000" and "2. 5".
    for readable in {text, re.sub(r"(?<=\d)([.,]) (?=\d)", r"\1", text)}:
        numbers |= {key for number in read_numbers(readable) for key in number.keys}
    return _Article(
        text=article,
        quotable=quotable(article),
        words=frozenset(words),
        stems=frozenset(stem for token in sources for key in token.keys for stem in stems(key)),
        acronyms=frozenset(acronyms),
        initials=frozenset(initials),
        regions=frozenset(form for region in read_regions(tokens) for form in region),
        numbers=frozenset(numbers),
        dates=frozenset(key for date in read_dates(text, generous=True) for key in date.known),
    )


def _check(text: str, offset: int, article: _Article) -> Iterator[Unsupported]:
    """Items of one sentence that the article lacks."""
    folded = fold(text)
    taken: list[tuple[int, int]] = []

    def is_free(start: int, end: int) -> bool:
        return all(end <= first or last <= start for first, last in taken)

    def item(kind: Kind, start: int, end: int) -> Unsupported:
        return Unsupported(kind=kind, start=offset + start, end=offset + end)

    for start, end in read_quotations(text):
        if not is_quoted(text[start:end], article.quotable):
            yield item("quotation", start, end)
    for start, end in other_speakers(text, article.text):
        yield item("speaker", start, end)
    for date in read_dates(folded, generous=False):
        taken.append((date.start, date.end))
        if not _is_known_date(date, article):
            yield item("date", date.start, date.end)
    for found in NUMBERED.finditer(folded):
        if is_free(*found.span()):
            taken.append(found.span())
            key = normal_key(found.group())
            if article.words.isdisjoint((key, key.removesuffix("s"))):
                yield item("name", *found.span())
    for number in read_numbers(folded):
        if not is_free(number.start, number.end):
            continue
        taken.append((number.start, number.end))
        if number.is_certain and not article.numbers.intersection(number.keys):
            yield item("number", number.start, number.end)
    for run in read_names(folded):
        free = [token for token in run if is_free(token.start, token.end)]
        if free and not _is_known_name(free, article):
            yield item("name", free[0].start, free[-1].end)


def _is_known_date(date: Date, article: _Article) -> bool:
    """Whether some reading stands in the article; its year may stand elsewhere than its day."""
    return any(
        all(
            key in article.dates or (key[0] == "year" and str(key[1]) in article.numbers)
            for key in reading
        )
        for reading in date.readings
    )


def _is_known_name(run: Sequence[Token], article: _Article) -> bool:
    letters = "".join(token.keys[0][:1] for token in run)
    joined = normal_key("".join(token.text for token in run))
    if any(region.isdisjoint(article.regions) for region in read_regions(run)):
        return False
    # Two letters are too short: half a crowd has the initials of some agency.
    if joined in article.words or (len(run) > 2 and letters in article.acronyms):
        return True
    # "United States Navy", of an article that says "US" and "navy"
    paired = {
        index
        for first, (one, other) in enumerate(pairwise(run))
        if normal_key(one.text + other.text) in article.words
        for index in (first, first + 1)
    }
    return all(index in paired or _is_known_word(token, article) for index, token in enumerate(run))


def _is_known_word(token: Token, article: _Article) -> bool:
    return any(
        key in article.words
        or key in TITLES
        or key in _ARTICLES
        or ROMAN.get(key) in article.numbers
        or (token.is_acronym and key in article.initials)
        or any(stem in article.stems for stem in stems(key))
        for key in token.keys
    )
