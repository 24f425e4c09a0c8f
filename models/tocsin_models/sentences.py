"""Text -> sentences, as offsets. The only file that imports ``sentencex``.

Two kinds of text come in. Cased text goes to ``sentencex``. Lower-cased, tokenised text (the
CoreNLP form in which CNN/DailyMail is distributed: ``he denied it . " never " , he said .``) is cut
at its free-standing full stops, question and exclamation marks first, because nothing else marks an
end there.
"""

import re
from collections.abc import Iterator

import sentencex

Span = tuple[int, int]

# sentencex 1.0.32 panics inside a multi-byte white space ("B\u00a0. "), and a lone surrogate cannot
# cross into Rust at all. One code point stands for one, so that offsets stay true.
_SAFE = (
    dict.fromkeys((c for c in range(0x80, 0x3001) if chr(c).isspace()), " ")
    | dict.fromkeys((0x85, 0x2028, 0x2029), "\n")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
)

# sentencex looks for the partner of every opening quotation mark to the end of its input: 200,000
# characters of unclosed ones take 3.5 s in one piece and 0.3 s in pieces of this many characters.
_PIECE = 8_000
# All of a piece but its last word, which may go on in the next.
_WORDS = re.compile(r".*\S(?=\s)", re.DOTALL)

# A mark that stands alone between white space ends a sentence of tokenised text. "..." does not: it
# stands alone in the middle of sentences too.
_TOKENISED_MARK = re.compile(r"(?<!\S)(?:[.?!]|[?!]{2,})(?!\S)")
_TOKEN = re.compile(r"\S+")
_CLOSERS = frozenset((")", "]", "}", "-rrb-", "-rsb-", "''", "”", "’", "»"))
_STRAIGHT_QUOTES = frozenset(('"', "'"))

# sentencex knows "Gen." and neither "Brig-Gen." nor "Spc.", and not every "Ms.": the name behind it
# is no new sentence. "Ft." is a fort only with its one capital, and "MS." an illness.
_RANK = re.compile(
    r"(?:\w\.?-(?:Gen|Col|Maj|Lt|Adm|Cdr|Capt|Sgt|Insp|Supt|Comm)|"
    r"(?<![\w.-])(?:Spc|Amb|Atty|Cdr|Comdr|Cdre|Flt|Ldr|Sqn|Wg|Mohd|Gens|Cols|Lts|Sgts|Govs|(?-i:Ft|Spec|Mr|Mrs|Ms)))\.$",
    re.IGNORECASE,
)
# And it ends a sentence behind "6 a.m." wherever a capital follows; a day or a time zone goes on.
_HOUR = re.compile(r"(?<![^\W\d])[ap]\.\s?m\.$", re.IGNORECASE)
_DAY_OR_ZONE = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b(?!['’]s)|"
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|"
    r"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?\s\d|"
    r"(?:[ECMP][SD]?T|GMT|UTC|BST|CES?T|EES?T|I[RS]?ST|JST|MSK|AE[SD]T)\b|"
    r"(?:Eastern|Central|Mountain|Pacific|Greenwich|Local)(?:\s\w+)?\s[Tt]ime\b|"
    # "9 p.m. New Delhi time (1530 GMT)", "9 p.m. Perth time on Saturday"
    r"(?!Th|Last|Next|Every)[A-Z]\w+(?:\s[A-Z]\w+)?\s[Tt]ime\s(?:\(|on\b)"
)

# A quotation that has run for this many sentences was a plural possessive ("the troops ' camp").
_LONGEST_QUOTATION = 8


def split_sentences(text: str, language: str = "en") -> list[Span]:
    """Cut text into sentences: (start, end) code point offsets, in order, not overlapping.

    White space is outside every span; every other character is in exactly one. Marks without a
    letter or a digit ("***", a stray bracket) belong to the sentence before them. Never raises,
    whatever the characters. ``language`` is an ISO 639-1 code; sentencex reads an unknown one like
    English.
    """
    cuts = _tokenised_cuts(text) if text.islower() else []
    spans: list[Span] = []
    start = 0
    for cut in [*cuts, len(text)]:
        for first, last in _cased_sentences(text[start:cut], language):
            _append(spans, text, start + first, start + last)
        start = cut
    return spans


def _append(spans: list[Span], text: str, start: int, end: int) -> None:
    sentence = text[start:end]
    stripped = sentence.lstrip()
    start = end - len(stripped)
    end = start + len(stripped.rstrip())
    if start == end:
        return
    is_rest = not any(map(str.isalnum, text[start:end]))
    if spans and (is_rest or _goes_on(text, spans[-1], start)):
        spans[-1] = (spans[-1][0], end)
    else:
        spans.append((start, end))


def _goes_on(text: str, previous: Span, start: int) -> bool:
    """Whether what begins at ``start`` belongs to the sentence before it."""
    tail = max(previous[0], previous[1] - 8), previous[1]
    if _RANK.search(text, *tail):
        return True
    return bool(_HOUR.search(text, *tail) and _DAY_OR_ZONE.match(text, start))


def _cased_sentences(text: str, language: str) -> Iterator[Span]:
    safe = text.translate(_SAFE) if not text.isascii() else text
    start = 0
    while start < len(safe):
        piece = safe[start : start + _PIECE]
        sentences = sentencex.segment(language, piece)
        # The last sentence of a piece may go on in the next: unless it is the only one, it is read
        # again.
        if start + _PIECE < len(safe):
            if len(sentences) > 1:
                sentences.pop()
            else:
                words = _WORDS.match(piece)
                sentences = [words.group() if words else piece]
        for sentence in sentences:
            yield start, start + len(sentence)
            start += len(sentence)


def _tokenised_cuts(text: str) -> list[int]:
    """Offsets behind which a new sentence begins in lower-cased, tokenised text.

    A closing bracket or quotation mark behind the mark stays with the sentence that it closes.
    Straight quotation marks look alike at both ends, so they are counted: behind a mark, one closes
    only where a quotation is open (``" go . " he left``), and otherwise opens the next sentence
    (``he left . " go``).
    """
    if not _TOKENISED_MARK.search(text):
        return []
    cuts: list[int] = []
    sentences_since_opened: dict[str, int] = {}
    is_after_mark = False
    previous = ""
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word in _STRAIGHT_QUOTES:
            if word in sentences_since_opened:
                del sentences_since_opened[word]
                if is_after_mark:
                    cuts[-1] = token.end()
                    continue
            elif word == '"' or not previous.endswith("s"):
                sentences_since_opened[word] = 0
        elif is_after_mark and word in _CLOSERS:
            cuts[-1] = token.end()
            continue
        is_after_mark = bool(_TOKENISED_MARK.fullmatch(word))
        if is_after_mark:
            cuts.append(token.end())
            sentences_since_opened = {
                quote: count + 1
                for quote, count in sentences_since_opened.items()
                if count + 1 < _LONGEST_QUOTATION
            }
        previous = word
    return cuts
