"""Which names, numbers, dates and quotations of a summary do not stand in its article.

What is compared is a normal form: "Feb. 29" is "29 February", "5,000" is "five thousand", "U.N." is
"UN" and "United Nations", "Syrian" is "Syria". A sentence that stands in the article word for word
is supported as a whole. The check reads English. It sees invented particulars and nothing else: a
summary that swaps two names of the article, drops a "not" or rounds a number down to one that the
article has passes, and a number that is only implied ("three men", listed one by one) does not.

    python -m tocsin_eval.support --data FILE…

prints what it catches on summaries marked faithful or not.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from tocsin_eval.name_forms import (
    COMPOUND,
    NUMBERED,
    SAME_AS,
    TITLES,
    Token,
    equivalents,
    initials_within,
    join_runs,
    normal_key,
    read_names,
    read_tokens,
    stems,
)
from tocsin_eval.quantities import COUNTS, Date, DateKey, read_dates, read_numbers
from tocsin_models.errors import DataError, TocsinError
from tocsin_models.sentences import split_sentences

Kind: TypeAlias = Literal["name", "number", "date", "quotation"]
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


# One character for one, so that offsets stay true.
_FOLD = (
    dict.fromkeys(map(ord, "“”„‟«»″"), '"')
    | dict.fromkeys(map(ord, "‘’‚‛′`´"), "'")
    | dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
)


def _fold(text: str) -> str:
    return text if text.isascii() and "`" not in text else text.translate(_FOLD)


def _squeeze(text: str) -> str:
    return " ".join(text.split())


@lru_cache(maxsize=4)
def _squeezed(article: str) -> str:
    return _squeeze(_fold(article))


def _stands_in(text: str, piece: str) -> bool:
    """Whether ``piece`` stands in ``text`` without cutting a word or a number in two: "5" does not
    stand in "50", "5,000" or "2.5"."""
    place = text.find(piece)
    while place >= 0:
        before, after = text[:place][-2:], text[place + len(piece) :][:2]
        if not _is_cut(before[::-1], piece[:1]) and not _is_cut(after, piece[-1:]):
            return True
        place = text.find(piece, place + 1)
    return False


def _is_cut(outside: str, edge: str) -> bool:
    """``outside`` holds the two characters next to an edge, the nearer one first."""
    if not outside or not edge.isalnum():
        return False
    return outside[0].isalnum() or (edge.isdigit() and outside[0] in ".," and outside[1:].isdigit())


def _units(summary: str, article: str) -> Iterator[tuple[int, int]]:
    """Spans of the summary's sentences that do not stand in the squeezed article word for word."""
    for line in re.finditer(r"[^\n]+", summary):
        if _stands_in(article, _squeeze(_fold(line.group()))):
            continue
        for start, end in split_sentences(line.group()):
            sentence = _squeeze(_fold(line.group()[start:end]))
            if not _stands_in(article, sentence):
                yield line.start() + start, line.start() + end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Article:
    """All that an article says, in normal forms."""

    quotable: str
    words: frozenset[str]
    stems: frozenset[str]
    acronyms: frozenset[str]
    initials: frozenset[str]
    numbers: frozenset[str]
    dates: frozenset["DateKey"]


# A summary of each of several systems is checked against one article after the other.
@lru_cache(maxsize=4)
def _read_article(article: str) -> _Article:
    text = _fold(article)
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
    initials = {letters for run in join_runs(text, capitalised) for letters in initials_within(run)}
    words |= equivalents(words | acronyms | initials)
    numbers = {COUNTS[token.keys[0]] for token in tokens if token.keys[0] in COUNTS}
    # Some corpora were tokenised into "5, 000" and "2. 5".
    for readable in {text, re.sub(r"(?<=\d)([.,]) (?=\d)", r"\1", text)}:
        numbers |= {key for number in read_numbers(readable) for key in number.keys}
    return _Article(
        quotable=_quotable(article),
        words=frozenset(words),
        stems=frozenset(stem for token in sources for key in token.keys for stem in stems(key)),
        acronyms=frozenset(acronyms),
        initials=frozenset(initials),
        numbers=frozenset(numbers),
        dates=frozenset(key for date in read_dates(text, generous=True) for key in date.known),
    )


def _check(text: str, offset: int, article: _Article) -> Iterator[Unsupported]:
    """Items of one sentence that the article lacks."""
    folded = _fold(text)
    taken: list[tuple[int, int]] = []

    def is_free(start: int, end: int) -> bool:
        return all(end <= first or last <= start for first, last in taken)

    def item(kind: Kind, start: int, end: int) -> Unsupported:
        return Unsupported(kind=kind, start=offset + start, end=offset + end)

    for start, end in _quotations(text):
        if not _is_quoted(text[start:end], article.quotable):
            yield item("quotation", start, end)
    for date in read_dates(folded, generous=False):
        taken.append((date.start, date.end))
        if not _is_known_date(date, article):
            yield item("date", date.start, date.end)
    for found in NUMBERED.finditer(folded):
        if is_free(*found.span()):
            taken.append(found.span())
            if normal_key(found.group()) not in article.words:
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


_MARKS = re.compile(r"``|''|[“”„«»\"]")
_SINGLE = re.compile(r"(?<!\w)['‘`](?=[^\W\d_])(?!em\b|til\b|tis\b|twas\b|n'\b)(.+?)['’](?!\w)")
_EDGES = " \t\r\n\"'.,;:!?-…"


def _quotations(text: str) -> Iterator[tuple[int, int]]:
    """Spans between quotation marks, the marks excluded. One that is left open goes on to the end
    of the sentence; a mark behind a digit that opens nothing stands for inches."""
    opened: int | None = None
    last = 0
    for mark in _MARKS.finditer(text):
        is_closing = mark.group() in ("”", "»", "''")
        is_opening = mark.group() in ("“", "„", "«", "``")
        if opened is not None and not is_opening:
            yield opened, mark.start()
            opened = None
        elif opened is None and is_closing:
            # Opened in a sentence before this one.
            if last == 0 and mark.group() != "''":
                yield 0, mark.start()
        elif opened is None and not (
            mark.group() == '"' and mark.start() and text[mark.start() - 1].isdigit()
        ):
            opened = mark.end()
        last = mark.end()
    if opened is not None:
        yield opened, len(text)
    for single in _SINGLE.finditer(text):
        yield single.span(1)


def _quotable(text: str) -> str:
    """The form in which quotations are compared: one kind of dash and apostrophe, no quotation
    marks, no space that only a tokeniser makes (``do n't , he``), a single space elsewhere."""
    plain = _fold(text.replace("``", '"').replace("''", '"')).replace('"', " ")
    plain = re.sub(r"\s+(?=n't\b|'\w)", "", plain)
    plain = re.sub(r"(?<!\w)'|'(?!\w)", " ", plain)
    return re.sub(r" (?=[.,;:!?)\]])", "", _squeeze(plain))


def _is_quoted(quotation: str, article: str) -> bool:
    """Whether the article has these words in a row. Where the quotation leaves words out ("…") or
    puts some in ("[the army]"), what stands between must be there."""
    whole = _quotable(quotation)
    parts = [part.strip(_EDGES) for part in re.split(r"\.\.\.|…|\[[^\]]*\]", whole)]
    return _is_said(whole.strip(_EDGES), article) or all(_is_said(part, article) for part in parts)


def _is_said(words: str, article: str) -> bool:
    if not any(map(str.isalnum, words)):
        return True
    if article.islower():
        words = words.lower()
    forms = {words, words[0].lower() + words[1:], words[0].upper() + words[1:]}
    return any(_stands_in(article, form) for form in forms)


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
    others = SAME_AS.get(letters, frozenset())
    if len(run) > 1 and (letters in article.acronyms or others & article.words):
        return True
    joined = normal_key("".join(token.text for token in run))
    return joined in article.words or all(_is_known_word(token, article) for token in run)


def _is_known_word(token: Token, article: _Article) -> bool:
    return any(
        key in article.words
        or key in TITLES
        or (token.is_acronym and key in article.initials)
        or any(stem in article.stems for stem in stems(key))
        for key in token.keys
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A summary that people marked. ``edits`` are the kinds of change that made it unfaithful."""

    article: str
    summary: str
    is_faithful: bool
    edits: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0, or 2 with one line on standard error where the caller can mend it."""
    parser = argparse.ArgumentParser(
        prog="python -m tocsin_eval.support",
        description="What the check of names, numbers, dates and quotations catches. A summary is "
        "called unfaithful where it has at least one item that the article lacks.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help='JSON Lines: {"id", "article", "summary", "faithful": true or false}, with "edit": '
        "[…] where the kinds of error are known",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamples")
    options = parser.parse_args(arguments)
    try:
        tables = [_read_judged(path) for path in options.data]
    except TocsinError as error:
        print(f"tocsin_eval.support: {error}", file=sys.stderr)
        return 2
    for path, rows in zip(options.data, tables, strict=True):
        _print_table(path.stem, rows, options.seed)
    return 0


def _read_judged(path: Path) -> list[_Judged]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise DataError(f"{path}: cannot be read ({reason}); name a JSON Lines file") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except ValueError:
            raise DataError(f"{where}: is not JSON") from None
        rows.append(_judged(where, fields))
    if len({row.is_faithful for row in rows}) < 2:
        raise DataError(f"{path}: needs at least one summary marked faithful and one marked not")
    return rows


def _judged(where: str, fields: Any) -> _Judged:
    kinds = {"article": str, "summary": str, "faithful": bool}
    for name, kind in kinds.items():
        if not isinstance(fields, dict) or not isinstance(fields.get(name), kind):
            expected = "true or false" if kind is bool else "a string"
            raise DataError(f"{where}: {name!r} must be {expected}")
    return _Judged(
        article=fields["article"],
        summary=fields["summary"],
        is_faithful=fields["faithful"],
        edits=tuple(map(str, fields.get("edit") or ())),
    )


def _print_table(name: str, rows: Sequence[_Judged], seed: int) -> None:
    """Shares are percent; intervals are 95%, over articles, of which each has all its summaries."""
    found = [{item.kind for item in unsupported(row.summary, row.article)} for row in rows]
    articles = [row.article for row in rows]
    faithful = [row.is_faithful for row in rows]
    of = f"{len(rows)} summaries of {len(set(articles))} articles, {sum(faithful)} faithful"
    print(f"{name}: {of}\n")
    print("| what is looked at | flagged, unfaithful | flagged, faithful | balanced accuracy |")
    print("|---|---:|---:|---:|")
    looks = [("all", set(KINDS)), *((f"{kind}s only", {kind}) for kind in KINDS)]
    for title, kinds in looks:
        flagged = [bool(kinds & seen) for seen in found]
        print(f"| {title} | {' | '.join(_rates(flagged, faithful, articles, seed))} |")
    by_edit: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for edit in row.edits if not row.is_faithful else ():
            by_edit[edit].append(index)
        if len(row.edits) == 1 and not row.is_faithful:
            by_edit[f"{row.edits[0]} alone"].append(index)
    if by_edit:
        print("\n| kind of edit | summaries | flagged |\n|---|---:|---:|")
    for edit, indices in sorted(by_edit.items()):
        flagged = [bool(found[index]) for index in indices]
        within = [articles[index] for index in indices]
        caught = _rates(flagged, [False] * len(indices), within, seed)[0]
        print(f"| {edit} | {len(indices)} | {caught} |")
    print()


def _rates(
    flagged: Sequence[bool], faithful: Sequence[bool], articles: Sequence[str], seed: int
) -> list[str]:
    """Share flagged of the unfaithful and of the faithful, and balanced accuracy, in percent."""
    import numpy as np

    from tocsin_eval.bootstrap import article_sums, interval, ratio, resample_sums

    is_flagged, is_faithful = np.array(flagged), np.array(faithful)
    counts = article_sums(
        np.stack(
            [is_flagged & ~is_faithful, ~is_faithful, is_flagged & is_faithful, is_faithful], axis=1
        ),
        articles,
    )
    draws = resample_sums(counts, seed=seed)
    rows = np.concatenate([counts.sum(axis=0)[None], draws])
    caught, alarmed = ratio(rows[:, 0], rows[:, 1]), ratio(rows[:, 2], rows[:, 3])
    intervals = [
        interval(100 * float(values[0]), 100 * values[1:])
        for values in (caught, alarmed, (caught + 1 - alarmed) / 2)
    ]
    return [f"{one.value:.1f} ({one.low:.1f} to {one.high:.1f})" for one in intervals]


if __name__ == "__main__":
    sys.exit(main())
