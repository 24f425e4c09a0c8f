"""Which language an article is in, told offline. The only file that imports ``py3langid``.

Its model takes 0.4 s or more to unpack (68 MB from an xz file), a third of what a whole analysis
may take. So English, which nearly every article is, is told by its function words first; only what
they do not settle is read by the model, which knows 140 languages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tocsin_models.errors import LanguageRefused

UNDETERMINED = "und"

_READ_CHARACTERS = 4_000
_MIN_LETTERS = 12
_MIN_CONFIDENCE = 0.5

# Function words that no other language written in Latin letters uses often: "in", "is", "was", "to"
# and "for" are left out because Dutch, German or the Nordic languages have them too.
# fmt: off
_ENGLISH = frozenset((
    "the", "and", "of", "that", "with", "from", "which", "were", "been",
    "would", "said", "they", "their", "this", "have", "has", "by", "are",
    "it", "his", "after",
))
# fmt: on
_ENGLISH_MIN_WORDS = 8
_ENGLISH_MIN_SHARE = 0.12
_ENGLISH_MIN_DISTINCT = 3
# A floor: of 300 articles that the rule takes for English, py3langid gives the least certain 0.999.
_ENGLISH_CONFIDENCE = 0.99

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

_NAMES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "zh": "Chinese",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """An ISO 639-1 code (639-3 where there is none), "und" when undecided; confidence in [0, 1]."""

    code: str
    confidence: float


def identify(text: str) -> Language:
    """Tell the language of a text from its first 4,000 characters.

    "und" means too few letters (under 12), or no language above a probability of one half.
    """
    sample = text[:_READ_CHARACTERS]
    words = _WORD.findall(sample)
    if sum(map(len, words)) < _MIN_LETTERS:
        return Language(code=UNDETERMINED, confidence=0.0)
    if _is_plainly_english(words):
        return Language(code="en", confidence=_ENGLISH_CONFIDENCE)
    # In lower case capitals and titles are told too (of 300 headlines 93 % instead of 85 %).
    code, confidence = _identifier().classify(sample.lower())
    if confidence < _MIN_CONFIDENCE or code == "zxx":
        code = UNDETERMINED
    return Language(code=str(code), confidence=round(float(confidence), 4))


def check_language(text: str, languages: Sequence[str], strict: bool) -> tuple[str, str | None]:
    """The language's code, and a warning unless it is one of the model's ``languages``.

    Undecided text is warned of but never refused: it can be a headline of four words.

    Raises:
        LanguageRefused: ``strict``, and the text is in a language that is not one of them.
    """
    found = identify(text)
    if found.code in languages:
        return found.code, None
    known = ", ".join(map(name, languages))
    if found.code == UNDETERMINED:
        return found.code, (
            "the language could not be told, there is too little running text; "
            f"scores hold for the model's languages only: {known}"
        )
    told = f"the text looks {name(found.code)} (confidence {found.confidence:.2f})"
    if strict:
        raise LanguageRefused(
            f"{told}, and the model reads only: {known}; translate it, use a model that was "
            f"trained on {name(found.code)}, or leave strictness out to have it scored all the same"
        )
    return found.code, f"{told}; the model was trained on {known}, its scores mean little here"


def name(code: str) -> str:
    """English name and code of a language ("Arabic (ar)"); the code alone where we have no name."""
    return f"{_NAMES[code]} ({code})" if code in _NAMES else code


def _is_plainly_english(words: Sequence[str]) -> bool:
    if len(words) < _ENGLISH_MIN_WORDS:
        return False
    found = [word for word in map(str.lower, words) if word in _ENGLISH]
    return (
        len(found) >= _ENGLISH_MIN_SHARE * len(words) and len(set(found)) >= _ENGLISH_MIN_DISTINCT
    )


@cache
def _identifier() -> Any:
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
