"""A summary that prefers what carries a label: the same wherever it is asked for, or a clear no."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from tests.support import KEYWORDS, KeywordClassifier, LeadSummariser, run, squeeze
from tests.test_analyse import SCHEMA

from tocsin_models.abstractive import AbstractiveSummariser
from tocsin_models.analyse import Options, analyse, analyse_many, check_options
from tocsin_models.errors import ConfigError, EmptyInput
from tocsin_models.protocols import Limits
from tocsin_models.records import Article, Paragraph, Summary
from tocsin_models.summariser import ExtractiveSummariser, load_summariser
from tocsin_serving.archive.asked import Asked, differences
from tocsin_serving.archive.scoring import to_options
from tocsin_serving.problems import Problem
from tocsin_serving.schemas import ArticleRequest, make_schemas, parse

ARTICLE = Article(
    id="a",
    text="Army hits depot\n\n"
    "The army of Ardesh struck a depot near the river on Monday.\n\n"
    "Rain fell on Vessaly all day.\n\n"
    "The general vowed to burn the port.\n\n"
    "Envoys of both states met for talks in Zorvan.",
)


class Chooser:
    """The embedded summariser with log-odds of our own, falling from the first sentence on."""

    def __init__(self, inner: ExtractiveSummariser, step: float = 1.0) -> None:
        self.info = inner.info
        self._inner = inner
        self._step = step

    def summarise(self, paragraphs: Sequence[Paragraph], limits: Limits) -> Summary:
        reading = self._inner.read(paragraphs)
        pieces = [[n for w in group for n, _, _ in w.pieces] for group in reading.groups]
        logits = [-self._step * np.array(numbers, np.float32) for numbers in pieces]
        return self._inner.choose(reading, logits, limits)


@pytest.fixture(scope="module")
def summariser() -> ExtractiveSummariser:
    return load_summariser(device="cpu", threads=1)


def openings(summary: Summary | None) -> list[str]:
    assert summary is not None
    return [sentence.text.split()[0] for sentence in summary.sentences]


def test_a_passage_that_carries_the_label_is_in_and_a_strong_lead_stays(
    summariser: ExtractiveSummariser,
) -> None:
    chooser = Chooser(summariser)
    plain = analyse(ARTICLE, KeywordClassifier(), chooser, Options(max_sentences=2))
    # A focus that turns nothing would be believed all the same.
    assert [item.passage for item in plain.summary.sentences] == [1, 2]  # type: ignore[union-attr]
    options = Options(max_sentences=2, focus=("threat",))
    found = analyse(ARTICLE, KeywordClassifier(), chooser, options)
    assert [item.passage for item in found.summary.sentences] == [1, 3]  # type: ignore[union-attr]
    assert found.warnings == ()
    record = found.to_record()
    assert record["summary"]["focus"] == ["threat"]
    jsonschema.validate(record, SCHEMA)
    # The score stays the model's own.
    assert record["summary"]["sentences"][1]["score"] == pytest.approx(1 / (1 + np.e**2), abs=1e-5)


def test_with_room_for_one_the_label_wins_over_any_lead(summariser: ExtractiveSummariser) -> None:
    options = Options(style="headline", focus=("threat",))
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser, step=9.0), options)
    assert [item.passage for item in found.summary.sentences] == [3]  # type: ignore[union-attr]


def test_several_labels_are_any_of_them(summariser: ExtractiveSummariser) -> None:
    options = Options(max_sentences=3, focus=("threat", "diplomacy", "threat"))
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), options)
    assert [item.passage for item in found.summary.sentences] == [1, 3, 4]  # type: ignore[union-attr]
    assert found.to_record()["summary"]["focus"] == ["threat", "diplomacy"]


def test_a_focus_asks_for_its_label_too(summariser: ExtractiveSummariser) -> None:
    # Else the answer could not show which passages it preferred.
    options = Options(labels=("diplomacy",), focus=("threat",))
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), options)
    assert list(found.passages[0].scores) == ["threat", "diplomacy"]


def test_where_no_passage_carries_it_the_answer_says_so(summariser: ExtractiveSummariser) -> None:
    options = Options(max_sentences=1, focus=("claim", "threat"))
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), options)
    assert found.warnings == ("focus: no passage of the body carries claim",)
    only = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), Options(focus=("claim",)))
    assert openings(only.summary)
    # A headline is never quoted, so that its label is no help.
    headline = Article(
        id="h", text=f"General vowed to burn port\n\n{ARTICLE.text.split(chr(10))[2]}"
    )
    found = analyse(headline, KeywordClassifier(), Chooser(summariser), Options(focus=("threat",)))
    assert found.warnings == ("focus: no passage of the body carries threat",)
    short = Options(max_words=6, focus=("threat",))
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), short)
    assert ["fits into the limits" in line for line in found.warnings] == [True]


def test_the_next_step_is_one_that_helps(summariser: ExtractiveSummariser) -> None:
    # A headline has no limit of words: told to allow more of them, an editor would try in vain.
    text = ARTICLE.text.replace("The general vowed", "The general left.\n\nHe vowed")
    article = Article(id="a", text=text)
    headline = Options(style="headline", focus=("threat",))
    found = analyse(article, KeywordClassifier(), Chooser(summariser), headline)
    assert ["allow a longer summary" in line for line in found.warnings] == [True]
    longer = Options(max_sentences=2, focus=("threat",))
    found = analyse(article, KeywordClassifier(), Chooser(summariser), longer)
    assert found.warnings == ()


def test_a_focus_that_nothing_can_answer_is_refused(summariser: ExtractiveSummariser) -> None:
    classifier = KeywordClassifier()
    with pytest.raises(ConfigError, match="'joy' is unknown; the labels are claim, threat"):
        analyse(ARTICLE, classifier, summariser, Options(focus=("joy",)))
    with pytest.raises(ConfigError, match="focus: nothing is labelled here"):
        analyse(ARTICLE, None, summariser, Options(focus=("threat",)))
    with pytest.raises(ConfigError, match="style: 'long' is unknown"):
        analyse(ARTICLE, None, summariser, Options(style="long"))  # type: ignore[arg-type]


def test_a_focus_outside_the_labels_asked_for_is_met_and_shown(
    summariser: ExtractiveSummariser,
) -> None:
    # Answered from the labels alone, it would find no passage and say that there is none.
    options = Options(max_sentences=2, labels=("diplomacy",), focus=("threat",))
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), options)
    assert [item.passage for item in found.summary.sentences] == [1, 3]  # type: ignore[union-attr]
    assert found.passages[3].labels == ("threat",)
    assert found.warnings == ()
    # And a threshold above its score is as good as no label.
    options = Options(max_sentences=2, focus=("threat",), thresholds={"threat": 0.95})
    found = analyse(ARTICLE, KeywordClassifier(), Chooser(summariser), options)
    assert found.warnings == ("focus: no passage of the body carries threat",)


def test_each_article_has_its_own_focus(summariser: ExtractiveSummariser) -> None:
    # One call labels and summarises them all: a row out of place would prefer another's passages.
    calm = Article(id="c", text="Rain\n\nRain fell on Vessaly all day.\n\nThe lake froze.")
    blank = Article(id="b", text=" ")
    options = Options(style="headline", focus=("threat",))
    articles = [calm, ARTICLE, blank, calm, ARTICLE]
    together = analyse_many(articles, KeywordClassifier(), summariser, options)
    for article, found in zip(articles, together, strict=True):
        if article is blank:
            assert isinstance(found, EmptyInput)
        else:
            assert found == analyse(article, KeywordClassifier(), summariser, options)
    carried = [getattr(found, "warnings", None) == () for found in together]
    assert carried == [False, True, False, False, True]


def test_who_writes_sentences_of_its_own_refuses_a_focus() -> None:
    # Its sentences stand in no passage; ignored in silence, the wish would be taken for met.
    class Writer(LeadSummariser):
        takes_focus = AbstractiveSummariser.takes_focus

        def summarise_many(
            self, articles: Sequence[Sequence[Paragraph]], limits: Sequence[Limits]
        ) -> list[Summary]:
            return [self.summarise(*pair) for pair in zip(articles, limits, strict=True)]

    with pytest.raises(
        ConfigError, match=r"focus: this summariser writes .* use an extractive one"
    ):
        analyse(ARTICLE, KeywordClassifier(), Writer(), Options(focus=("threat",)))
    # Nothing else is in the way.
    assert analyse(ARTICLE, KeywordClassifier(), Writer(), Options()).summary
    with pytest.raises(ConfigError, match="options: 3 problems"):
        check_options(
            Options(style="long", focus=("threat",)),  # type: ignore[arg-type]
            False,
            Writer(),
        )


def test_the_service_reads_it_where_there_are_labels() -> None:
    schemas = make_schemas(tuple(KEYWORDS))
    request: Any = parse(
        schemas.analyse, b'{"text": "x", "focus": ["threat"], "style": "standard"}'
    )
    assert request.to_options() == Options(focus=("threat",), style="standard")
    with pytest.raises(Problem) as told:
        parse(schemas.analyse, b'{"text": "x", "focus": ["joy"]}')
    assert "'claim', 'threat'" in told.value.errors[0].message
    with pytest.raises(Problem) as told:
        parse(ArticleRequest, b'{"text": "x", "focus": ["threat"]}')
    assert (told.value.errors[0].field, "/v1/analyse" in told.value.errors[0].message) == (
        "focus",
        True,
    )


def test_an_archive_is_asked_the_same_and_an_old_run_goes_on() -> None:
    asked = Asked(style="standard", focus=("threat",))
    asked.check()
    assert to_options(asked) == Options(style="standard", focus=("threat",))
    assert Asked.from_record(asked.to_record()) == asked
    # A folder of before this option has no word of it.
    assert "focus" not in Asked().to_record()
    assert differences(Asked().to_record(), asked.to_record()) == [
        "--style: not given then, standard now",
        "--focus: not given then, 'threat' now",
    ]
    for wrong in (
        Asked(only="summarise", focus=("threat",)),
        Asked(only="classify", focus=("threat",)),
    ):
        with pytest.raises(ConfigError, match="--focus: nothing is"):
            wrong.check()


def test_the_command_line_names_what_there_is(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(ARTICLE.text)
    ran = run("analyse", file, "--style", "long")
    assert ran.code == 2
    assert all(style in squeeze(ran.err) for style in ("headline", "short", "standard"))
    ran = run("analyse", file, "--focus", "joy")
    assert ran.code == 2
    assert "the labels are claim, diplomacy, retaliation, threat" in ran.err
