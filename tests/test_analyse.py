"""The main path with the embedded models: offsets, neighbours, refusals."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import KeywordClassifier, LeadSummariser

import tocsin_models
from tocsin_models.analyse import Options, analyse, analyse_many
from tocsin_models.classifier import EncoderClassifier, TextWindow, load_classifier
from tocsin_models.errors import ConfigError, EmptyInput, LanguageRefused
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


# What a caller may ask for


def test_labels_asked_for_are_the_only_ones_spoken_of() -> None:
    article = Article(id="a", text="The envoy vowed to return for talks.\n\nHe denied it.")
    options = Options(labels=("diplomacy", "claim"))
    answer = analyse(article, KeywordClassifier(), LeadSummariser(), options)
    check(answer, article.text)
    record = answer.to_record()
    assert [list(passage["scores"]) for passage in record["passages"]] == [
        ["claim", "diplomacy"]
    ] * 2
    assert record["model"]["classifier"]["thresholds"] == {"claim": 0.5, "diplomacy": 0.5}
    assert set(record["labels"]) == {"claim", "diplomacy"}
    # The rest of the answer is as if nobody had asked.
    whole = analyse(article, KeywordClassifier(), LeadSummariser()).to_record()
    assert record["summary"] == whole["summary"]
    for chosen, passage in zip(record["passages"], whole["passages"], strict=True):
        assert chosen["scores"].items() <= passage["scores"].items()


def test_a_caller_s_threshold_decides_and_is_in_the_answer() -> None:
    # Receipts: who reads the record must be able to check each label against its threshold.
    article = Article(id="a", text="The envoy vowed to return for talks.")
    options = Options(thresholds={"threat": 0.95, "claim": 0.1})
    record = analyse(article, KeywordClassifier(), None, options).to_record()
    assert record["passages"][0]["labels"] == ["claim", "diplomacy"]
    assert record["model"]["classifier"]["thresholds"] == {
        "claim": 0.1,
        "threat": 0.95,
        "retaliation": 0.5,
        "diplomacy": 0.5,
    }
    assert record["model"]["classifier"]["revision"] == KeywordClassifier().info.revision


@pytest.mark.parametrize("limit", [0, 1])
def test_thresholds_may_be_0_and_1(limit: int) -> None:
    article = Article(id="a", text="He denied it.")
    options = Options(thresholds={"claim": limit})
    answer = analyse(article, KeywordClassifier(), None, options)
    assert ("claim" in answer.passages[0].labels) == (limit == 0)


def test_what_the_classifier_does_not_have_is_refused_all_at_once() -> None:
    options = Options(
        labels=("flood", "claim"),
        thresholds={"storm": 0.5, "claim": 1.5, "threat": -0.1, "diplomacy": float("nan")},
    )
    with pytest.raises(ConfigError) as caught:
        analyse_many([Article(id="a", text="He denied it.")], KeywordClassifier(), None, options)
    words = [problem.split()[:2] for problem in caught.value.problems]
    assert words == [
        ["labels:", "'flood'"],
        ["thresholds:", "'storm'"],
        ["thresholds:", "claim"],
        ["thresholds:", "threat"],
        ["thresholds:", "diplomacy"],
    ]


def test_wrong_options_cost_no_inference() -> None:
    # They are the same for every article, and scoring an archive takes hours.
    classifier = KeywordClassifier()
    with pytest.raises(ConfigError):
        analyse_many(
            [Article(id="a", text="He denied it.")], classifier, None, Options(labels=("flood",))
        )
    assert classifier.calls == []


def test_paragraphs_read_as_the_same_text_does(
    classifier: EncoderClassifier, summariser: ExtractiveSummariser
) -> None:
    # A content system that keeps paragraphs must not have to guess how to join them.
    paragraphs = (
        "Army shells port",
        "The army denied shelling the port,\nwitnesses said, and vowed to strike it again.",
        "Share this article",
        "The governor called for talks under an envoy of the neighbouring state.",
    )
    whole = Article(id="a", text="\n\n".join(paragraphs))
    parts = Article(id="a", format="paragraphs", paragraphs=paragraphs)
    record = analyse(parts, classifier, summariser).to_record()
    check(analyse(parts, classifier, summariser), "")
    assert record.pop("text") == whole.text
    assert record == analyse(whole, classifier, summariser).to_record()


def test_only_a_summary_says_what_its_offsets_point_into() -> None:
    parts = Article(id="a", format="paragraphs", paragraphs=(" He denied it. ", "She did not."))
    [answer] = analyse_many([parts], None, LeadSummariser())
    assert isinstance(answer, Analysis)
    record = answer.to_record()
    jsonschema.validate(record, SCHEMA)
    assert set(record) == {"id", "text", "summary", "model"}
    assert record["text"] == "He denied it.\n\nShe did not."
    for sentence in record["summary"]["sentences"]:
        assert record["text"][sentence["start"] : sentence["end"]] == sentence["text"]
    [answer] = analyse_many([Article(id="a", text="He denied it.")], None, LeadSummariser())
    assert isinstance(answer, Analysis)
    assert "text" not in answer.to_record()


def test_the_three_steps_of_scoring_are_scoring(
    repository: Path, classifier: EncoderClassifier
) -> None:
    # The service takes them one by one, in any order and company: a score must be the same number.
    texts = [article.text for article in corpus_articles(repository)[:4]]  # long: several windows
    texts += [line for text in texts for line in text.split("\r\n\r\n")]
    whole = classifier.score(texts)
    windows = classifier.cut(texts)
    assert max(whole.windows) > 1
    assert [window.owner for window in windows] == sorted(window.owner for window in windows)
    assert all(len(window.ids) <= window.length <= classifier.max_tokens for window in windows)
    alone = np.concatenate([classifier.run([window]) for window in windows])
    for probabilities in (alone, _in_mixed_company(classifier, windows)):
        found = classifier.gather(windows, probabilities)
        assert found.windows == whole.windows
        assert np.array_equal(found.probabilities, whole.probabilities)


def _in_mixed_company(
    classifier: EncoderClassifier, windows: list[TextWindow]
) -> npt.NDArray[np.float32]:
    """Probabilities from calls of seven windows of a length, the last ones first."""
    found = np.zeros((len(windows), len(classifier.labels)), np.float32)
    for length in {window.length for window in windows}:
        members = [i for i, window in enumerate(windows) if window.length == length][::-1]
        for start in range(0, len(members), 7):
            batch = members[start : start + 7]
            found[batch] = classifier.run([windows[index] for index in batch])
    return found


def test_no_texts_have_no_scores(classifier: EncoderClassifier) -> None:
    # An article of boilerplate, or a request whose passages are all refused.
    assert classifier.cut([]) == []
    found = classifier.gather([], np.zeros((0, len(classifier.labels)), np.float32))
    assert found.windows == ()
    assert found.probabilities.shape == (0, len(classifier.labels))
