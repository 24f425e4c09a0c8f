"""Quotations of a text, and whether an article has their words, however it was typed: one kind of
quotation mark, dash and apostrophe, no space that only a tokeniser makes."""

import re
from collections.abc import Iterator

# One character for one, so that offsets stay true.
_FOLD = (
    dict.fromkeys(map(ord, "“”„‟«»″"), '"')
    | dict.fromkeys(map(ord, "‘’‚‛′`´"), "'")
    | dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
)


def fold(text: str) -> str:
    return text if text.isascii() and "`" not in text else text.translate(_FOLD)


def squeeze(text: str) -> str:
    return " ".join(text.split())


def stands_in(text: str, piece: str) -> bool:
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


_MARKS = re.compile(r"``|''|[“”„«»\"]")
_SINGLE = re.compile(r"(?<!\w)['‘`](?=[^\W\d_])(?!em\b|til\b|tis\b|twas\b|n'\b)(.+?)['’](?!\w)")
EDGES = " \t\r\n\"'.,;:!?-…"


def read_quotations(text: str) -> Iterator[tuple[int, int]]:
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


def quotable(text: str) -> str:
    """The form in which quotations are compared: one kind of dash and apostrophe, no quotation
    marks, no space that only a tokeniser makes (``do n't , he``), a single space elsewhere."""
    plain = fold(text.replace("``", '"').replace("''", '"')).replace('"', " ")
    plain = re.sub(r"\s+(?=n't\b|'\w)", "", plain)
    plain = re.sub(r"(?<!\w)'|'(?!\w)", " ", plain)
    return re.sub(r" (?=[.,;:!?)\]])", "", squeeze(plain))


def is_quoted(quotation: str, article: str) -> bool:
    """Whether the article has these words in a row. Where the quotation leaves words out ("…") or
    puts some in ("[the army]"), what stands between must be there."""
    whole = quotable(quotation)
    parts = [part.strip(EDGES) for part in re.split(r"\.\.\.|…|\[[^\]]*\]", whole)]
    return is_said(whole.strip(EDGES), article) or all(is_said(part, article) for part in parts)


def is_said(words: str, article: str) -> bool:
    if not any(map(str.isalnum, words)):
        return True
    if article.islower():
        words = words.lower()
    forms = {words, words[0].lower() + words[1:], words[0].upper() + words[1:]}
    return any(stands_in(article, form) for form in forms)
