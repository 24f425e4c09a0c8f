"""Lead-3, TextRank, LexRank and the oracle: what they choose, and what they never do."""

import socket
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_rouge import oracle_by_brute_force

from tocsin_eval.summary_baselines import BASELINES, MOST_AT_ONCE, LexRank, Oracle, TextRank
from tocsin_models.protocols import Limits, Summariser
from tocsin_models.records import Kind, Paragraph
from tocsin_models.sentences import split_sentences

TEXTS = (
    "Shells fell on the port of Dibbat before dawn, the harbour master said. Two cranes burned.",
    "The army of Sahlan denied shelling the port. It blamed the Sons of the Sabkha.",
    "A spokesman for the Sons of the Sabkha said the army had shelled the port of Dibbat.",
    "Bread is dearer. The port feeds the capital, and the army guards the port.",
)
ALL = [*BASELINES.items(), ("oracle", lambda: Oracle(("The army shelled the port.",)))]
EVERY = pytest.mark.parametrize("build", [build for _, build in ALL], ids=[name for name, _ in ALL])
Build = Callable[[], Summariser]


def article(
    texts: Sequence[str], kinds: Sequence[Kind] | None = None
) -> tuple[str, list[Paragraph]]:
    """The text and its paragraphs, a blank line apart."""
    everything: list[Kind] = ["body"] * len(texts)
    paragraphs = []
    start = 0
    for text, kind in zip(texts, kinds or everything, strict=True):
        paragraphs.append(Paragraph(text=text, start=start, end=start + len(text), kind=kind))
        start += len(text) + 2
    return "\n\n".join(texts), paragraphs


@EVERY
def test_each_sentence_stands_where_it_says_and_in_the_articles_order(build: Build) -> None:
    # Receipts are what an editor checks; a baseline without them could not be compared.
    text, paragraphs = article(TEXTS)
    summary = build().summarise(paragraphs, Limits())
    assert 0 < len(summary.sentences) <= 3
    assert [one.start for one in summary.sentences] == sorted(
        one.start for one in summary.sentences
    )
    for one in summary.sentences:
        assert text[one.start : one.end] == one.text
        assert paragraphs[one.passage].start <= one.start < one.end <= paragraphs[one.passage].end
        assert 0 <= one.score <= 1


@EVERY
def test_limits_hold(build: Build) -> None:
    _, paragraphs = article(TEXTS)
    assert len(build().summarise(paragraphs, Limits(max_sentences=1)).sentences) == 1
    short = build().summarise(paragraphs, Limits(max_sentences=5, max_words=16))
    assert 0 < len(short.text.split()) <= 16
    none = build().summarise(paragraphs, Limits(max_words=1))
    assert none.sentences == ()
    assert none.reason


@EVERY
def test_headline_and_caption_are_never_chosen(build: Build) -> None:
    # The headline would win every measure and is no summary.
    headline = "The army shelled the port."
    kinds: list[Kind] = ["headline", "body", "caption"]
    _, paragraphs = article([headline, TEXTS[0], headline], kinds)
    assert {one.passage for one in build().summarise(paragraphs, Limits()).sentences} == {1}
    _, paragraphs = article([headline, headline], ["headline", "caption"])
    nothing = build().summarise(paragraphs, Limits())
    assert nothing.sentences == ()
    assert nothing.reason


@EVERY
@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        [" \n "],
        ["* * *"],
        ["Troops left."],
        ["1914. 1918. 1939."],
        ["Troops left."] * 12,
        ["It was he. And so it is. That was not to be. Of the and in it."],
        ["Troops left.", "Envoys met."],
        ["停火。", "停火了。"],
        ["half of a pair \ud800 here. And \ud800 there."],
    ],
)
def test_degenerate_articles_give_a_summary_or_a_reason(build: Build, texts: list[str]) -> None:
    # LexRank divides by nought where no words are shared; warnings are errors here.
    text, paragraphs = article(texts)
    summary = build().summarise(paragraphs, Limits())
    assert bool(summary.sentences) != bool(summary.reason)
    assert all(text[one.start : one.end] == one.text for one in summary.sentences)


@given(st.lists(st.text(alphabet="ab .A1'-\n", max_size=40), max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_article_gives_the_same_summary_twice(texts: list[str]) -> None:
    _, paragraphs = article(texts)
    for build in BASELINES.values():
        assert build().summarise(paragraphs, Limits()) == build().summarise(paragraphs, Limits())


def test_lead_is_the_first_three_sentences() -> None:
    _, paragraphs = article(TEXTS)
    summary = BASELINES["lead-3"]().summarise(paragraphs, Limits())
    sentences = [text[start:end] for text in TEXTS for start, end in split_sentences(text)]
    assert [one.text for one in summary.sentences] == sentences[:3]


@pytest.mark.parametrize(("name", "build"), [("text_rank", TextRank), ("lex_rank", LexRank)])
def test_graph_baselines_choose_what_sumy_chooses(name: str, build: Build) -> None:
    # They are there to be comparable with everybody's TextRank and LexRank.
    import importlib
    import re

    from sumy.models.dom import ObjectDocumentModel, Sentence
    from sumy.models.dom import Paragraph as SumyParagraph
    from sumy.nlp.stemmers import Stemmer
    from sumy.utils import get_stop_words

    class Words:
        def to_words(self, text: str) -> list[str]:
            return re.findall(r"[A-Za-z]+", text)

    _, paragraphs = article(TEXTS)
    sentences = [text[start:end] for text in TEXTS for start, end in split_sentences(text)]
    module = importlib.import_module(f"sumy.summarizers.{name}")
    ranker = getattr(module, "".join(map(str.capitalize, name.split("_"))) + "Summarizer")(
        Stemmer("english")
    )
    ranker.stop_words = get_stop_words("english")
    document = ObjectDocumentModel([SumyParagraph([Sentence(one, Words()) for one in sentences])])
    for count in range(1, len(sentences)):
        found = build().summarise(paragraphs, Limits(max_sentences=count))
        assert [one.text for one in found.sentences] == [
            str(one) for one in ranker(document, count)
        ]


@pytest.mark.parametrize("build", [TextRank, LexRank])
def test_long_articles_are_read_to_their_end_in_bounded_time(build: Build) -> None:
    # sumy compares each sentence with each other: 5,000 would take five minutes.
    filler = [f"Mast {chr(97 + n % 26) * 3} stood {chr(97 + n // 26) * 3}." for n in range(600)]
    _, paragraphs = article([*filler, *TEXTS])
    assert len(filler) > 4 * MOST_AT_ONCE
    start = time.process_time()
    summary = build().summarise(paragraphs, Limits(max_sentences=3))
    assert len(summary.sentences) == 3
    assert time.process_time() - start < 60
    # Limits larger than what the last round holds are met too.
    assert len(build().summarise(paragraphs, Limits(max_sentences=590)).sentences) == 590


def test_the_oracle_is_the_greedy_choice_and_keeps_to_words() -> None:
    _, paragraphs = article(TEXTS)
    sentences = [text[start:end] for text in TEXTS for start, end in split_sentences(text)]
    reference = ["The army denied shelling the port.", "Two cranes burned at the port of Dibbat."]
    found = Oracle(reference).summarise(paragraphs, Limits())
    expected = oracle_by_brute_force(sentences, reference, 3)
    assert [one.text for one in found.sentences] == [sentences[index] for index in expected]
    short = Oracle(reference).summarise(paragraphs, Limits(max_words=12))
    assert [one.text for one in short.sentences] == [
        "Two cranes burned.",
        "The army of Sahlan denied shelling the port.",
    ]


def test_an_oracle_without_a_shared_word_says_so() -> None:
    _, paragraphs = article(TEXTS)
    for reference in ((), ("Quiet elsewhere",)):
        summary = Oracle(reference).summarise(paragraphs, Limits())
        assert summary.sentences == ()
        assert "reference" in (summary.reason or "")


@EVERY
def test_nothing_is_downloaded(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    # NLTK's tokenizer would ask for its data, and copy is confidential.
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("NLTK_DATA", "/nowhere")
    _, paragraphs = article(TEXTS)
    assert build().summarise(paragraphs, Limits()).sentences


def test_each_is_named_and_has_a_revision_of_its_own() -> None:
    # Cached scores are kept by revision: two that share one would overwrite each other.
    infos = [build().info for _, build in ALL]
    assert [info.name for info in infos] == ["lead-3", "textrank", "lexrank", "oracle"]
    assert len({info.revision for info in infos}) == 4
    assert all(info.revision.startswith("sha256:") for info in infos)
