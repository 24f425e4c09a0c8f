"""The main path with the embedded models: offsets, neighbours, refusals."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import KeywordClassifier, LeadSummariser

import tocsin_models
from tocsin_models.analyse import Options, analyse, analyse_many
from tocsin_models.classifier import EncoderClassifier, load_classifier
from tocsin_models.errors import EmptyInput, LanguageRefused
from tocsin_models.records import Analysis, Article
from tocsin_models.summariser import ExtractiveSummariser, load_summariser

SCHEMA = json.loads((Path(tocsin_models.__file__).parent / "record.schema.json").read_text())

# What real copy holds, and what breaks offsets: line ends, combining marks, right-to-left text.
PIECES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["\r\n\r\n", "\r", "\n\n", "\u2028", " \n \n", "\ufeff", "e\u0301", "\u202e"]),
    st.sampled_from(["قال الجيش إنه سيرد.", "הצבא הכחיש.", "The army denied it. We will answer."]),
)


@pytest.fixture(scope="module")
def classifier() -> EncoderClassifier:
    return load_classifier(device="cpu")


@pytest.fixture(scope="module")
def summariser() -> ExtractiveSummariser:
    return load_summariser(device="cpu")


def check(analysis: Analysis, text: str) -> None:
    record = analysis.to_record()
    jsonschema.validate(record, SCHEMA)
    # One byte-order mark in front is not counted (design, "The records"); a second one is text.
    whole = record.get("text", text.removeprefix("\ufeff"))
    spans = [*record["passages"], *record["dropped"], *record["summary"]["sentences"]]
    assert all(whole[span["start"] : span["end"]] == span["text"] for span in spans)
    for sentence in record["summary"]["sentences"]:
        passage = record["passages"][sentence["passage"]]
        assert passage["start"] <= sentence["start"] < sentence["end"] <= passage["end"]


@settings(deadline=None, max_examples=100)
@given(st.lists(PIECES, min_size=1, max_size=30), st.integers(1, 2000))
@example(["\ufeff", "\ufeff", "0"], 1)
def test_offsets_are_true_for_any_text(pieces: list[str], times: int) -> None:
    # A receipt that points one character off is no receipt. Models of ten lines, so that
    # thousands of texts of up to 200,000 characters can be tried.
    text = ("".join(pieces) * times)[:200_000]
    if not text.removeprefix("\ufeff").strip():
        return
    answer = analyse(Article(id="a", text=text), KeywordClassifier(), LeadSummariser())
    check(answer, text)


@settings(deadline=None, max_examples=30)
@given(st.lists(PIECES, min_size=1, max_size=20))
def test_offsets_are_true_with_the_embedded_models_too(
    classifier: EncoderClassifier, summariser: ExtractiveSummariser, pieces: list[str]
) -> None:
    text = "".join(pieces)
    if text.removeprefix("\ufeff").strip():
        check(analyse(Article(id="a", text=text), classifier, summariser), text)


def corpus_articles(repository: Path) -> list[Article]:
    rows = (repository / "training" / "corpus" / "A.jsonl").read_text("utf-8").splitlines()
    return [
        Article(id=row["id"], text="\r\n\r\n".join(passage["text"] for passage in row["passages"]))
        for row in map(json.loads, rows)
    ]


def test_articles_of_the_project_give_valid_records(
    repository: Path, classifier: EncoderClassifier, summariser: ExtractiveSummariser
) -> None:
    articles = corpus_articles(repository)
    answers = analyse_many(articles, classifier, summariser)
    for article, answer in zip(articles, answers, strict=True):
        assert isinstance(answer, Analysis)
        check(answer, article.text)
        assert answer.summary is not None
        assert answer.summary.sentences


def test_an_article_reads_the_same_alone_and_among_others(
    repository: Path, classifier: EncoderClassifier, summariser: ExtractiveSummariser
) -> None:
    # The batch scorer and an editor's screen must show the same numbers.
    articles = corpus_articles(repository)[:6]
    together = analyse_many(articles, classifier, summariser)
    assert together == [analyse(article, classifier, summariser) for article in articles]


def test_a_refused_article_costs_its_neighbours_nothing() -> None:
    articles = [
        Article(id="1", text="The army denied it."),
        Article(id="2", text=" \n "),
        Article(id="3", text="An envoy vowed to return for talks."),
    ]
    first, second, third = analyse_many(articles, KeywordClassifier(), LeadSummariser())
    assert isinstance(first, Analysis)
    assert isinstance(second, EmptyInput)
    assert isinstance(third, Analysis)
    assert first.passages[0].labels == ("claim",)
    assert third.passages[0].labels == ("threat", "diplomacy")


def test_html_carries_its_extracted_text(
    classifier: EncoderClassifier, summariser: ExtractiveSummariser
) -> None:
    page = (
        "<html><body><nav>Home</nav><article><h1>Army shells port</h1>"
        "<p>The army &amp; navy shelled the port of Sel on Monday, witnesses said, and vowed to "
        "strike it again unless the governor leaves the town by Friday.</p>"
        "<p>The governor denied holding any prisoners and called for talks under the envoy of a "
        "neighbouring state, which has offered to send observers to the harbour.</p>"
        "</article></body></html>"
    )
    answer = analyse(Article(id="p", text=page, format="html"), classifier, summariser)
    check(answer, "")
    record = answer.to_record()
    assert "army & navy" in record["text"]
    assert record["passages"][0]["kind"] == "headline"


FRENCH = (
    "Le ministère a démenti avoir armé le groupe et a accusé l'armée d'avoir bombardé le port. "
    "Les pourparlers reprendront lundi dans la capitale, selon un porte-parole du gouvernement."
)


def test_another_language_is_warned_of_and_strictly_refused() -> None:
    article = Article(id="fr", text=FRENCH)
    answer = analyse(article, KeywordClassifier(), LeadSummariser())
    assert answer.language == "fr"
    assert "French" in answer.warnings[0]
    with pytest.raises(LanguageRefused):
        analyse(article, KeywordClassifier(), LeadSummariser(), Options(strict_language=True))


def test_nothing_but_boilerplate_is_an_answer_with_a_reason() -> None:
    answer = analyse(Article(id="b", text="Share this article"), KeywordClassifier(), None)
    assert answer.passages == ()
    assert answer.reason
    assert answer.source.dropped[0].reason == "share prompt"
