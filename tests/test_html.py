"""HTML into blocks: the article and nothing that a reader of the page would not see."""

import logging

import pytest

from tocsin_models.cleaning import clean
from tocsin_models.errors import EmptyInput
from tocsin_models.records import Article, CleanText, Dropped, Paragraph

PAGE = """<!doctype html><html><head><title>Army of Ardesh hits depot | Example News</title>
<style>p { color: red }</style><script>var secret = "SCRIPTED";</script></head><body>
<nav><a href="/">Home</a> <a href="/w">World</a></nav>
<header><h1>Army of Ardesh hits depot</h1></header>
<article><p>The raid &quot;answers&quot; Sunday&#8217;s shelling, a general said.</p>
<figure><img src="a.jpg" alt="x"><figcaption>Smoke rises over Mina Saif.
<span>Photo: Ada Example/Agency</span></figcaption></figure>
<p>The army&nbsp;said on Monday that it had struck a depot &amp; a bridge near the river,<br>and
that it would do so again if the shelling of the town went on for another day.</p>
<h2>The river</h2>
<p>Both sides have fought <b>for years</b> over the <a href="x">river</a>, and talks stalled.</p>
<p style="display: none">HIDDEN by its style although it is a paragraph of some length.</p>
<p hidden>HIDDEN by its attribute although it is a paragraph of some length.</p>
<template><p>TEMPLATE text that no browser shows to anybody.</p></template>
<blockquote><p>“We will burn it.”</p></blockquote>
<ul><li>The bridge</li><li>One depot was hit</li></ul>
<table><tr><th>Year</th><th>Raids</th></tr><tr><td>2031</td><td>12</td></tr></table>
<p>Share this article</p><!-- COMMENTED -->
</article><footer>FOOTER of the page</footer></body></html>"""


def read(html: str) -> CleanText:
    return clean(Article(id="a", text=html, format="html"))


def kept(html: str) -> list[tuple[str, str]]:
    return [(item.kind, item.text) for item in read(html).paragraphs]


def test_headline_captions_and_crossheads_are_told_apart() -> None:
    # trafilatura alone drops the headline and the caption; the codebook wants both.
    assert kept(PAGE)[:4] == [
        ("headline", "Army of Ardesh hits depot"),
        ("body", 'The raid "answers" Sunday’s shelling, a general said.'),
        ("caption", "Smoke rises over Mina Saif. Photo: Ada Example/Agency"),
        (
            "body",
            "The army said on Monday that it had struck a depot & a bridge near the river,\nand "
            "that it would do so again if the shelling of the town went on for another day.",
        ),
    ]
    assert [(item.reason, item.text) for item in read(PAGE).dropped] == [
        ("crosshead", "The river"),
        ("share prompt", "Share this article"),
    ]


def test_quotations_lists_and_tables_are_paragraphs() -> None:
    texts = [text for _, text in kept(PAGE)]
    for text in ("“We will burn it.”", "The bridge", "One depot was hit", "2031; 12"):
        assert text in texts


def test_what_no_reader_sees_never_appears() -> None:
    # Hidden text is how a page smuggles words into an analysis.
    text = read(PAGE).text
    for word in (
        "SCRIPTED",
        "HIDDEN",
        "TEMPLATE",
        "COMMENTED",
        "FOOTER",
        "color",
        "World",
        "<",
        "&amp",
    ):
        assert word not in text


def test_offsets_point_into_the_extracted_text() -> None:
    # The record carries this text, because the offsets would point at tags otherwise.
    cleaned = read(PAGE)
    assert cleaned.is_extracted
    items: list[Paragraph | Dropped] = sorted(
        [*cleaned.paragraphs, *cleaned.dropped], key=lambda item: item.start
    )
    assert cleaned.text == "\n\n".join(item.text for item in items)
    for item in items:
        assert cleaned.text[item.start : item.end] == item.text


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>The army said it.</p>", ["The army said it."]),
        ("no tags at all &amp; a sign", ["no tags at all & a sign"]),
        # Old pages separate paragraphs by two line breaks only.
        ("<body>One said it.<br><br>Two denied it.<br>So did three.", None),
        # Short pages in a form: trafilatura runs them into one paragraph.
        ("<form><div><p>One said <i>it</i>.<p>Two denied it.</div></form>", None),
        # A declared encoding in text that is decoded already.
        (
            "<?xml version='1.0' encoding='latin-1'?><html><body><p>Café.</p></body></html>",
            ["Café."],
        ),
    ],
)
def test_pages_without_an_article_are_read_all_the_same(
    html: str, expected: list[str] | None
) -> None:
    texts = [text for _, text in kept(html)]
    assert texts == expected or (
        expected is None and texts[0].startswith("One said") and texts[1].startswith("Two denied")
    )


@pytest.mark.parametrize(
    "html",
    [
        "<font>word " * 3_000,
        "<nav>Home<p>The army said it.",
        "<p>said \ud800\x00 it",
        "<ul>" * 900 + "<li>said it",
        "<table><tr><td>said it<figcaption>said",
        "<figure><figcaption>said it",
        "<h1></h1><title></title><p>said it",
        "".join(chr(code) for code in range(0xE000, 0xF900)) + " said it",
    ],
)
def test_broken_markup_is_read_or_refused_but_never_crashes(html: str) -> None:
    # Pages come from anywhere; a traceback over HTTP is a 500 that somebody is woken for.
    text = read(html).text
    assert "said" in text or "word" in text


@pytest.mark.parametrize(
    "html", ["", "<html><body><script>x()</script></body></html>", "<p hidden>x"]
)
def test_a_page_without_visible_text_is_refused(html: str) -> None:
    with pytest.raises(EmptyInput, match="HTML without visible text"):
        read(html)


def test_the_title_is_the_headline_where_there_is_no_heading() -> None:
    html = (
        f"<title>Army hits depot - Example News</title><p>{'The army said that it did. ' * 12}</p>"
    )
    assert kept(html)[0] == ("headline", "Army hits depot")


def test_nothing_of_the_page_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    # Design, rule 4: no text in logs. trafilatura logs pieces of what it discards.
    with caplog.at_level(logging.DEBUG):
        read(PAGE)
        read("<p>short")
    assert caplog.records == []
