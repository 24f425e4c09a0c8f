"""Plain text into paragraphs: nothing is lost, every offset is true, captions are marked."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin_models.cleaning import clean
from tocsin_models.errors import EmptyInput
from tocsin_models.records import Article, CleanText, Dropped, Paragraph

CHUNKS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        (
            "\r\n",
            "\n",
            "\r",
            "\n\n",
            "\r\n \r\n",
            "\x85",
            "\u2028",
            "\u2029\u2029",
            "\x0c",
            "\x1c",
            "\ufeff",
            "e\u0301\u0323",
            "\u05e9\u05dc\u05d5\u05dd",
            "\u202e\u0627\u0644",
            "\U0001f6a8",
            "\ud800",
            "\x00",
            "Share this article",
            "Read more: a link",
            "Background",
            "The army denied it. ",
        )
    ),
)
TEXTS = st.builds(
    lambda chunks, times: ("".join(chunks) * times)[:200_000],
    st.lists(CHUNKS, min_size=1, max_size=12),
    st.sampled_from((1, 1, 1, 2, 5, 4_000)),
)


def read(text: str) -> CleanText:
    return clean(Article(id="a", text=text))


def kinds(text: str) -> list[tuple[str, str]]:
    return [(item.kind, item.text) for item in read(text).paragraphs]


@settings(deadline=None, max_examples=200)
@given(TEXTS)
@example("\ufeff\ufeffa")
@example("a\r\n\r\nb\rc")
def test_every_visible_character_is_in_exactly_one_paragraph(text: str) -> None:
    # Design, rule 2, "nothing silent", and rule 3, receipts: text[start:end] is what was read.
    expected = text.removeprefix("\ufeff")
    if not expected.strip():
        with pytest.raises(EmptyInput):
            read(text)
        return
    cleaned = read(text)
    assert cleaned.text == expected
    assert not cleaned.is_extracted
    items: list[Paragraph | Dropped] = sorted(
        [*cleaned.paragraphs, *cleaned.dropped], key=lambda item: item.start
    )
    for item in items:
        assert expected[item.start : item.end] == item.text == item.text.strip() != ""
    assert all(left.end <= right.start for left, right in pairwise(items))
    edges = [0, *(edge for item in items for edge in (item.start, item.end)), len(expected)]
    gaps = [expected[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    assert not "".join(gaps).strip()
    for kept in (cleaned.paragraphs, cleaned.dropped):
        assert [item.start for item in kept] == sorted(item.start for item in kept)


@pytest.mark.parametrize(
    "blank", ["\n\n", "\r\n\r\n", "\r\r", "\n \t\n", "\x85\x85", "\u2028\u2028"]
)
def test_blank_lines_separate_paragraphs_whatever_ends_a_line(blank: str) -> None:
    # Hard-wrapped wire copy: a single line end inside a paragraph is no border.
    found = read(f"One line\nand another.{blank}Two.").paragraphs
    assert [item.text for item in found] == ["One line\nand another.", "Two."]


def test_without_blank_lines_each_line_is_a_paragraph() -> None:
    found = read("\n\nOne.\r\nTwo.\nThree.\n\n").paragraphs
    assert [item.text for item in found] == ["One.", "Two.", "Three."]


def test_a_byte_order_mark_is_not_counted() -> None:
    # The offsets of the same file with and without the mark have to agree.
    assert read("\ufeffOne.") == read("One.")


def test_the_headline_is_the_first_kept_line_without_a_full_stop() -> None:
    assert kinds("Army hits port\n\nThe army said it.")[0] == ("headline", "Army hits port")
    assert kinds("What does the brigade want?\n\nIt wants land.")[0][0] == "headline"
    # A first line of navigation is not what the paper printed on top.
    assert kinds("Skip to content\n\nArmy hits port\n\nIt said so.")[0][0] == "headline"


@pytest.mark.parametrize("first", ["The army struck.", "“We will strike.”", "They waited…"])
def test_a_sentence_in_the_first_place_is_body(first: str) -> None:
    # The summariser never quotes a headline: a lead taken for one would be lost to it.
    assert kinds(f"{first}\n\nThe army said it.")[0] == ("body", first)


def test_a_lone_paragraph_is_body() -> None:
    # Rows of `tocsin score` are often one passage: nothing would be left to summarise.
    assert kinds("Army hits port") == [("body", "Army hits port")]


@pytest.mark.parametrize(
    "caption",
    [
        "Caption: Smoke rises over Mina Saif.",
        "FILE - A tanker leaves Mina Saif on May 3.",
        "FILE PHOTO: A tanker leaves Mina Saif.",
        "Photo: Smoke rises over Mina Saif.",
        "Smoke rises over Mina Saif on Monday. (AP Photo/Ada Example)",
        "Smoke rises over Mina Saif. Photo: Ada Example/Agency",
        "A tanker leaves Mina Saif in this undated file photo.",
        "A tanker leaves Mina Saif in an undated handout photograph.",
        "Smoke is seen over Mina Saif in this satellite image from May 3.",
        "A tanker leaves Mina Saif in this video still from May 3.",
        "A tanker leaves Mina Saif in this video still.",
    ],
)
def test_captions_are_kept_and_marked(caption: str) -> None:
    # Codebook, "Boilerplate": captions are passages; the summary must not quote them.
    assert ("caption", caption) in kinds(f"Head\n\nThe army said it.\n\n{caption}\n\nIt did.")


@pytest.mark.parametrize(
    "body",
    [
        "The file on the raid was closed.",
        "The photo shows a burning tanker, the army said.",
        "Photographs were published by the ministry on Monday.",
        "Nine burnt trucks can be seen in a satellite image that the ministry released on Monday.",
        "The general vowed in a video still being verified to march on Mina Saif.",
        "The general vowed in this video still being verified to march on Mina Saif.",
        "He filed the picture: it was never printed, he said, and nobody knew why.",
    ],
)
def test_reporting_about_pictures_is_body(body: str) -> None:
    assert ("body", body) in kinds(f"Head\n\nThe army said it.\n\n{body}\n\nIt did.")


def test_the_name_of_a_photographer_alone_is_dropped() -> None:
    cleaned = read("Head\n\nThe army said it.\n\nPhoto: Ada Example/Agency\n\nIt did.")
    assert [item.reason for item in cleaned.dropped] == ["image credit"]


def test_an_article_of_which_nothing_is_kept_is_valid() -> None:
    # Design: "an article with no passage left is a valid answer with a reason".
    cleaned = read("Share this article\n\nAdvertisement")
    assert cleaned.paragraphs == ()
    assert len(cleaned.dropped) == 2


@pytest.mark.parametrize("text", ["", " \n\t\r\n", "\ufeff", "\u3000\u2028"])
def test_only_white_space_is_refused(text: str) -> None:
    with pytest.raises(EmptyInput, match="article 'a': nothing but white space"):
        read(text)


# Paragraphs that come one by one


def read_paragraphs(*paragraphs: str) -> CleanText:
    return clean(Article(id="a", format="paragraphs", paragraphs=paragraphs))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.lists(CHUNKS.filter(lambda chunk: "\ufeff" not in chunk), max_size=6), max_size=8)
)
def test_each_paragraph_that_holds_something_is_one(chunks: list[list[str]]) -> None:
    # Whoever sends paragraphs has cut them already: line breaks inside are not ours to judge.
    paragraphs = ["".join(parts) for parts in chunks]
    texts = [text for item in paragraphs if (text := item.strip())]
    if not texts:
        with pytest.raises(EmptyInput, match="article 'a': nothing but white space"):
            read_paragraphs(*paragraphs)
        return
    cleaned = read_paragraphs(*paragraphs)
    assert cleaned.is_extracted  # the record must carry what the offsets point into
    items: list[Paragraph | Dropped] = sorted(
        [*cleaned.paragraphs, *cleaned.dropped], key=lambda item: item.start
    )
    assert [item.text for item in items] == texts
    for item in items:
        assert cleaned.text[item.start : item.end] == item.text
    assert cleaned.text == "\n\n".join(item.text for item in items)


def test_what_holds_of_text_holds_of_paragraphs() -> None:
    paragraphs = (
        "Army hits port",
        "Caption: Smoke rises over Mina Saif.",
        "The army said it.",
        "Share this article",
        "It did.",
    )
    parts, whole = read_paragraphs(*paragraphs), read("\n\n".join(paragraphs))
    assert parts.is_extracted
    assert not whole.is_extracted
    assert parts.text == whole.text
    assert parts.paragraphs == whole.paragraphs
    assert parts.dropped == whole.dropped


def test_a_lone_paragraph_with_line_breaks_stays_one() -> None:
    # The same as text would be three: there, lines without a blank one between are paragraphs.
    assert [item.text for item in read_paragraphs("One.\nTwo.\n\nThree.").paragraphs] == [
        "One.\nTwo.\n\nThree."
    ]


def test_a_byte_order_mark_is_not_counted_in_paragraphs_either() -> None:
    # A file that was cut into paragraphs by somebody else still begins with its mark.
    assert read_paragraphs("\ufeffOne.", "Two.") == read_paragraphs("One.", "Two.")
    with pytest.raises(EmptyInput):
        read_paragraphs("\ufeff")
