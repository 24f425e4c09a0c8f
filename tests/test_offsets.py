"""Receipts: every sentence of a summary stands in the text where the record says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import KeywordClassifier

from tocsin_models.analyse import Options, analyse_many
from tocsin_models.errors import EmptyInput
from tocsin_models.records import Article
from tocsin_models.styles import STYLES
from tocsin_models.summariser import ExtractiveSummariser, load_summariser

# What moves or counts characters somewhere on the way: datelines, marks, prompts, line ends of all
# kinds, characters of two code units, marks that combine, what cannot be encoded at all.
PIECES = [
    *("VESSALY (EP) — ", "(CNN)", "port maren , odrenia ( cnn ) -- ", "GENEVA, 3 March - "),
    *("“We will burn the port. ", "Nobody stops us.” ", '" we won . ', "He denied it. "),
    *("The army fired nine rockets. ", "(Reporting by Ada Example) ", "Share this article"),
    *("\n\n", "\r\n", "\u2028", "\x85", "\x0c", "\u00a0", "\u3000", "\ufeff", "\u200b", "\t"),
    *("😀", "e\u0301", "\ud800", "İ", "ﬁ", "…", "<p>", "&amp;", "\x00", "—", ". ", "A. "),
]
TEXTS = st.text(max_size=200) | st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(), max_size=5), max_size=30
).map("".join)


@pytest.fixture(scope="module")
def summariser() -> ExtractiveSummariser:
    return load_summariser(device="cpu", threads=1)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TEXTS, min_size=1, max_size=4),
    st.sampled_from(list(STYLES)),
    st.none() | st.integers(1, 9),
    st.sampled_from([(), ("claim",)]),
)
def test_whatever_the_text_what_is_quoted_stands_where_the_record_says(
    summariser: ExtractiveSummariser,
    texts: list[str],
    style: str,
    max_sentences: int | None,
    focus: tuple[str, ...],
) -> None:
    # An editor prints by these offsets. One off, and the quotation is cut or begins too early.
    options = Options(style=style, max_sentences=max_sentences, focus=focus)  # type: ignore[arg-type]
    articles = [Article(id=str(number), text=text) for number, text in enumerate(texts)]
    found = analyse_many(articles, KeywordClassifier(), summariser, options)
    for article, answer in zip(articles, found, strict=True):
        if isinstance(answer, EmptyInput):
            assert not article.text.removeprefix("\ufeff").strip()
            continue
        assert not isinstance(answer, Exception)
        assert answer.id == article.id
        source, summary = answer.source.text, answer.summary
        assert summary is not None
        assert bool(summary.sentences) == (summary.reason is None)
        for sentence in summary.sentences:
            assert source[sentence.start : sentence.end] == sentence.text
            assert sentence.text == sentence.text.strip() != ""
            passage = answer.passages[sentence.passage]
            assert passage.start <= sentence.start < sentence.end <= passage.end
        for passage in answer.passages:
            assert source[passage.start : passage.end] == passage.text
