"""Which sentences of a paragraph one quotation runs through, so that none of them is quoted alone.

A quotation ends with its paragraph at the latest: news opens each paragraph of a long one with a
mark and closes only the last. Straight marks look alike at both ends and are told by what stands
beside them, and else by counting. Single ones look like apostrophes too: they count where a
sentence, a colon or a comma is in front of the first and a stop on either side of the last.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

Run: TypeAlias = tuple[int, int]
_Role: TypeAlias = Literal["opens", "closes", "either", "neither"]

# What has run on for more sentences was no quotation, but a mark too few or too many.
_LONGEST_DOUBLE, _LONGEST_SINGLE = 8, 4

_DOUBLE = re.compile(r"``|''|[“”„«»\"]")
_SINGLE = re.compile(r"(?<!')['‘’](?!')")


def quotation_runs(sentences: Sequence[str]) -> list[Run]:
    """(first, last) index of the sentences that a quotation runs through, where they are several;
    in order, not overlapping. ``sentences`` are all those of one paragraph."""
    runs: list[Run] = []
    for first, last in sorted([*_double_runs(sentences), *_single_runs(sentences)]):
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        else:
            runs.append((first, last))
    return runs


def _double_runs(sentences: Sequence[str]) -> Iterator[Run]:
    opened: int | None = None
    for index, sentence in enumerate(sentences):
        for mark in _DOUBLE.finditer(sentence):
            role = _double_role(sentence, mark)
            if role == "opens" or (role == "either" and opened is None):
                opened = index
            elif role != "neither" and opened is not None:
                if opened < index < opened + _LONGEST_DOUBLE:
                    yield opened, index
                opened = None
    last = len(sentences) - 1
    if opened is not None and opened < last < opened + _LONGEST_DOUBLE:
        yield opened, last


def _single_runs(sentences: Sequence[str]) -> Iterator[Run]:
    opened: int | None = None
    for index, sentence in enumerate(sentences):
        for mark in _SINGLE.finditer(sentence):
            role = _single_role(sentence, mark)
            if role == "opens":
                opened = index
            elif role != "neither":
                is_run = opened is not None and opened < index < opened + _LONGEST_SINGLE
                if opened is not None and is_run and role == "closes":
                    yield opened, index
                opened = None


def _double_role(sentence: str, found: re.Match[str]) -> _Role:
    """What a mark does, by its form or by its neighbours."""
    mark = found.group()
    if mark in ("“", "„", "«", "``"):
        return "opens"
    if mark in ("”", "»", "''"):
        return "closes"
    before, after = sentence[: found.start()][-1:], sentence[found.end() :][:1]
    if not before.strip() and not after.strip():
        return _role_of_free_mark(sentence, found)
    if not before.strip() or before in "([-–—":
        return "opens"
    # Behind a digit it may stand for inches.
    return "either" if after.isalnum() and not before.isdigit() else "closes"


def _single_role(sentence: str, found: re.Match[str]) -> _Role:
    before, after = sentence[: found.start()], sentence[found.end() :]
    is_free_left, is_free_right = not before[-1:].strip(), not after[:1].strip()
    if found.group() == "‘":
        return "opens"
    if is_free_left and is_free_right:
        # Behind a comma ("… , ' he said") it seldom opens: names of things stand in such marks.
        is_behind_comma = before.rstrip().endswith(",")
        return "closes" if is_behind_comma else _role_of_free_mark(sentence, found)
    if is_free_right:
        if before[-1:] in ".,!?…":
            return "closes"
        return "neither" if before[-1:] == "s" else "either"
    if after[0] in ",.;:?!" and before[-1:].isalnum():
        # British: "… in the city’, said Haddad." But "'over', he said" closes what it opened.
        return "neither" if _opens_a_word(before) else "closes"
    is_lead_in = not before.strip() or before.rstrip()[-1] in ":,"
    return "opens" if is_lead_in and is_free_left and after[0].isupper() else "neither"


def _opens_a_word(before: str) -> bool:
    """Whether the last straight mark stands in front of a word."""
    place = before.rfind("'")
    return (
        place >= 0 and not before[max(0, place - 1) : place].strip() and before[place + 1].isalnum()
    )


def _role_of_free_mark(sentence: str, found: re.Match[str]) -> _Role:
    """Of a mark between spaces, as in tokenised text."""
    before, after = sentence[: found.start()].rstrip(), sentence[found.end() :].strip()
    if not before or before[-1] == ":":
        return "opens"
    if not after or before[-1] in ".?!":
        return "closes"
    return "either"
