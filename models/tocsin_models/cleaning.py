"""An article as it came in -> paragraphs with offsets, and what was dropped with the reason.

Plain text is never changed: every character that is not white space ends up in exactly one
paragraph, kept or dropped. HTML is first turned into plain text (``markup.py``), and paragraphs
that come one by one are joined by blank lines; that text is then what the offsets point into.
"""

import re
from collections.abc import Iterator, Sequence

from tocsin_models.boilerplate import drop_reasons
from tocsin_models.errors import EmptyInput
from tocsin_models.records import Article, CleanText, Dropped, Kind, Paragraph

BYTE_ORDER_MARK = "\ufeff"
PARAGRAPH_BREAK = "\n\n"

_LONGEST_CAPTION = 600
# The forms that are nothing else; a caption that reads like a sentence of the body stays body.
_CAPTION_BEGINNING = re.compile(
    # "Caption: …", "FILE - A tanker …", "FILE PHOTO: …", "Photo: Smoke rises over the port."
    r"(?:(?:photo\s|picture\s|image\s)?captions?\s?:|(?-i:FILE)\s?[-–—:]|file\s(?:photo|image|picture)\s?[:–—-]|"
    r"(?:photo|picture|image|pictured)(?:\s\(?(?:above|below|left|right)\)?)?\s?:)\s*\S",
    re.IGNORECASE,
)
_CAPTION_END = re.compile(
    # "… (AP Photo/Ada Example)", "… Photo: Ada Example/Agency", "… /Getty Images"
    r"(?:[(\[](?:(?:ap|afp|epa|reuters)\s(?:photo|image|file)|(?:file\s)?(?:photo|image|picture)\s?(?:by\b|:|via\b|courtesy\b)|"
    r"(?:getty|handout)\b)[^()\[\]]{0,90}[)\]]|(?-i:\b(?:Photo(?:graph)?|Picture|Image)\s?:\s?[A-Z][^.:]{1,60})|/\s?getty(?:\simages)?)\.?\Z",
    re.IGNORECASE,
)
_CAPTION_MIDDLE = re.compile(
    # "… in this undated file photo.", "… are seen in this satellite image …". Reporters write of "a
    # satellite image" or "a video still being verified", too.
    r"\bin\s(?:this\s(?:undated\s|still\s)?(?:file|handout|undated|archive|satellite|video|screen)\s?"
    r"(?:photo(?:graph)?|image|picture|frame|grab|still(?=\s(?:from|image|issued|made|obtained|provided|released|taken)\b|\W*\Z|[^\w\s]))|"
    r"an?\s(?:undated\s)?(?:file|handout|undated)\s?(?:photo(?:graph)?|image|picture))\b",
    re.IGNORECASE,
)
_FULL_STOP = re.compile(r"[.…。।۔]['\"”’»)\]]*\Z")

Span = tuple[int, int]


def clean(article: Article) -> CleanText:
    """Cut an article into paragraphs and take out what is not reporting.

    Blank lines separate the paragraphs of plain text; where there are none, each line is one. The
    headline is the first kept paragraph when others follow it and it does not end in a full stop
    (in HTML: the heading that is marked as one). An article of which nothing is kept is valid.

    Raises:
        EmptyInput: nothing but white space, or HTML without visible text.
    """
    if article.format == "html":
        return _clean_html(article)
    if article.format == "paragraphs":
        return _clean_paragraphs(article)
    text = article.text.removeprefix(BYTE_ORDER_MARK)
    return _clean_spans(article, text, paragraph_spans(text))


def paragraph_spans(text: str) -> list[Span]:
    """(start, end) of each paragraph, without the white space around it, in order.

    Lines end where ``str.splitlines`` ends them: CR LF, CR, LF, NEL, U+2028, U+2029 and the like.
    """
    blocks: list[Span] = []
    lines: list[Span] = []
    is_open = False
    for start, line in _lines(text):
        stripped = line.strip()
        if not stripped:
            is_open = False
            continue
        first = start + len(line) - len(line.lstrip())
        span = (first, first + len(stripped))
        lines.append(span)
        if is_open:
            blocks[-1] = (blocks[-1][0], span[1])
        else:
            blocks.append(span)
        is_open = True
    return lines if len(blocks) == 1 else blocks


def is_caption(text: str) -> bool:
    """Whether a paragraph is certainly the text under a picture."""
    if len(text) > _LONGEST_CAPTION:
        return False
    return bool(
        _CAPTION_BEGINNING.match(text) or _CAPTION_MIDDLE.search(text) or _CAPTION_END.search(text)
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.splitlines(keepends=True):
        yield start, line
        start += len(line)


def _clean_paragraphs(article: Article) -> CleanText:
    """Each paragraph is taken as one, whatever line breaks it holds."""
    first, *others = article.paragraphs or ("",)
    items = [first.removeprefix(BYTE_ORDER_MARK), *others]
    texts = [text for item in items if (text := item.strip())]
    return _clean_spans(article, PARAGRAPH_BREAK.join(texts), _joined(texts), is_extracted=True)


def _clean_spans(
    article: Article, text: str, spans: Sequence[Span], *, is_extracted: bool = False
) -> CleanText:
    if not spans:
        raise EmptyInput(
            f"article {article.id!r}: nothing but white space; an article needs some text"
        )
    paragraphs = [text[start:end] for start, end in spans]
    kinds: list[Kind] = ["caption" if is_caption(item) else "body" for item in paragraphs]
    return _assemble(text, spans, kinds, drop_reasons(paragraphs), is_extracted=is_extracted)


def _joined(texts: Sequence[str]) -> list[Span]:
    """Where each text stands once they are joined by a blank line."""
    spans: list[Span] = []
    start = 0
    for text in texts:
        spans.append((start, start + len(text)))
        start += len(text) + len(PARAGRAPH_BREAK)
    return spans


def _clean_html(article: Article) -> CleanText:
    from tocsin_models.markup import extract  # lxml and trafilatura take 0.3 s to import

    blocks = extract(article.text.removeprefix(BYTE_ORDER_MARK))
    if not blocks:
        raise EmptyInput(
            f"article {article.id!r}: HTML without visible text; save the page after it has loaded"
        )
    texts = [block.text for block in blocks]
    kinds: list[Kind] = [
        "caption" if block.kind == "body" and is_caption(block.text) else block.kind
        for block in blocks
    ]
    reasons = drop_reasons(
        texts,
        headings=frozenset(index for index, block in enumerate(blocks) if block.is_heading),
        items=frozenset(index for index, block in enumerate(blocks) if block.is_item),
    )
    return _assemble(PARAGRAPH_BREAK.join(texts), _joined(texts), kinds, reasons, is_extracted=True)


def _assemble(
    text: str,
    spans: Sequence[Span],
    kinds: Sequence[Kind],
    reasons: Sequence[str | None],
    *,
    is_extracted: bool = False,
) -> CleanText:
    paragraphs: list[Paragraph] = []
    dropped: list[Dropped] = []
    for (start, end), kind, reason in zip(spans, kinds, reasons, strict=True):
        # A caption stays even where it looks like a link ("Photo: …"); a headline always. The name
        # of a photographer alone is no caption.
        is_kept = kind == "headline" or (kind == "caption" and reason != "image credit")
        if reason is None or is_kept:
            paragraphs.append(Paragraph(text=text[start:end], start=start, end=end, kind=kind))
        else:
            dropped.append(Dropped(text=text[start:end], start=start, end=end, reason=reason))
    if len(paragraphs) > 1 and not any(item.kind == "headline" for item in paragraphs):
        first = paragraphs[0]
        if first.kind == "body" and not _FULL_STOP.search(first.text[-12:]):
            paragraphs[0] = Paragraph(
                text=first.text, start=first.start, end=first.end, kind="headline"
            )
    return CleanText(
        text=text,
        is_extracted=is_extracted,
        paragraphs=tuple(paragraphs),
        dropped=tuple(dropped),
    )
