"""HTML -> blocks of text with their kind. The only file that imports ``trafilatura`` and ``lxml``.

trafilatura finds the article in the page. Seen in version 2.3.1, and mended by preparing the tree:
it drops ``figcaption`` and an ``h1`` inside ``header`` (taken out before, put back after), runs
paragraphs that ``<br><br>`` separates into one (marked before), and keeps text with the attribute
``hidden``, in ``template`` and, on short pages, in ``nav`` (removed before). Nothing is fetched or
executed, and its log messages, which may quote the page, are off.
"""

import copy
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tocsin_models.records import Kind

for _library in ("trafilatura", "htmldate", "courlan", "justext", "charset_normalizer"):
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)

import lxml.etree  # noqa: E402 - the loggers come first
import lxml.html  # noqa: E402
import trafilatura  # noqa: E402
from trafilatura.settings import Document  # noqa: E402

_NEVER_READ = (
    "script",
    "style",
    "template",
    "noscript",
    "iframe",
    "object",
    "svg",
    "math",
    "canvas",
    "audio",
    "video",
    "select",
    "textarea",
    "button",
    "dialog",
)
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
# fmt: off
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "br", "center", "dd", "details",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main",
    "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td",
    "tfoot", "th", "thead", "tr", "ul",
))
# fmt: on
_NOT_THE_ARTICLE = ("nav", "footer")
# trafilatura copies the tree by recursion in C. Pages that never close <font> nest this deep,
# articles do not.
_MAX_DEPTH = 400
_EXTRACTED_BLOCKS = frozenset(("body", "div", "head", "item", "list", "p", "quote", "table"))
_SITE_NAME = re.compile(r"\s+(?:[|–—·»]|-)\s+[^|–—·»]{1,40}\Z")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LINE_BREAK = "\u2028"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph of the extracted text, white space collapsed; a line break (``<br>``) is LF.

    ``is_heading``: HTML marks it as a heading below the headline. ``is_item``: as the item of a
    list or the row of a table.
    """

    text: str
    kind: Kind = "body"
    is_heading: bool = False
    is_item: bool = False


class Marks(NamedTuple):
    """Private-use characters that the page does not contain: they pass through trafilatura."""

    opening: str
    closing: str
    paragraph: str


def extract(html: str) -> list[Block]:
    """The article of an HTML page: headline first, then paragraphs, list items and table rows.

    Where trafilatura finds no article, every visible block outside navigation is taken instead; a
    page without visible text gives an empty list.
    """
    # A ``nav`` that is never closed holds the whole page: then it is read all the same.
    return _extract(html, (*_NEVER_READ, *_NOT_THE_ARTICLE)) or _extract(html, _NEVER_READ)


def _extract(html: str, removed: Sequence[str]) -> list[Block]:
    tree = _parse(html)
    if tree is None:
        return []
    marks = _unused_marks(html)
    _remove_invisible(tree, frozenset(removed))
    headline = _headline(tree)
    _mark_captions(tree, marks)
    _mark_paragraph_breaks(tree, marks)
    found = _article(tree, marks)
    if len(found) <= 1:
        # On short pages trafilatura runs the whole page into one paragraph.
        blocks = [block for text in _visible_blocks(tree) for block in _split(text, marks)]
        if not found or _length(blocks) <= 2 * _length(found) + 100:
            found = blocks
    if headline and found:
        same = headline.casefold()
        found = [block for block in found if block.text.casefold() != same]
        found.insert(0, Block(text=headline, kind="headline"))
    return found


def _article(tree: Any, marks: Marks) -> list[Block]:
    """What trafilatura takes for the article; empty where it finds none or stumbles."""
    if _depth(tree) > _MAX_DEPTH:
        return []
    try:
        document = trafilatura.bare_extraction(
            # A copy: trafilatura empties the tree that it is given.
            copy.deepcopy(tree),
            include_comments=False,
            include_tables=True,
            with_metadata=False,
        )
    except (lxml.etree.LxmlError, ValueError, TypeError, AttributeError, RecursionError):
        # Broken markup that trafilatura stumbles over is still an article that somebody wants read.
        return []
    if not isinstance(document, Document):
        return []
    return list(_from_extracted(document.body, marks))


def _length(blocks: Sequence[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def _depth(tree: Any) -> int:
    depth = deepest = 0
    for event, _ in lxml.etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _unused_marks(html: str) -> Marks:
    free = [chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in html]
    return Marks(*(free[:3] if len(free) >= 3 else "\ue000\ue001\ue002"))


def _parse(html: str) -> Any:
    # Bytes, because lxml refuses text that declares an encoding; references are resolved while
    # parsing.
    data = _NOT_IN_XML.sub(" ", html).encode("utf-8")
    parser = lxml.html.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, no_network=True
    )
    try:
        return lxml.html.document_fromstring(data, parser=parser)
    except (lxml.etree.LxmlError, ValueError):
        return None


def _remove_invisible(tree: Any, removed: frozenset[str]) -> None:
    for element in list(tree.iter(lxml.etree.Element)):
        is_hidden = (
            element.tag in removed
            or element.get("hidden") is not None
            or element.get("aria-hidden") == "true"
            or _HIDDEN.search(element.get("style") or "")
        )
        if is_hidden and element.getparent() is not None:
            element.drop_tree()


def _headline(tree: Any) -> str:
    """The only first-level heading, else the page's title without the site's name; or nothing."""
    headings = [text for text in map(_text, tree.iter("h1")) if text]
    if len(set(headings)) == 1:
        return headings[0]
    title = tree.find(".//title")
    text = _SITE_NAME.sub("", _text(title)) if title is not None else ""
    return next((heading for heading in headings if heading.startswith(text) and text), text)


def _mark_captions(tree: Any, marks: Marks) -> None:
    """Turn every ``figcaption`` into a paragraph between two marks, outside its figure."""
    for caption in list(tree.iter("figcaption")):
        text = _text(caption)
        figure = next(caption.iterancestors("figure"), caption)
        if text and figure.getparent() is not None:
            paragraph = lxml.html.Element("p")
            paragraph.text = marks.opening + text + marks.closing
            paragraph.tail, figure.tail = figure.tail, None
            figure.addnext(paragraph)
        caption.drop_tree()


def _mark_paragraph_breaks(tree: Any, marks: Marks) -> None:
    """Put a mark behind every ``<br>`` that follows another at once: old pages' new paragraph."""
    for element in tree.iter("br"):
        before = element.getprevious()
        if before is not None and before.tag == "br" and not (before.tail or "").strip():
            element.tail = marks.paragraph + (element.tail or "")


def _from_extracted(element: Any, marks: Marks) -> Iterator[Block]:
    """Blocks of trafilatura's XML: head, p, quote, list, item, table, row, cell; inline: lb, hi.

    Text may stand directly in any of them, between the blocks.
    """
    inline = [element.text or ""]
    for child in element:
        if child.tag in _EXTRACTED_BLOCKS:
            yield from _split("".join(inline), marks)
            inline.clear()
            if child.tag == "table":
                for row in child.iter("row"):
                    cells = [_collapse(_inline(cell)) for cell in row.iter("cell")]
                    line = "; ".join(cell for cell in cells if cell)
                    yield from (replace(block, is_item=True) for block in _split(line, marks))
            elif child.tag == "list":
                yield from (replace(block, is_item=True) for block in _from_extracted(child, marks))
            else:
                yield from _from_extracted(child, marks)
        else:
            inline.append(_LINE_BREAK if child.tag == "lb" else _inline(child))
        inline.append(child.tail or "")
    yield from _split("".join(inline), marks, is_heading=element.tag == "head")


def _split(text: str, marks: Marks, *, is_heading: bool = False) -> Iterator[Block]:
    captions = f"{marks.opening}[^{marks.closing}]*{marks.closing}"
    for part in re.split(f"({captions})", text):
        kind: Kind = "caption" if part.startswith(marks.opening) else "body"
        text_alone = part.replace(marks.opening, "").replace(marks.closing, "")
        for paragraph in text_alone.split(marks.paragraph):
            collapsed = _collapse(paragraph)
            if collapsed:
                yield Block(text=collapsed, kind=kind, is_heading=is_heading)


def _inline(element: Any) -> str:
    parts: list[str] = [element.text or ""]
    for child in element:
        parts.append(_LINE_BREAK if child.tag == "lb" else _inline(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _visible_blocks(tree: Any) -> Iterator[str]:
    """Text of each block of the page, without recursion."""
    body = tree.find("body")
    parts: list[str] = []
    root = tree if body is None else body
    for event, element in lxml.etree.iterwalk(root, events=("start", "end")):
        if element.tag in _BLOCKS:
            yield "".join(parts)
            parts.clear()
        parts.append((element.text if event == "start" else element.tail) or "")
    yield "".join(parts)


def _text(element: Any) -> str:
    return _collapse(" ".join(element.itertext()))


def _collapse(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split(_LINE_BREAK))
    return "\n".join(line for line in lines if line)
