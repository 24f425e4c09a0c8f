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
# A headline may end in a question mark, but hardly in these.
_FINISHED = re.compile(r"[.!][\"')\]\s]*\Z")
COMPOUND = re.compile(r"\w+(?:[-']\w+)+")


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PARTICLES = _listed(
    "a al and bin bint da de del den der di du e el for ibn la le of on the ul van von y"
)
_COMPASS = _listed(
    "north south east west northern southern eastern western northeast northwest southeast "
    "southwest"
)
# "North-west England" is two words in front of a name, "northwest England" one.
_SIDE = re.compile(r"(north|south|east|west)(?:ern)?\Z")
# Capitals of courtesy or grammar, which say nothing that can be wrong; a compass word in front of a
# name does (``read_regions``).
TITLES = _COMPASS | _listed(
    "i mr mrs ms miss dr prof sir dame lord lady st gen lt col maj sgt cpl capt cmdr adm sen rep "
    "gov president presidents vice prime minister ministers ministry king queen prince princess "
    "professor doctor judge justice general colonel captain major senator governor mayor "
    "chancellor secretary ambassador premier pope bishop archbishop imam sheikh sheik ayatollah "
    "god government parliament congress senate house court state city the a an"
)
# Words that may stand first, without an article, in front of a name or a verb of speech, above all
# in the style of a headline.
_OPENERS = _listed(
    "he she it they we you who what which whose whatever whoever that this these those there here "
    "his her hers its their theirs our ours your yours my mine one another other some any all "
    "both each every either neither none nobody somebody someone everybody everyone anybody "
    "anyone nothing something everything most many much more several few half "
    "and or but nor so yet for if when whenever while whereas as after before since until till "
    "because although though unless once where wherever why how whether than not no yes "
    "in on at by from of to with without within into onto over above below about across against "
    "along amid among around behind beneath beside between beyond despite except inside outside "
    "near off opposite past per through throughout toward upon up down out back via like unlike "
    "is are was were be has have had do does did can could will would shall should may might must "
    "meet see visit watch read tell ask let get imagine remember "
    "now then soon today yesterday tomorrow tonight meanwhile however also still again ago "
    "already never ever always often even just only perhaps maybe instead indeed thus hence "
    "moreover late new old young large supreme first second third last next deputy chief vice "
    "fellow top big wealthy "
    "police staff army navy opposition prosecution defence defense management media press public "
    "company family capital church college council court couple union club team side crew people "
    "children town group firm wife husband son dad mom mum uncle aunt cousin friend boyfriend "
    "girlfriend widow neighbour actress captain coach striker forward lawyer pilot guard envoy "
    "rebel thug cop clerk aide nurse spokesperson chair rapper expert victim teen legend "
    "compatriot architect monk priest chef cleric pop rock world human road fire air sea water "
    "football rugby cricket golf tennis"
)
# "Residents", "Speaking", "Wounded", "Officially", "Spokesman"; who does something ("founder",
# "resident"). Names that end so go unseen, but for "Ahmed" and "Mohamed".
_NO_NAME = re.compile(
    r"(?:s|ing|(?<!hm)(?<!ham)(?<!hamm)ed|ly|m[ae]n|body|er|or|eur|[iy]st|ent|ant|ian|ive|ial|ity"
    r"|tion|ous|mate|(?<!l)ee)\Z"
)
# "Karim al-Nour"
_NAME_PARTICLES = _listed("abu al bin bint el ibn ul van von")
SPEECH = _listed(
    "said says say told tells added adds warned warns vowed insisted insists wrote writes tweeted "
    "claimed claims admitted argued argues explained explains replied announced declared recalled "
    "noted observed concluded joked commented testified continued"
)
_ABBREVIATIONS = _listed(
    "mr mrs ms dr prof st mt ft gen lt col maj sgt cpl capt cmdr adm sen rep gov rev hon pres jr "
    "sr inc ltd corp co bros vs no dept univ ave messrs"
)
_SUFFIXES = ("ish", "is", "i", "ns", "n", "ic", "ite")
# In front of these the country may have lost a vowel: "Italian", "Ukrainian", "Chinese".
_ELIDING_SUFFIXES = ("ians", "ian", "ans", "an", "ese")
_VOWELS = "aeioy"
# What these endings would make of "Nigerian", "Georgian", "Dominican" and "Romanian".
_NO_COUNTRIES = frozenset(("niger", "george", "dominic", "roman"))
# Of each row, any word stands for any other; words that belong together are written as one.
_SAME = [
    row.split()
    for row in (
        "us usa america american americans unitedstates",
        "uk gb britain british briton britons brit brits unitedkingdom greatbritain",
        "uae emirates emirati emiratis unitedarabemirates",
        "eu european europe europeanunion",
        "un unitednations",
        "au africanunion",
        "is isis isil islamicstate",
        "pa palestinianauthority",
        "ap associatedpress",
        "pm primeminister",
        "vp vicepresident",
        "nz newzealand",
        "la losangeles",
        "gp grandprix",
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
        "serbia serb serbs serbian serbians",
        "croatia croat croats croatian croatians",
        "belgium belgian belgians",
        "congo congolese",
        "somalia somali somalis",
        "argentina argentine argentines",
        "slovakia slovak slovaks",
        "slovenia slovene slovenes",
        "nazi nazis",
        "hutu hutus",
        "euro euros",
        "palestine palestinian palestinians",
        "kiev kyiv",
        "zelensky zelenskyy zelenskiy",
        "burma burmese myanmar",
        "christian christians christianity",
        "islam islamic islamist islamists muslim muslims",
        "jew jews jewish",
        "conservative conservatives tory tories",
        "democrat democrats democratic",
    )
]
# Words of these rows that in small letters are something else.
ORDINARY_WORDS = frozenset(("us", "is", "pa", "pm", "la"))
SAME_AS = {word: frozenset(row) for row in _SAME for word in row}
# Letters that Unicode does not take apart into a plain one and an accent.
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "ı": "i", "đ": "d", "ð": "d", "ħ": "h", "æ": "ae"})


def normal_key(text: str) -> str:
    plain = text.casefold()
    if plain.isascii() and plain.isalnum():
        return plain
    if not plain.isascii():
        plain = "".join(
            character
            for character in unicodedata.normalize("NFKD", plain.translate(_PLAIN))
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
    # "Serbs" and "Obamas" are plurals, "Hamas" is none.
    if key.endswith("s") and len(key) > (5 if key[-2:-1] in ("a", "i", "o", "u") else 4):
        yield key[:-1]
    for suffix in _SUFFIXES:
        if key.endswith(suffix) and len(key) - len(suffix) >= 4:
            yield key[: -len(suffix)]
    for suffix in _ELIDING_SUFFIXES:
        root = key.removesuffix(suffix)
        if 4 <= len(root) < len(key):
            yield from {root, *(root + vowel for vowel in _VOWELS)} - _NO_COUNTRIES


def read_regions(tokens: Sequence[Token]) -> Iterator[frozenset[str]]:
    """Forms of each compass word with the word behind it: "North Korea", "northern Koreans". "North
    and South Korea" has two."""
    for index, token in enumerate(tokens):
        side = _SIDE.search(token.keys[0])
        if token.keys[0] not in _COMPASS or side is None:
            continue
        near = tokens[index : index + 4]
        if len(near) == 4 and near[1].text in ("and", "or") and near[2].keys[0] in _COMPASS:
            near = near[2:]
        if len(near) > 1 and near[1].start - near[0].end == 1:
            yield frozenset(
                side.group(1) + stem
                for key in near[1].keys
                for same in SAME_AS.get(key, {key})
                for stem in stems(same)
            )


def equivalents(keys: Iterable[str]) -> set[str]:
    return {same for key in keys for same in SAME_AS.get(key, ())}


def read_names(text: str) -> Iterator[list[Token]]:
    """Runs of words that a capital marks as a name.

    The first word of a sentence, of a quotation or behind a colon has its capital from there,
    unless it has another or what follows tells a name (``_opens_a_name``). Where nearly all words
    are capitalised and no full stop follows (a headline), or all are in capitals, none tells one.
    """
    tokens = list(read_tokens(text))
    long = [token for token in tokens if len(token.text) > 3 and token.text[0].isalpha()]
    share = sum(token.is_capitalised for token in long) / max(1, len(long))
    if len(long) >= 5 and share > 0.7 and (text.isupper() or not _FINISHED.search(text)):
        return
    names: list[Token] = []
    previous: Token | None = None
    for index, token in enumerate(tokens):
        if (
            token.is_capitalised
            and len(token.keys[0]) > 1
            and (
                token.is_acronym
                or not _is_first(text, previous, token)
                or _opens_a_name(text, token, tokens[index + 1 : index + 2])
            )
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


def _opens_a_name(text: str, token: Token, behind: Sequence[Token]) -> bool:
    """Whether a first word is a name by what follows: "Karim Haddad", "Haddad's", "Haddad said".

    A noun that is none has an article there, unless it is a plural or stands in ``_OPENERS``.
    """
    word = token.keys[0]
    no_names = _OPENERS | (TITLES - _COMPASS) | _ABBREVIATIONS
    if word in no_names or _NO_NAME.search(word):
        return False
    if token.text.lower().endswith("'s"):
        return True
    between = text[token.end : behind[0].start] if behind else ""
    return between == " " and (
        behind[0].is_capitalised or behind[0].text in SPEECH or behind[0].text in _NAME_PARTICLES
    )


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
