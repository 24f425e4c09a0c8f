"""Quotations of a summary that somebody else says in the article.

A speaker is read where grammar puts one beside a quotation: ``"…," X said``, ``"…," said X``,
``X said: "…"``, ``according to X``. The rule objects only where the article names another in that
place, or leaves it at "he" behind a sentence in which another speaks and X does not occur; a role
("the spokesman said") may be anybody. So it misses swaps that the article does not spell out, and
seldom objects to what is right. Lower-cased text has no names to read.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tocsin_models.name_forms import (
    SPEECH,
    TITLES,
    Token,
    equivalents,
    initials_within,
    read_names,
    read_tokens,
    stems,
)
from tocsin_models.quantities import read_dates
from tocsin_models.quotations import EDGES, fold, is_said, quotable, read_quotations
from tocsin_models.sentences import split_sentences

# Shorter ones ("a disaster") are said by many.
_LEAST_WORDS = 3
# How far a speaker may be from what he says, in words.
_REACH = 8

_VERB = re.compile(rf"\b(?:[Aa]ccording to|{'|'.join(sorted(SPEECH))})\b")
_PRONOUNS = frozenset(("he", "she", "they", "it", "i", "we"))
_ADVERBS = frozenset(
    re.findall(r"\w+", "also later then has had have who at in on earlier again once even just now")
)
_RELATIONS = frozenset(
    re.findall(
        r"\w+",
        "in at on from of for to after during by with as when while before that over about",
    )
)
_LISTENERS = frozenset(("told", "tells", "asked", "asks"))
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attribution:
    """Who speaks, by the grammar around one verb. ``keys`` are the normal forms of a name, none for
    a pronoun or a role; ``start`` to ``end`` spans subject and verb, ``name`` the name alone."""

    start: int
    end: int
    keys: frozenset[str] = frozenset()
    is_pronoun: bool = False
    name: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentence:
    """``text`` is ``raw`` with quotations and dates blotted out, one character for one; ``names``
    are all that are left but those that are only spoken to."""

    raw: str
    text: str
    quotable: str
    names: frozenset[str]
    quotations: tuple[tuple[int, int], ...]
    attributions: tuple[_Attribution, ...]

    def is_finished(self, end: int) -> bool:
        """Whether the quotation that ends here ends a sentence with it."""
        return self.raw[:end].rstrip().endswith(".")


def other_speakers(sentence: str, article: str) -> Iterator[tuple[int, int]]:
    """Spans of the names to which ``sentence``, of a summary, gives a quotation that the article
    gives to somebody else. Quotations that the article does not have are passed over."""
    if not _VERB.search(sentence) or not any(True for _ in read_quotations(sentence)):
        return
    names, said = _read_article(article)
    if not names:
        return
    read = _read_sentence(sentence, names)
    for start, end in read.quotations:
        speaker = _speaker(read, start, end)
        words = sentence[start:end]
        if speaker is None or not speaker.keys or len(_WORD.findall(words)) < _LEAST_WORDS:
            continue
        homes = [index for index, one in enumerate(said) if _has(one.quotable, words)]
        if homes and all(_is_other(speaker.keys, said, index, words) for index in homes):
            yield speaker.name


@lru_cache(maxsize=4)
def _read_article(article: str) -> tuple[frozenset[str], tuple[_Sentence, ...]]:
    """Keys of the words that are names somewhere, and the sentences."""
    names = {
        key
        for line in fold(article).split("\n")
        for start, end in split_sentences(line)
        for run in read_names(line[start:end])
        for token in run
        for key in token.keys
        if key not in TITLES
    }
    sentences = tuple(
        _read_sentence(line[start:end], names)
        for line in article.split("\n")
        for start, end in split_sentences(line)
    )
    return frozenset(names), sentences


def _read_sentence(text: str, names: Collection[str]) -> _Sentence:
    quotations = tuple(read_quotations(text))
    # What is quoted, and what is a date, names no speaker.
    masked = fold(text)
    for date in read_dates(masked, generous=False):
        masked = masked[: date.start] + " " * (date.end - date.start) + masked[date.end :]
    for start, end in quotations:
        masked = masked[:start] + '"' * (end - start) + masked[end:]
    tokens = list(read_tokens(masked))
    runs = list(_runs(masked, tokens, names))
    attributions = tuple(
        found
        for verb in _VERB.finditer(masked)
        if (found := _attribution(masked, tokens, runs, verb)) is not None
    )
    heard = [run for run in runs if _is_heard(masked, run)]
    return _Sentence(
        raw=text,
        text=masked,
        quotable=quotable(text),
        names=frozenset(key for run in runs if run not in heard for key in _keys(run)),
        quotations=quotations,
        attributions=attributions,
    )


def _runs(text: str, tokens: Sequence[Token], names: Collection[str]) -> Iterator[list[Token]]:
    """Words that are names in the article, those in a row together, whatever stands before them."""
    run: list[Token] = []
    for token in tokens:
        is_name = token.is_capitalised and any(key in names for key in token.keys)
        is_joined = run and re.fullmatch(r"[\s.'-]*", text[run[-1].end : token.start])
        if run and not (is_name and is_joined):
            yield run
            run = []
        if is_name:
            run.append(token)
    if run:
        yield run


def _keys(run: Sequence[Token]) -> set[str]:
    """All forms under which a name may be met again: stems, other names, its initials."""
    keys = {key for token in run for key in token.keys}
    keys |= equivalents(keys) | set(initials_within(run))
    return {stem for key in keys for stem in stems(key)}


def _is_heard(text: str, run: Sequence[Token]) -> bool:
    before = _WORD.findall(text[: run[0].start])
    return bool(before) and before[-1].lower() in _LISTENERS


def _attribution(
    text: str, tokens: Sequence[Token], runs: Sequence[list[Token]], verb: re.Match[str]
) -> _Attribution | None:
    clause = text[: verb.start()]
    edge = max(clause.rfind('"'), clause.rfind(";"), clause.rfind(":")) + 1
    before = [token for token in tokens if edge <= token.start and token.end <= verb.start()]
    is_source = verb.group().lower() == "according to"
    if is_source or not before:
        return _behind(text, tokens, runs, verb)
    while before and (
        before[-1].text.lower() in _ADVERBS or before[-1].text.lower().endswith("ly")
    ):
        before.pop()
    if not before:
        return None
    last = before[-1]
    if "," in text[last.end : verb.start()]:
        # "Haddad, who leads the army, said": the subject stands before the other comma.
        comma = text.rfind(",", edge, last.end)
        subjects = [token for token in before if token.end <= comma]
        if not subjects:
            return None
        described = [run for run in runs if comma < run[0].start and run[-1].end <= last.end]
        last = subjects[-1]
    else:
        described = []
    if last.text.lower() in _PRONOUNS:
        return _Attribution(start=last.start, end=verb.end(), is_pronoun=True)
    for run in runs:
        if run[-1].end == last.end:
            keys = set().union(*map(_keys, [run, *described]))
            return _Attribution(
                start=run[0].start,
                end=verb.end(),
                keys=frozenset(keys),
                name=(run[0].start, run[-1].end),
            )
    if described:
        # "The spokesman, Karim Haddad, said"
        return _Attribution(
            start=last.start,
            end=verb.end(),
            keys=frozenset().union(*map(_keys, described)),
            name=(described[0][0].start, described[-1][-1].end),
        )
    return _Attribution(start=last.start, end=verb.end())


def _behind(
    text: str, tokens: Sequence[Token], runs: Sequence[list[Token]], verb: re.Match[str]
) -> _Attribution:
    """The speaker of ``"…," said X``: what follows up to a mark or a preposition, which may name
    an office before its holder ("said the Border Guard's spokesman, Karim Haddad")."""
    # A full stop behind three letters or fewer is that of "Mr." or "Gen."
    stop = re.search(r'[;:?!](?:\s|$)|"|(?<=\w{4})\.(?:\s|$)', text[verb.end() :])
    limit = verb.end() + stop.start() if stop else len(text)
    phrase: list[Token] = []
    for token in tokens:
        if token.start < verb.end():
            continue
        if token.end > limit or token.text.lower() in _RELATIONS or len(phrase) == _REACH:
            break
        phrase.append(token)
    end = phrase[-1].end if phrase else verb.end()
    if phrase and phrase[0].text.lower() in _PRONOUNS:
        return _Attribution(start=verb.start(), end=end, is_pronoun=True)
    named = [run for run in runs if verb.end() <= run[0].start and run[-1].end <= end]
    # "says one Kenyan resident" names nobody.
    tail = text[named[-1][-1].end : end] if named else ""
    if not named or re.match(r"\s+(?!\w+ly\b)[^\W\d_A-Z]", tail):
        return _Attribution(start=verb.start(), end=end)
    return _Attribution(
        start=verb.start(),
        end=end,
        keys=frozenset().union(*map(_keys, named)),
        name=(named[0][0].start, named[-1][-1].end),
    )


def _speaker(sentence: _Sentence, start: int, end: int) -> _Attribution | None:
    """Who says the quotation at ``start`` to ``end``, if the sentence tells."""
    text = sentence.text
    # Behind a full stop another quotation's speaker may begin: ``"We stay." Omar said: "Go."``
    if not sentence.is_finished(end):
        for one in sentence.attributions:
            between = text[end : one.start]
            if one.start >= end and not re.search(r"[;:.]", between) and between.count('"') <= 1:
                return one if len(_WORD.findall(between)) <= _REACH else None
    for one in reversed(sentence.attributions):
        between = text[one.end : start]
        if one.end <= start and between.count('"') <= 1:
            return one if len(_WORD.findall(between)) <= _REACH else None
    return None


def _pieces(words: str) -> list[str]:
    """The sentences of a quotation that are long enough to be known again."""
    found = [quotable(words[start:end]).strip(EDGES) for start, end in split_sentences(words)]
    return [piece for piece in found if len(_WORD.findall(piece)) >= _LEAST_WORDS]


def _has(text: str, words: str) -> bool:
    """Whether ``text``, as ``quotable`` makes it, has a sentence of ``words``."""
    return any(is_said(piece, text) for piece in _pieces(words))


def _is_other(keys: Collection[str], said: Sequence[_Sentence], index: int, words: str) -> bool:
    """Whether sentence ``index`` of the article gives ``words`` to somebody else than ``keys``."""
    here = said[index]
    if here.names.intersection(keys):
        return False
    speakers = [
        found
        for start, end in here.quotations
        if _has(quotable(here.raw[start:end]), words)
        and (found := _speaker(here, start, end)) is not None
    ]
    if any(speaker.keys for speaker in speakers):
        return True
    if any(not speaker.is_pronoun for speaker in speakers):
        return False
    around = [*said[max(0, index - 1) : index], *said[index + 1 : index + 2]]
    if any(one.names.intersection(keys) for one in around):
        return False
    return any(one.keys for one in (said[index - 1].attributions if index else ()))
