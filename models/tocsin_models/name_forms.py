"""Names of a text, in the forms in which "U.N." is "UN" and "Syrian" is "Syria". They are read from
folded text: one kind of dash and of apostrophe."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word; ``keys`` are the forms it may be found under, without case, accents, dots,
    apostrophes and a possessive's ending."""

    start: int
    end: int
    text: str
    keys: tuple[str, ...]

    @property
    def is_capitalised(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_acronym(self) -> bool:
        """Capitals that are no mere initial: "UN", "U.N.", "UNs", "McCoy" and "F16" too."""
        return sum(map(str.isupper, self.text)) > 1 or (
            self.is_capitalised and any(map(str.isdigit, self.text))
        )


_TOKEN = re.compile(r"(?:[^\W\d_]\.){2,}|[^\W\d_](?:\.[^\W\d_])+\b|\w+(?:'\w+)*")
# "T-72": another number is another thing, wherever that number stands in the article.
NUMBERED = re.compile(r"\b[^\W\d_a-z]\w*(?:-[^\W\d_]+)*-\d+(?:[^\W\d_]\b|\b)")
COMPOUND = re.compile(r"\w+(?:[-']\w+)+")


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PARTICLES = _listed(
    "a al and bin bint da de del den der di du e el for ibn la le of on the ul van von y"
)
# Capitals of courtesy or grammar, which say nothing that can be wrong.
TITLES = _listed(
    "i mr mrs ms miss dr prof sir dame lord lady st gen lt col maj sgt cpl capt cmdr adm sen rep "
    "gov president presidents vice prime minister ministers ministry king queen prince princess "
    "professor doctor judge justice general colonel captain major senator governor mayor "
    "chancellor secretary ambassador premier pope bishop archbishop imam sheikh sheik ayatollah "
    "god government parliament congress senate house court state city north south east west "
    "northern southern eastern western northeast northwest southeast southwest the a an"
)
_ABBREVIATIONS = _listed(
    "mr mrs ms dr prof st mt ft gen lt col maj sgt cpl capt cmdr adm sen rep gov rev hon pres jr "
    "sr inc ltd corp co bros vs no dept univ ave messrs"
)
_SUFFIXES = ("ians", "ian", "ans", "an", "ese", "ish", "is", "i", "ns", "n", "s", "ic", "ite")
# Of each row, any word stands for any other.
_SAME = [
    row.split()
    for row in (
        "us usa america american americans",
        "uk gb britain british briton britons brit brits",
        "uae emirates emirati emiratis",
        "eu european europe",
        "un unitednations",
        "france french frenchman frenchwoman",
        "netherlands dutch holland",
        "spain spanish spaniard spaniards",
        "germany german germans",
        "turkey turkish turk turks turkiye",
        "greece greek greeks",
        "sweden swedish swede swedes",
        "denmark danish dane danes",
        "poland polish pole poles",
        "finland finnish finn finns",
        "ireland irish",
        "scotland scottish scot scots",
        "wales welsh",
        "england english",
        "norway norwegian norwegians",
        "portugal portuguese",
        "switzerland swiss",
        "afghanistan afghan afghans",
        "pakistan pakistani pakistanis",
        "philippines filipino filipinos philippine",
        "thailand thai thais",
        "cyprus cypriot cypriots",
        "lebanon lebanese",
        "kurdistan kurd kurds kurdish",
        "palestine palestinian palestinians",
        "kiev kyiv",
        "burma burmese myanmar",
        "christian christians christianity",
        "islam islamic islamist islamists muslim muslims",
        "jew jews jewish",
        "conservative conservatives tory tories",
        "democrat democrats democratic",
    )
]
SAME_AS = {word: frozenset(row) for row in _SAME for word in row}


def normal_key(text: str) -> str:
    plain = text.casefold()
    if plain.isascii() and plain.isalnum():
        return plain
    if not plain.isascii():
        plain = "".join(
            character
            for character in unicodedata.normalize("NFKD", plain)
            if not unicodedata.combining(character)
        )
    return re.sub(r"\W", "", plain)


def read_tokens(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        word = found.group()
        keys = [normal_key(word)]
        if word.lower().endswith("'s"):
            keys.insert(0, normal_key(word[:-2]))
        yield Token(start=found.start(), end=found.end(), text=word, keys=tuple(keys))


def stems(key: str) -> Iterator[str]:
    """A word without the endings that make a country's name its people's."""
    yield key
    # "MP" beside "MPs"
    if len(key) == 3 and key.endswith("s"):
        yield key[:-1]
    for suffix in _SUFFIXES:
        if key.endswith(suffix) and len(key) - len(suffix) >= 4:
            yield key[: -len(suffix)]
    if len(key) > 4 and key[-1] in "aeioy":
        yield key[:-1]


def equivalents(keys: Iterable[str]) -> set[str]:
    return {same for key in keys for same in SAME_AS.get(key, ())}


def read_names(text: str) -> Iterator[list[Token]]:
    """Runs of words that a capital marks as a name.

    The first word of a sentence, of a quotation or behind a colon has its capital from there,
    unless it has another. Where nearly all words are capitalised (a headline), none tells a name.
    """
    tokens = list(read_tokens(text))
    long = [token for token in tokens if len(token.text) > 3 and token.text[0].isalpha()]
    if len(long) >= 5 and sum(token.is_capitalised for token in long) > 0.7 * len(long):
        return
    names: list[Token] = []
    previous: Token | None = None
    for token in tokens:
        if (
            token.is_capitalised
            and not (_is_first(text, previous, token) and not token.is_acronym)
            and len(token.keys[0]) > 1
        ):
            names.append(token)
        previous = token
    yield from join_runs(text, names)


def _is_first(text: str, previous: Token | None, token: Token) -> bool:
    if previous is None:
        return True
    between = text[previous.end : token.start]
    if re.search(r'[!?:;"(\[…*|]|\.\.|(?:^|\s)-+\s|\s\'', between):
        return True
    # "Gen. Haddad", "J. Haddad", "U.S. Army"
    is_abbreviation = (
        previous.text.lower() in _ABBREVIATIONS or len(previous.text) == 1 or "." in previous.text
    )
    return "." in between and not is_abbreviation


def join_runs(text: str, names: Sequence[Token]) -> Iterator[list[Token]]:
    """Names that follow each other directly, or with a particle between: "Bank of Sahlan"."""
    run: list[Token] = []
    for token in names:
        if run:
            between = text[run[-1].end : token.start]
            inner = re.split(r"[\s.'-]+", between.strip(" .'-"))
            if re.search(r"[^\w\s.'-]", between) or any(
                word and word.lower() not in _PARTICLES - {"and", "on", "for"} for word in inner
            ):
                yield run
                run = []
        run.append(token)
    if run:
        yield run


def initials_within(run: Sequence[Token]) -> Iterator[str]:
    """Acronyms of up to six words that a run of capitalised words may have."""
    letters = [token.keys[0][:1] for token in run]
    for start in range(len(letters)):
        for end in range(start + 2, min(len(letters), start + 6) + 1):
            yield "".join(letters[start:end])
