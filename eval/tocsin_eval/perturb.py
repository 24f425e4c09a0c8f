"""Changes of a text that change nothing of what it says: typing errors, quotation marks, case, and
what feeds and editors do to punctuation. Each is deterministic."""

import html
import random
import re
from collections.abc import Callable

_WORD = re.compile(r"\b[a-z]{5,}\b")
_OPENING, _CLOSING = "“‘", "”’"
_CONTRACTIONS = {
    "do not": "don’t",
    "does not": "doesn’t",
    "did not": "didn’t",
    "will not": "won’t",
    "would not": "wouldn’t",
    "could not": "couldn’t",
    "cannot": "can’t",
    "is not": "isn’t",
    "are not": "aren’t",
    "was not": "wasn’t",
    "were not": "weren’t",
    "has not": "hasn’t",
    "have not": "haven’t",
    "had not": "hadn’t",
    "should not": "shouldn’t",
    "we will": "we’ll",
    "they will": "they’ll",
    "we are": "we’re",
    "they are": "they’re",
    "it is": "it’s",
}


def typos(text: str) -> list[str]:
    """In two words of five letters or more, two inner neighbouring letters change places; three
    versions of it. Names are left alone."""
    versions = []
    for version in range(3):
        # Seeded by the text: the same text always gets the same errors.
        chance = random.Random(f"{version} {text}")
        words = list(_WORD.finditer(text))
        letters = list(text)
        for word in chance.sample(words, min(2, len(words))):
            places = [
                place
                for place in range(word.start() + 1, word.end() - 2)
                if letters[place] != letters[place + 1]
            ]
            if places:
                place = chance.choice(places)
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
        versions.append("".join(letters))
    return versions


def straight_quotes(text: str) -> str:
    return re.sub("[“”„«»]", '"', re.sub("[‘’]", "'", text))


def curly_quotes(text: str) -> str:
    """Straight quotation marks to typographic ones: opening where a word begins."""
    double = re.sub(r'(^|(?<=[\s(\[—–-]))"', _OPENING[0], text).replace('"', _CLOSING[0])
    return re.sub(r"(^|(?<=[\s(\[“—–-]))'", _OPENING[1], double).replace("'", _CLOSING[1])


def guillemets(text: str) -> str:
    curly = curly_quotes(text)
    return curly.replace("“", "«").replace("”", "»")


def html_entities(text: str) -> str:
    """As a feed that was escaped once too often."""
    return (
        html.escape(text)
        .replace("“", "&ldquo;")
        .replace("”", "&rdquo;")
        .replace("‘", "&lsquo;")
        .replace("’", "&rsquo;")
    )


def no_final_stop(text: str) -> str:
    return re.sub(r"\.([”’\"']?)$", r"\1", text)


def dashes(text: str) -> list[str]:
    """Hyphen, en dash and em dash set off by spaces, each for the others."""
    return [
        version
        for dash in (" - ", " – ", " — ")
        if (version := re.sub(r" ?— ?| – | - ", dash, text)) != text
    ]


def contractions(text: str) -> list[str]:
    """ "do not" for "don’t", or the other way round."""
    shorter = longer = text
    for whole, short in _CONTRACTIONS.items():
        shorter = _replace(whole, short, shorter)
        longer = _replace(short.replace("’", "[’']"), whole, longer)
    return [shorter, longer]


def _replace(pattern: str, words: str, text: str) -> str:
    """Whole words replaced; at the start of a sentence they keep their capital."""

    def put(match: re.Match[str]) -> str:
        return words.capitalize() if match[0][0].isupper() else words

    return re.sub(rf"\b{pattern}\b", put, text, flags=re.IGNORECASE)


PERTURBATIONS: dict[str, Callable[[str], str | list[str]]] = {
    "typos": typos,
    "upper-case": str.upper,
    "lower-case": str.lower,
    "straight-quotes": straight_quotes,
    "curly-quotes": curly_quotes,
    "guillemets": guillemets,
    "html-entities": html_entities,
    "no-final-stop": no_final_stop,
    "double-spaces": lambda text: text.replace(" ", "  "),
    "non-breaking-spaces": lambda text: text.replace(" ", "\N{NO-BREAK SPACE}"),
    "dashes": dashes,
    "contractions": contractions,
}


def perturb(name: str, text: str) -> list[str]:
    """The versions of a text under one of ``PERTURBATIONS``; none where it finds nothing to do."""
    changed = PERTURBATIONS[name](text)
    versions = [changed] if isinstance(changed, str) else changed
    return [version for version in dict.fromkeys(versions) if version != text]
