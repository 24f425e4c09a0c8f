"""Summaries with the embedded model: whole sentences, from everywhere, within the limits."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tocsin_models.cleaning import clean
from tocsin_models.manifest import EMBEDDED
from tocsin_models.protocols import Limits
from tocsin_models.records import Article, Paragraph
from tocsin_models.styles import STYLES
from tocsin_models.summariser import ExtractiveSummariser, _build, load_summariser
from tocsin_models.windows import cut_windows, to_arrays

FILLER = "The town was rebuilt over four summers with stone from the quarry above the river."


@pytest.fixture(scope="module")
def summariser() -> ExtractiveSummariser:
    return load_summariser(device="cpu")


def body(*texts: str) -> list[Paragraph]:
    return [Paragraph(text=text, start=0, end=len(text)) for text in texts]


def test_the_demo_article_is_told_in_its_own_words(
    repository: Path, summariser: ExtractiveSummariser
) -> None:
    text = (repository / "serving/tocsin_serving/demo/article.txt").read_text("utf-8")
    source = clean(Article(id="demo", text=text))
    summary = summariser.summarise(source.paragraphs, Limits())
    assert 1 <= len(summary.sentences) <= 3
    assert len(summary.text.split()) <= 80
    for sentence in summary.sentences:
        assert text[sentence.start : sentence.end] == sentence.text
        assert source.paragraphs[sentence.passage].kind == "body"


def test_a_long_article_is_read_to_its_end(summariser: ExtractiveSummariser) -> None:
    # BERTSUM stops at 512 tokens. Every sentence here gets a score, and cost grows with windows.
    sentences = [f"{FILLER[:-1]}, part {index}." for index in range(400)]
    scores, windows = summariser.score_sentences(sentences)
    assert scores.shape == (400,)
    assert (scores > 0).all()
    assert windows > 50


def test_headlines_and_captions_are_never_quoted(summariser: ExtractiveSummariser) -> None:
    paragraphs = [
        Paragraph(text="Army shells port", start=0, end=16, kind="headline"),
        Paragraph(text="Smoke over the port.", start=18, end=38, kind="caption"),
    ]
    summary = summariser.summarise(paragraphs, Limits())
    assert summary.sentences == ()
    assert summary.reason
    assert summary.text == ""


def test_limits_that_nothing_fits_give_a_reason(summariser: ExtractiveSummariser) -> None:
    summary = summariser.summarise(body(FILLER), Limits(max_words=3))
    assert (summary.sentences, summary.windows) == ((), 1)
    assert "3 words" in (summary.reason or "")


def test_a_sentence_longer_than_a_window_is_read_in_pieces(
    summariser: ExtractiveSummariser,
) -> None:
    endless = "and then the army " * 200 + "denied it"
    scores, windows = summariser.score_sentences([FILLER, endless, FILLER])
    assert windows > 5
    assert (scores > 0).all()


def test_the_converted_network_is_the_one_that_was_trained() -> None:
    # Tracing can freeze a shape; other sizes than the example's must still come out right.
    summariser = load_summariser(device="cpu", precision="f32")
    module = _build(EMBEDDED["summariser"])
    tokenizer = summariser._tokenizer
    for count in (1, 3, 30):
        ids = [tokens.ids for tokens in tokenizer.encode([FILLER] * count)]
        windows = cut_windows(ids, summariser.max_tokens - tokenizer.special_tokens)
        arrays = to_arrays([windows], tokenizer, summariser.max_tokens)
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
            expected = module(**tensors).numpy()
        assert np.abs(summariser._runner.run(arrays) - expected).max() < 0.01


def test_the_three_steps_of_summarising_are_summarising(
    repository: Path, summariser: ExtractiveSummariser
) -> None:
    # The service takes them one by one and lets others in between: the summary must be the same.
    text = (repository / "serving/tocsin_serving/demo/article.txt").read_text("utf-8")
    long = "\n\n".join([text] * 4)
    for article in (text, long, "Army hits port\n\nShare this article", "One. Two. Three."):
        paragraphs = clean(Article(id="a", text=article)).paragraphs
        reading = summariser.read(paragraphs)
        # In another order than the article's: calls of several articles are mixed.
        found = [summariser.run(group) for group in reversed(reading.groups)][::-1]
        for limits in (Limits(), Limits(max_sentences=7, max_words=100), Limits(max_words=1)):
            expected = summariser.summarise(paragraphs, limits)
            assert summariser.choose(reading, found, limits) == expected
            if article is long:
                assert len(reading.groups) > 1
                break  # a second of inference is enough
        for sentence in reading.sentences:
            assert paragraphs[sentence.passage].kind == "body"
            assert article[sentence.start : sentence.end] == sentence.text
        windows = [window for group in reading.groups for window in group]
        read = {number for window in windows for number, _, _ in window.pieces}
        assert read == set(range(len(reading.sentences)))


def test_nothing_to_summarise_takes_no_call(summariser: ExtractiveSummariser) -> None:
    reading = summariser.read([Paragraph(text="Army hits port", start=0, end=14, kind="headline")])
    assert (reading.sentences, reading.groups) == ((), ())
    assert summariser.choose(reading, [], Limits()).reason


def test_many_articles_are_told_as_each_alone(
    repository: Path, summariser: ExtractiveSummariser
) -> None:
    # Calls of several articles are in the air at once: one answer out of place, and an article
    # would be told with the sentences that another one's scores chose.
    demo = (repository / "serving/tocsin_serving/demo/article.txt").read_text("utf-8")
    texts = (
        demo,
        "Army hits port\n\nFILE - Smoke rises over the port.",
        "The general denied it.",
        "\n\n".join([demo] * 4),
        FILLER,
        "Army hits port\n\nRain fell on Vessaly. Envoys met in Zorvan. Nobody signed.",
        "Ferry sunk\n\n" + "and then the army " * 200 + "denied it.",
        "\n\n".join(reversed(demo.split("\n\n"))),
    )
    articles = [clean(Article(id="a", text=text)).paragraphs for text in texts]
    limits = [
        Limits(style=tuple(STYLES)[number % 3], max_sentences=1 + number)
        for number in range(len(texts))
    ]
    together = summariser.summarise_many(articles, limits)
    assert together == [
        summariser.summarise(article, own) for article, own in zip(articles, limits, strict=True)
    ]
    assert together[1].reason
    assert together[3].windows > together[0].windows > together[2].windows == 1
    assert summariser.summarise_many([], []) == []


def test_five_thousand_sentences_are_read_in_seconds(summariser: ExtractiveSummariser) -> None:
    # Somebody will send a list of names or a transcript; others wait behind it.
    text = "\n\n".join(f"Envoy {number} left." for number in range(5_000))
    article = clean(Article(id="a", text=f"Army hits port\n\n{text}")).paragraphs
    started = time.process_time()
    [summary] = summariser.summarise_many([article], [Limits()])
    assert time.process_time() - started < 30
    assert summary.sentences
    assert summary.windows > 5_000 // 32
