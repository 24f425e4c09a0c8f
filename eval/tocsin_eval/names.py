"""Names of states, places, people and armed groups, and putting others in their place.

A label must not hang on who is in the news. Training swaps names for others, drawn afresh each
epoch, and the behaviour of a model is measured on swapped passages. The lists in ``names/`` are
facts (states and their adjectives, towns, given and family names, armed groups), real and invented.
"""

import functools
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import NamedTuple

from tocsin_models.name_forms import TITLES

State = tuple[str, str, str]  # noun, adjective, people

_THE = "the "
_UNITED_STATES = "the United States"
# The two that stand for America: "the U.S." as a state, and before a noun as its adjective.
_US_NOUN = (
    r"(?<!\w)(?:[Tt]he )?(?:U\.S\.|US\b)(?=['’]s\b|[.,;:)\"”]|$| (?:and|or|to|is|was|has|had|will"
    r"|would|said|says|in|on|of|for|as|that|from|with|by|at|over|The|It|He|She|But|In)\b)"
)
_US_FORMS = ("U.S.", "US")
_US_ADJECTIVE = r"(?<!\w)(?:U\.S\.|US\b)(?=[ -][A-Za-z])"
_SENTENCE_START = re.compile(r"(?:^|[.!?:]['\"’”)]* |[\"“‘(])$")
_POSSESSIVE = re.compile(r"['’]s$")
# "a Ukrainian", "a Ugandan", "a Unity Militia": the letter is a vowel, the sound is not.
_VOWEL = re.compile(r"(?!Eu|Uga|Ukr|Uni)[AEIOU]", re.IGNORECASE)
_ADJECTIVE = re.compile(r"(?<!st)(?:an|ese|ense|ish|i|er|ic)$")  # but not Varkhistan
_ONLY_ADJECTIVE = re.compile(r"(?:ian|ean|ese|ish)$")
# Listed names that are other words as often, where nothing is in capitals.
_OTHER_WORDS = frozenset(
    ("guinea", "islander", "islanders", "jean", "poles", "polish", "turkey", "us")
)
_REALM = re.compile(r" (?:Republic|Federation|Union|Commonwealth|Confederation|Kingdom|Empire)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One name of an article and every form of it that the text uses.

    ``kind`` as in the training corpus: state, place, person, armed_group are exchanged; others (an
    organisation, a people, a ship) are left as they are.
    """

    kind: str
    forms: tuple[str, ...]


class _Listed(NamedTuple):
    """What a form in the lists is: one of ``_Lists``'s fields, which row, which form of it."""

    kind: str
    row: int
    form: int


@dataclass(frozen=True, slots=True)
class _Lists:
    state: tuple[State, ...]
    place: tuple[str, ...]
    given_name: tuple[str, ...]
    surname: tuple[str, ...]
    armed_group: tuple[str, ...]


@dataclass(slots=True)
class _Swaps:
    """Which form is exchanged for which, in one text. A new name is used once, while they last."""

    chance: random.Random
    lists: _Lists
    other: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def draw(self, pool: Sequence[str]) -> str:
        free = [name for name in pool if name not in self.used] or list(pool)
        self.used.add(name := self.chance.choice(free))
        return name

    def draw_state(self, *, has_article: bool = True) -> State:
        """``has_article``: whether one like "the Netherlands" will do."""
        of_noun = {
            state[0]: state
            for state in self.lists.state
            if has_article or not state[0].startswith(_THE)
        }
        return of_noun[self.draw(list(of_noun))]


def swap_names(text: str, names: Sequence[Name], chance: random.Random) -> str:
    """``text`` with its names exchanged for others from the lists, drawn by ``chance``.

    The forms in ``names`` are exchanged, and every name of the lists that the text holds. Noun,
    adjective and plural stay what they were, a surname alone goes with its full name, one name is
    always exchanged for the same other, capitals stay capitals, and a/an is put right. A text
    without any capital (half of CNN/DailyMail's copies) stays one.
    """
    if text == text.lower():
        return _swap_cased(_capitalise(text, names), names, chance).lower()
    return _swap_cased(text, names, chance)


@functools.cache
def listed_forms() -> dict[str, str]:
    """Every form of the names in the lists -> its kind: state (noun and adjective, which "U.S."
    does not tell apart either), people, place, given_name, surname, armed_group.

    Also in lower case, but for names that are other words there.
    """
    index, _ = _index()
    kinds = dict.fromkeys(_US_FORMS, "state")
    for form, what in index.items():
        is_people = what.kind == "state" and what.form == 2
        kinds[form] = "people" if is_people else what.kind
    lower = {form.lower(): kind for form, kind in kinds.items()}
    return kinds | {form: kind for form, kind in lower.items() if form not in _OTHER_WORDS}


def _swap_cased(text: str, names: Sequence[Name], chance: random.Random) -> str:
    swaps = _Swaps(chance, _read_lists())
    for name in names:
        _swap_named(name, swaps)
    index, pattern = _index()
    found = {match.group() for match in pattern.finditer(text)}
    for form in sorted(found):
        if form not in swaps.other:
            _swap_listed(form, index.get(form), swaps)
    _swap_families(text, found, swaps)
    return _exchange(text, swaps.other)


@functools.cache
def _read_lists() -> _Lists:
    states = [tuple(line.split(", ")) for line in _lines("states")]
    return _Lists(
        state=tuple((noun, adjective, people) for noun, adjective, people in states),
        place=_lines("places"),
        given_name=_lines("given_names"),
        surname=_lines("surnames"),
        armed_group=_lines("armed_groups"),
    )


def _lines(name: str) -> tuple[str, ...]:
    text = (resources.files("tocsin_eval") / "names" / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@functools.cache
def _index() -> tuple[dict[str, _Listed], re.Pattern[str]]:
    """What each listed form is, and the pattern that finds them all, the longest first.

    Datelines are in capitals, so nouns and places count in capitals too.
    """
    lists = _read_lists()
    index: dict[str, _Listed] = {}

    def put(form: str, what: _Listed) -> None:
        index.setdefault(form, what)
        if form.startswith(_THE):
            index.setdefault("The " + form.removeprefix(_THE), what)
            index.setdefault(form.removeprefix(_THE), what)

    for row, state in enumerate(lists.state):
        for form, word in enumerate(state):
            put(word, _Listed("state", row, form))
        put(state[0].upper(), _Listed("state", row, 0))
    for kind in ("place", "armed_group", "given_name", "surname"):
        for row, word in enumerate(getattr(lists, kind)):
            put(word, _Listed(kind, row, 0))
            if kind == "place":
                put(word.upper(), _Listed(kind, row, 0))
    words = _alternatives(index)
    return index, re.compile(rf"{_US_NOUN}|{_US_ADJECTIVE}|(?<!\w)(?:{words})(?!\w)")


def _capitalise(text: str, names: Sequence[Name]) -> str:
    """A text in lower case with its names, listed here or in ``names``, as names are written."""
    written, words = _lower_index()
    own = {form.lower(): form for name in names for form in name.forms if re.search(r"\w", form)}
    if own := {form: own[form] for form in own.keys() - _OTHER_WORDS}:
        written = written | own
        words = _alternatives(written)
    return re.sub(rf"(?<!\w)(?:{words})(?!\w)", lambda match: written[match[0]], text)


@functools.cache
def _lower_index() -> tuple[dict[str, str], str]:
    """Listed forms by their lower case, and what finds them."""
    index, _ = _index()
    written = {"u.s.": "U.S."}
    for form in index:
        if form.lower() not in _OTHER_WORDS:
            written.setdefault(form.lower(), form)
    return written, _alternatives(written)


def _alternatives(forms: Iterable[str]) -> str:
    return "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))


def _swap_named(name: Name, swaps: _Swaps) -> None:
    """Plan for a name that the article lists; its possessives follow, its capitals stay."""
    # One form for those that differ in case alone: not the one in capitals, where there is another.
    spelt: dict[str, str] = {}
    forms = {_POSSESSIVE.sub("", form) for form in name.forms}
    forms = {form for form in forms if re.search(r"\w", form)}
    for form in sorted(forms, key=lambda form: (len(form), form.isupper(), form)):
        spelt.setdefault(form.casefold(), form)
    swap = {
        "state": _swap_state,
        "place": _swap_place,
        "person": _swap_person,
        "armed_group": _swap_armed_group,
    }.get(name.kind)
    if swap is None or not forms:
        return
    other = swap(list(spelt.values()), swaps)
    for form in forms:
        if (known := spelt[form.casefold()]) in other:
            new = other[known]
            is_shouted = form.isupper() and not _is_acronym(form, forms)
            swaps.other[form] = new.upper() if is_shouted else new
    for form, new in other.items():
        swaps.other.setdefault(form, new)


def _is_acronym(form: str, forms: Iterable[str]) -> bool:
    """Whether a form in capitals is short for the others: no part of any of them, and some of them
    are not in capitals. America's two are short whatever stands beside them."""
    if form in _US_FORMS:
        return True
    longer = [other.casefold() for other in forms if other != form]
    is_shout = any(form.casefold() in other for other in longer)
    return " " not in form and not is_shout and not all(map(str.isupper, forms))


def _swap_state(forms: Sequence[str], swaps: _Swaps) -> dict[str, str]:
    noun, adjective, people = swaps.draw_state(has_article=False)
    plural = {form for form in forms if form.endswith("s") and form[:-1] in forms}
    plain = [form for form in forms if " of " not in form and not _REALM.search(form)]
    single = [form for form in plain if form not in plural]
    old = min(single, key=lambda form: bool(_ADJECTIVE.search(form)), default=None)
    if all(_ONLY_ADJECTIVE.search(form) for form in single):
        old = None  # the article speaks of "Varkhian ships" and never of their state
    other: dict[str, str] = {}
    for form in forms:
        if realm := _REALM.search(form):
            other[form] = adjective + realm.group()  # "Varkhan Republic"
        elif " of " in form:
            other[form] = form[: form.rindex(" of ") + len(" of ")] + noun  # "Republic of Varkhan"
        else:
            other[form] = noun if form == old else people if form in plural else adjective
    if set(_US_FORMS) & set(forms):
        # What follows tells whether they are noun or adjective, as where the article lists none.
        other |= dict(zip(_america(swaps.lists), (noun, adjective, people), strict=True))
        other |= {"United States": noun} | dict.fromkeys(_US_FORMS, adjective)
    return other


def _swap_place(forms: Sequence[str], swaps: _Swaps) -> dict[str, str]:
    place = swaps.draw(swaps.lists.place)
    other: dict[str, str] = {}
    for form in forms:
        # "Varkh bridge" holds "Varkh", which is exchanged inside it.
        if not any(re.search(rf"(?<!\w){re.escape(known)}(?!\w)", form) for known in other):
            other[form] = place
    return other


def _swap_person(forms: Sequence[str], swaps: _Swaps) -> dict[str, str]:
    given, family = swaps.draw(swaps.lists.given_name), swaps.draw(swaps.lists.surname)
    words = {form: _split_title(form) for form in forms}
    full = max((rest for _, rest in words.values()), key=len)
    other = {}
    for form, (title, rest) in words.items():
        if len(rest) < len(full) and rest == full[-len(rest) :]:
            new = [family]
        elif len(rest) > 1 and rest[-1] == full[-1]:
            new = [given, *rest[1:-1], family]  # what stands between stays
        elif len(full) > 1 and full[0] in rest:
            new = [given if word == full[0] else word for word in rest]
        else:
            new = [family]
        other[form] = " ".join([*title, *new])
    return other


def _split_title(form: str) -> tuple[list[str], list[str]]:
    """ "Colonel" and "Dara Holm"; a nickname ("the Weaver") is a word of its own."""
    words = form.removeprefix("The ").removeprefix(_THE).split()
    start = 0
    while start < len(words) - 1 and words[start].lower().strip(".") in TITLES:
        start += 1
    return words[:start], words[start:]


def _swap_armed_group(forms: Sequence[str], swaps: _Swaps) -> dict[str, str]:
    articled = [group for group in swaps.lists.armed_group if group.startswith(_THE)]
    group = swaps.draw(articled).removeprefix(_THE)
    other = {}
    for form in forms:
        bare = form[len(_THE) :] if form.lower().startswith(_THE) else form
        if bare.isupper() and " " not in bare:
            continue  # an acronym stays
        new = group if " " in bare else group.split()[-1]
        other[form] = form[: -len(bare)] + new
        # "the Sons of the Dune" must not be taken for "the Sons".
        other |= {"the " + bare: "the " + new, "The " + bare: "The " + new}
    return other


def _swap_listed(form: str, what: _Listed | None, swaps: _Swaps) -> None:
    """Plan for a form that was found in the text; None is one of the two that mean America."""
    lists = swaps.lists
    if what is None or what.kind == "state":
        state = lists.state[what.row] if what else _america(lists)
        other = swaps.draw_state()
        for old, new in zip(state, other, strict=True):
            swaps.other.setdefault(old, new)
            swaps.other.setdefault(old.upper(), new.upper())
            if old.startswith(_THE):
                swaps.other.setdefault("The " + old.removeprefix(_THE), new)
                swaps.other.setdefault(old.removeprefix(_THE), new.removeprefix(_THE))
        if state == _america(lists):
            for old in _US_FORMS:
                swaps.other.setdefault(old, swaps.other[state[1]])
        return
    pool = getattr(lists, what.kind)
    if what.kind == "armed_group":
        pool = [one for one in pool if one.startswith(_THE) == pool[what.row].startswith(_THE)]
    new = swaps.draw(pool)
    old = getattr(lists, what.kind)[what.row]
    swaps.other.setdefault(old, new)
    if old.startswith(_THE):
        swaps.other.setdefault("The " + old.removeprefix(_THE), new)
        swaps.other.setdefault(old.removeprefix(_THE), new.removeprefix(_THE))
    if what.kind == "place":
        swaps.other.setdefault(old.upper(), new.upper())


def _america(lists: _Lists) -> State:
    return next(state for state in lists.state if state[0] == _UNITED_STATES)


def _swap_families(text: str, found: set[str], swaps: _Swaps) -> None:
    """A capitalised word behind a listed given name is a family name, listed or not."""
    given = [form for form in found if form in swaps.lists.given_name]
    if not given:
        return
    words = "|".join(map(re.escape, sorted(given)))
    for match in re.finditer(rf"\b(?:{words}) ([A-Z][a-z][\w-]+)", text):
        if match[1] not in swaps.other:
            swaps.other[match[1]] = swaps.draw(swaps.lists.surname)


def _exchange(text: str, other: dict[str, str]) -> str:
    if not other:
        return text
    # "US" alone may be a form of another name: then there is nothing that America stands for.
    america = _US_NOUN if _UNITED_STATES in other and "U.S." in other else r"(?!)"
    words = _alternatives(other)
    pieces: list[str] = []
    end = 0
    pattern = rf"(?:\b([Aa])n? )?(?:({america})|(?<!\w)(?:{words})(?![\w$]))"  # "US$5" is money
    for match in re.finditer(pattern, text):
        article, form = match[1], match[0]
        if article:
            form = form.split(" ", 1)[1]
        new = other[_UNITED_STATES if match[2] else form]
        before = text[max(0, match.start() - 8) : match.start()]
        pieces.append(text[end : match.start()])
        if article:
            new = new.removeprefix(_THE)
            pieces.append(article + ("n " if _VOWEL.match(new) else " "))
        elif new.startswith(_THE) and _SENTENCE_START.search(before):
            new = "The " + new.removeprefix(_THE)
        elif new.startswith(_THE) and before.lower().endswith(_THE):
            new = new.removeprefix(_THE)
        pieces.append(new)
        end = match.end()
    return "".join([*pieces, text[end:]])
