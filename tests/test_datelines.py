"""Where a dateline ends: cut off, it must leave the sentence and nothing but the sentence."""

import time

import pytest

from tocsin_models.analyse import Options, analyse
from tocsin_models.datelines import dateline_end
from tocsin_models.records import Article
from tocsin_models.summariser import ExtractiveSummariser, load_summariser

SENTENCE = "Envoys of both states met for talks."


@pytest.fixture(scope="module")
def summariser() -> ExtractiveSummariser:
    return load_summariser(device="cpu", threads=1)


@pytest.mark.parametrize(
    "dateline",
    [
        "VESSALY (EP) — ",
        "VESSALY, Ardesh (EP) -- ",
        "Port Maren, Odrenia (CNN) -- ",
        "GENEVA, 3 March (Desk) - ",
        "GENEVA, March 3 (Example Press) – ",
        "GENEVA, 3 March - ",
        "PORT MAREN, Odrenia — ",
        "VESSALY — ",
        "(CNN) -- ",
        "(CNN)",
        "(CNN)  ",
        "Port Maren, Odrenia (CNN)",
        f"VESSALY (EP) —{' ' * 200}",
    ],
)
def test_a_dateline_is_cut_off(dateline: str) -> None:
    assert dateline_end(dateline + SENTENCE) == len(dateline)


def test_a_dateline_of_tokenised_text_is_cut_off() -> None:
    # The form of the data that the summariser is measured on.
    sentence = "envoys of both states met for talks ."
    for dateline in (
        "-lrb- cnn -rrb- -- ",
        "-lrb- ap -rrb- ",
        "port maren , odrenia ( cnn ) ",
        "port maren , odrenia ( ap ) -- ",
    ):
        assert dateline_end(dateline + sentence) == len(dateline)


@pytest.mark.parametrize(
    "sentence",
    ["12 men met for talks.", "al-Maruni met them for talks.", "“We met,” an envoy said."],
)
def test_a_sentence_behind_a_dateline_may_begin_without_a_capital(sentence: str) -> None:
    # Who looks for the capital alone leaves the dateline in the quotation.
    assert dateline_end(f"Vessaly, Ardesh (EP) -- {sentence}") == len("Vessaly, Ardesh (EP) -- ")
    # No place, so that it can be no name with something said of it.
    assert dateline_end("(EP) -- for days envoys met.") == len("(EP) -- ")


@pytest.mark.parametrize(
    "sentence",
    [
        SENTENCE,
        "Kadra Front (KF) - which holds the north - said it had fired.",
        "The Lake Union (LU) –  whose troops guard the port – said so.",
        "Ada Example (Kadra) - president since 2005 - said so.",
        "Sen. Ada Example (R-Ohio) -- a friend of the army -- said so.",
        "the associated press -lrb- ap -rrb- reported that five people died .",
        "the armed forces of the pines -lrb- afp -rrb- said it had fired .",
        "cable news network -lrb- cnn -rrb- said it had left .",
        "NATO — The alliance of the north — met for talks.",
        "UN — The council met for talks.",
        "WASHINGTON said it would send nobody.",
        "WASHINGTON, which sent nobody, met for talks.",
        "EXCLUSIVE — The army fired first.",
        "UNHCR - The agency has left Vessaly.",
        "VESSALY — which fell on Monday — was burning.",
        "The army (in Vessaly) - never far away - fired.",
        "General Ada Example - The Lion, as they call her - fired first.",
        "Envoys met in Vessaly (EP) — and left.",
        "Vessaly — The town has fallen.",
        "In March 3 - 4 thousand fled.",
        "VESSALY (EP) — Burning.",
        "VESSALY (EP) — ",
        "",
    ],
)
def test_what_is_not_certainly_a_dateline_is_kept(sentence: str) -> None:
    # Cut by mistake, a name is gone from a quotation that an editor takes for whole.
    assert dateline_end(sentence) == 0


@pytest.mark.parametrize(
    "dateline",
    [
        "VESSALY (EP) — ",
        "GENEVA, 3 March (Desk) -  ",
        "(CNN)",
        "(CNN)  ",
        "PORT MAREN,\nOdrenia —\n",
    ],
)
def test_what_is_left_stands_where_the_record_says(
    dateline: str, summariser: ExtractiveSummariser
) -> None:
    # An editor's screen marks the sentence by its offsets: one off, and a letter is missing.
    text = f"\ufeffEnvoys meet\n\n{dateline}{SENTENCE}\n\nRain fell on Vessaly all day."
    found = analyse(Article(id="a", text=text), None, summariser, Options(max_sentences=2))
    assert found.summary is not None
    first, second = found.summary.sentences
    assert (first.text, second.text) == (SENTENCE, "Rain fell on Vessaly all day.")
    for sentence in (first, second):
        assert found.source.text[sentence.start : sentence.end] == sentence.text


def test_what_only_looks_like_a_dateline_is_quoted_with_it(
    summariser: ExtractiveSummariser,
) -> None:
    sentence = "NATO — The alliance of the north — met for talks in Vessaly on Monday."
    text = f"Alliance meets\n\n{sentence}"
    found = analyse(Article(id="a", text=text), None, summariser)
    assert found.summary is not None
    assert found.summary.text == sentence


@pytest.mark.parametrize("unit", ["A ", "A, ", "A-", "(A", "a ", "A."])
def test_hostile_text_takes_no_time(unit: str) -> None:
    started = time.process_time()
    dateline_end(unit * 20_000)
    assert time.process_time() - started < 1
