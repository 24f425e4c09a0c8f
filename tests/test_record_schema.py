"""The JSON Schema of the record, against records that the code itself makes."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from tests.support import KeywordClassifier, LeadSummariser

from tocsin_models.records import (
    Analysis,
    CleanText,
    Dropped,
    Passage,
    Summary,
    SummarySentence,
)

SCHEMA = json.loads(files("tocsin_models").joinpath("record.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

TEXT = "Envoys leave Marash\n\nThe envoy left after talks.\n\nShare this"
SCORES = {"claim": 0.1, "threat": 0.0, "retaliation": 0.2, "diplomacy": 1.0}
ANALYSIS = Analysis(
    id="invented-1",
    language="en",
    warnings=("the language is uncertain",),
    source=CleanText(
        text=TEXT,
        is_extracted=True,
        paragraphs=(),
        dropped=(Dropped(text="Share this", start=49, end=59, reason="boilerplate"),),
    ),
    passages=(
        Passage(
            index=0,
            kind="headline",
            text="Envoys leave Marash",
            start=0,
            end=19,
            labels=(),
            scores=SCORES,
            windows=1,
        ),
        Passage(
            index=1,
            kind="body",
            text="The envoy left after talks.",
            start=21,
            end=48,
            labels=("diplomacy",),
            scores=SCORES,
            windows=2,
        ),
    ),
    summary=Summary(
        sentences=(
            SummarySentence(
                text="The envoy left after talks.", start=21, end=48, passage=1, score=0.5
            ),
        ),
        windows=1,
    ),
    classifier=KeywordClassifier().info,
    summariser=LeadSummariser.info,
)


def is_valid(record: Any) -> bool:
    return VALIDATOR.is_valid(record)


def test_the_schema_is_itself_valid() -> None:
    # A misspelt keyword would be ignored, and check nothing.
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "analysis",
    [
        ANALYSIS,
        replace(ANALYSIS, source=replace(ANALYSIS.source, is_extracted=False)),
        replace(ANALYSIS, summary=None, summariser=None),
        replace(ANALYSIS, classifier=None, passages=()),
        replace(
            ANALYSIS,
            passages=(),
            reason="all of it is boilerplate",
            summary=Summary(sentences=(), windows=0, reason="nothing to summarise"),
        ),
    ],
    ids=["all", "plain text", "only labels", "only a summary", "no passage left"],
)
def test_every_form_of_an_analysis_is_a_valid_record(analysis: Analysis) -> None:
    # Consumers generate their readers from the schema: it has to admit what is really sent.
    VALIDATOR.validate(json.loads(json.dumps(analysis.to_record())))


def _set(*path: Any) -> Callable[[Any], None]:
    *parents, last, value = path

    def change(record: Any) -> None:
        for key in parents:
            record = record[key]
        record[last] = value

    return change


def _delete(*path: Any) -> Callable[[Any], None]:
    *parents, last = path

    def change(record: Any) -> None:
        for key in parents:
            record = record[key]
        del record[last]

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        _set("colour", "red"),
        _set("passages", 0, "colour", "red"),
        _set("passages", 0, "kind", "standfirst"),
        _set("passages", 0, "scores", "claim", 1.01),
        _set("passages", 0, "scores", "claim", "0.5"),
        _set("passages", 0, "scores", {}),
        _set("passages", 0, "start", -1),
        _set("passages", 0, "start", 0.5),
        _set("passages", 0, "windows", 0),
        _set("passages", []),
        _set("labels", "diplomacy", "max_score", 2),
        _set("summary", "sentences", 0, "checked", True),
        _set("summary", "sentences", []),
        _set("schema", "tocsin/2"),
        _set("id", 7),
        _set("model", "summariser", "thresholds", {}),
        _delete("passages", 0, "scores"),
        _delete("dropped", 0, "reason"),
        _delete("model", "classifier", "revision"),
        _delete("language"),
        _delete("schema"),
    ],
)
def test_a_record_that_breaks_a_promise_is_refused(spoil: Callable[[Any], None]) -> None:
    # A schema that admits anything would pass the test above.
    record = copy.deepcopy(ANALYSIS.to_record())
    assert is_valid(record)
    spoil(record)
    assert not is_valid(record)


def test_labels_are_those_of_the_model_and_not_a_fixed_list() -> None:
    # A newsroom trains labels of its own; the record must carry them.
    scores = {"flood": 0.9}
    passages = tuple(replace(p, scores=scores, labels=("flood",)) for p in ANALYSIS.passages)
    assert is_valid(replace(ANALYSIS, passages=passages).to_record())


SUMMARY_ONLY = replace(ANALYSIS, classifier=None, passages=())


@pytest.mark.parametrize("is_extracted", [True, False])
def test_a_summary_alone_carries_the_text_that_was_extracted(is_extracted: bool) -> None:
    # Its sentences are receipts as well: without the text nobody could follow their offsets.
    source = replace(ANALYSIS.source, is_extracted=is_extracted)
    record = replace(SUMMARY_ONLY, source=source).to_record()
    VALIDATOR.validate(record)
    assert record.get("text") == (TEXT if is_extracted else None)
    [sentence] = record["summary"]["sentences"]
    assert TEXT[sentence["start"] : sentence["end"]] == sentence["text"]


@pytest.mark.parametrize(
    "spoil",
    [
        _set("text", None),
        _set("text", 7),
        _set("passages", []),
        _set("language", "en"),
        _set("model", "classifier", ANALYSIS.to_record()["model"]["classifier"]),
        _delete("model", "summariser"),
        _delete("summary"),
        _delete("id"),
    ],
)
def test_a_summary_alone_holds_nothing_else(spoil: Callable[[Any], None]) -> None:
    record = copy.deepcopy(SUMMARY_ONLY.to_record())
    assert is_valid(record)
    spoil(record)
    assert not is_valid(record)


def test_scores_of_the_labels_asked_for_are_a_valid_record() -> None:
    # ``Options.labels``: the answer speaks of one label of four.
    passages = tuple(
        replace(passage, scores={"threat": 0.9}, labels=("threat",))
        for passage in ANALYSIS.passages
    )
    assert ANALYSIS.classifier is not None
    info = replace(ANALYSIS.classifier, thresholds={"threat": 0.8})
    record = replace(ANALYSIS, passages=passages, classifier=info).to_record()
    VALIDATOR.validate(record)
    assert record["labels"] == {"threat": {"passages": [0, 1], "max_score": 0.9}}


WRITTEN = replace(
    ANALYSIS,
    summary=Summary(
        sentences=(
            SummarySentence(text="An envoy left.", start=21, end=48, passage=1, score=0.5),
            SummarySentence(
                text="The envoy left after talks.",
                start=21,
                end=48,
                passage=1,
                score=0.5,
                replaced=True,
                reason="number not in the article",
            ),
        ),
        windows=1,
        method="abstractive",
        checked=3,
    ),
)


def test_a_written_summary_says_what_was_checked_and_replaced() -> None:
    record = WRITTEN.to_record()
    VALIDATOR.validate(record)
    assert (record["summary"]["checked"], record["summary"]["replaced"]) == (3, 1)
    kept, replaced = record["summary"]["sentences"]
    assert "replaced" not in kept
    assert (replaced["replaced"], replaced["reason"]) == (True, "number not in the article")


@pytest.mark.parametrize(
    "spoil",
    [
        _delete("summary", "checked"),
        _delete("summary", "replaced"),
        _delete("summary", "sentences", 1, "reason"),
        _delete("summary", "sentences", 1, "replaced"),
        _set("summary", "sentences", 1, "replaced", False),
        # What was not written has nothing to check.
        _set("summary", "method", "extractive"),
    ],
)
def test_a_written_summary_that_hides_it_is_refused(spoil: Callable[[Any], None]) -> None:
    # Else nobody could tell what a model wrote from what the article says.
    record = copy.deepcopy(WRITTEN.to_record())
    spoil(record)
    assert not is_valid(record)
