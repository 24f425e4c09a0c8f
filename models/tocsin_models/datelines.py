# ruff: noqa: E501 - a pattern that is broken over lines can no longer be read or searched for.
"""The dateline in front of an article's first sentence: "BAGHDAD (AP) — ", "GENEVA, 3 March (Desk) - ".

Where it ends is all that is told; who cuts it off moves the sentence's start, so that offsets stay
true. A name is cut by mistake more easily than missed, so that one of three marks has to be there: an agency
in brackets in front of the dash, a date in front of it, or a place in capitals.
"""

import re

_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DATE = rf"(?i:(?:{_MONTH}\s\d{{1,2}}|\d{{1,2}}\s{_MONTH})(?:,?\s\d{{4}})?)"
_WORD = r"(?:[A-Z][\w.'’-]*|de|la|al|of|el|and)"
_PLACE = rf"[A-Z][\w.'’-]*(?:[\s/]{_WORD}){{0,3}}(?:,\s{_WORD}(?:\s{_WORD}){{0,3}}){{0,2}}"
_CAPITALS = r"[A-Z][A-Z.'’-]{2,}(?:[\s/][A-Z][A-Z.'’-]+){0,3}"
_REGION = rf"(?:,\s[A-Z][\w.'’-]*(?:\s{_WORD}){{0,3}}){{0,2}}"
_AGENCY = r"\((?:[A-Z][\w.&+ -]{0,29})\)"
_DASH = r"\s?(?:--+|[-–—])\s+"
# "Islamic State (IS) - which holds the north - said": a name, and what is said of it. "al-Qaida" begins a sentence.
_NO_ASIDE = r"(?!\s|[a-z]+\b(?!-[A-Z]))"
# The same in lower-cased, tokenised text.
_LOWER_PLACE = r"[a-z][a-z.'-]*(?:\s,?\s?[a-z][a-z.'-]*){0,5}"
_LOWER_AGENCY = r"(?:-lrb-|\()\s(?:cnn|ap|afp|reuters|upi|cnn\s\w+)\s(?:-rrb-|\))\s"

_FORMS = tuple(
    map(
        re.compile,
        (
            # "BAGHDAD (AP) — ", "Perugia, Italy (CNN) -- ", "GENEVA, 3 March (Desk) - "
            rf"{_PLACE}(?:,\s{_DATE})?\s{_AGENCY}{_DASH}{_NO_ASIDE}",
            # "(CNN) -- "
            rf"{_AGENCY}{_DASH}",
            # "GENEVA, 3 March - "
            rf"{_CAPITALS}{_REGION},\s{_DATE}{_DASH}",
            # "KYRRIN, Ardesh — "
            rf"{_CAPITALS}{_REGION}{_DASH}(?=[A-Z\"“‘'«])",
            # "(CNN)An envoy …": an agency of which nobody would say more in brackets
            r"\((?:CNN|AP|AFP|Reuters)\)\s?",
            # "Kathmandu, Nepal (CNN)An envoy …"
            rf"{_PLACE}\s\(CNN\)(?=[A-Z\"“‘'«])",
            # "perugia , italy -lrb- cnn -rrb- -- ", "-lrb- ap -rrb- "
            rf"{_LOWER_PLACE}\s{_LOWER_AGENCY}--?\s",
            rf"{_LOWER_AGENCY}(?:--?\s)?",
            # "kathmandu , nepal -lrb- cnn -rrb- ": CNN alone leaves the dash out; others are named in sentences, "the associated press -lrb- ap -rrb- reported".
            rf"{_LOWER_PLACE}(?<!\bnetwork)\s(?:-lrb-|\()\scnn\s(?:-rrb-|\))\s",
        ),
    )
)
# "NATO — the alliance of …": capitals, but no place.
_NO_PLACE = re.compile(
    r"(?:NATO|OPEC|UNICEF|UNESCO|UNHCR|UNRWA|OSCE|IAEA|ECOWAS|ASEAN|ISIS|ISIL|IMF|WTO|WHO|UN|EU|USA|US|UK|UAE|FBI|CIA|NSA|NGO|CEO|BREAKING|UPDATE|LIVE|EXCLUSIVE|ANALYSIS|OPINION|VIDEO|WATCH|CORRECTION|FACTBOX|TIMELINE|[A-Z.'’-]+\sNEWS)\b"
)
_LONGEST = 100
_LEAST_WORDS = 3


def dateline_end(sentence: str) -> int:
    """Length of the dateline that opens a sentence, the space behind it included; 0 where there is
    none, or where fewer than three words would be left."""
    for form in _FORMS:
        found = form.match(sentence[:_LONGEST])
        if found and not _NO_PLACE.match(sentence):
            rest = sentence[found.end() :].lstrip()
            return len(sentence) - len(rest) if len(rest.split()) >= _LEAST_WORDS else 0
    return 0
