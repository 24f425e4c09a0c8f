"""A file of predictions as a subject: what another system said, matched to the rows by id."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from tests.server import TinyModels
from tests.support import run

from tocsin_eval.answers import classify
from tocsin_eval.data import LabelledPassage, ReferenceSummary
from tocsin_eval.predictions import read_predictions
from tocsin_eval.store import Store
from tocsin_eval.subjects import Subject, SubjectOptions
from tocsin_models.errors import DataError

ARTICLE = "Envoys met in Tal Amin.\n\nThe Brigade vowed to strike the port of Marash again."


def write(folder: Path, *rows: Any, name: str = "other.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def passage(identifier: str, *labels: str, text: str = "Talks began.") -> LabelledPassage:
    return LabelledPassage(
        id=identifier, article=identifier, text=text, labels=labels, source="invented"
    )


def decisions(path: Path, rows: Sequence[LabelledPassage], tmp_path: Path) -> list[list[bool]]:
    subject = Subject(
        name="other", kind="predictions", revision="1", predictions=read_predictions(path)
    )
    found = classify(
        subject, rows, ("claim", "threat"), SubjectOptions(), Store(tmp_path), lambda done: None
    )
    decided: list[list[bool]] = found.predictions.decided.tolist()
    return decided


def test_scores_are_told_in_json_in_columns_and_in_parquet_alike(tmp_path: Path) -> None:
    # Other people's systems write what they write; the same numbers must be the same predictions.
    nested = write(tmp_path, {"id": "a", "scores": {"claim": 0.25, "threat": 1}, "labels": []})
    flat = tmp_path / "flat.csv"
    flat.write_text('id,score_claim,score_threat,labels\na,0.25,1.0,""\n', encoding="utf-8")
    inside = tmp_path / "inside.csv"
    inside.write_text('id,scores,labels\na,"{""claim"": 0.25, ""threat"": 1}",\n', encoding="utf-8")
    columns = {"id": ["a"], "score_claim": [0.25], "score_threat": [1.0], "labels": [[]]}
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=None), tmp_path / "columns.parquet")
    for path in (nested, flat, inside, tmp_path / "columns.parquet"):
        found = read_predictions(path)
        assert found.labels == ("claim", "threat")
        assert dict(found.passages["a"].scores) == {"claim": 0.25, "threat": 1.0}
        assert found.passages["a"].labels == (), path.name


def test_rows_are_matched_by_id_whatever_their_order(tmp_path: Path) -> None:
    scores = {"a": 0.1, "b": 0.9}
    path = write(tmp_path, *({"id": i, "scores": {"threat": scores[i]}} for i in ("b", "a")))
    found = read_predictions(path).match([passage("a"), passage("b")], ["threat"])
    assert [row.scores["threat"] for row in found] == [0.1, 0.9]


def test_decisions_are_taken_as_told_and_a_row_without_them_is_cut_at_a_half(
    tmp_path: Path,
) -> None:
    # One row without a decision must not throw away those that all other rows hold.
    path = write(
        tmp_path,
        {"id": "a", "scores": {"claim": 0.2, "threat": 0.9}, "labels": ["claim"]},
        {"id": "b", "scores": {"claim": 0.2, "threat": 0.5}},
        {"id": "c", "scores": {"claim": 0.9, "threat": 0.9}, "labels": []},
    )
    rows = [passage("a"), passage("b"), passage("c")]
    assert decisions(path, rows, tmp_path) == [[True, False], [False, True], [False, False]]


def test_of_single_labels_the_best_is_given(tmp_path: Path) -> None:
    # Cut at a half, a softmax over many classes would often give none.
    scores = {"claim": 0.3, "threat": 0.2}
    path = write(
        tmp_path,
        {"id": "a", "scores": scores, "single_label": True},
        {"id": "b", "scores": scores, "single_label": True, "labels": ["threat"]},
    )
    rows = [passage("a"), passage("b")]
    assert decisions(path, rows, tmp_path) == [[True, False], [False, True]]
    # One row that does not say so, and the file is not of single labels.
    path = write(
        tmp_path, {"id": "a", "scores": scores, "single_label": True}, {"id": "b", "scores": scores}
    )
    assert decisions(path, rows, tmp_path) == [[False, False], [False, False]]


def test_what_tocsin_wrote_is_read_as_predictions(tmp_path: Path, tiny_models: TinyModels) -> None:
    # The archive that was scored last year is the incumbent's answers.
    (tmp_path / "marash.txt").write_text(ARTICLE, encoding="utf-8")
    models = ("--model", tiny_models.classifier, "--summariser", tiny_models.summariser)
    ran = run("analyse", tmp_path / "marash.txt", "--json", *models)
    (tmp_path / "records.jsonl").write_text(ran.out, encoding="utf-8")
    record = json.loads(ran.out)
    found = read_predictions(tmp_path / "records.jsonl")
    rows = [
        LabelledPassage(
            id=f"x:{row['index']}", article="marash", text=row["text"], labels=(), source=""
        )
        for row in record["passages"]
    ]
    matched = found.match(rows, found.labels)
    assert [dict(row.scores) for row in matched] == [row["scores"] for row in record["passages"]]
    assert [list(row.labels or ()) for row in matched] == [
        row["labels"] for row in record["passages"]
    ]
    article = ReferenceSummary(id="marash", paragraphs=("One.",), highlights=("One.",))
    told = [sentence["text"] for sentence in record["summary"]["sentences"]]
    assert found.match_summaries([article]) == [tuple(told)]


@pytest.mark.parametrize(
    ("summary", "sentences"),
    [
        ("One came. Two left.", ("One came.", "Two left.")),
        (["One came. Two left."], ("One came. Two left.",)),
        ({"sentences": [{"text": "One came."}]}, ("One came.",)),
        ([], ()),
        ("", ()),
    ],
)
def test_a_summary_is_a_text_a_list_or_a_record(
    tmp_path: Path, summary: Any, sentences: tuple[str, ...]
) -> None:
    # A system that said nothing of an article has answered: its summary is empty, not missing.
    found = read_predictions(write(tmp_path, {"id": "a", "summary": summary}))
    assert found.summaries == {"a": sentences}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a", "scores": {"claim": 1.5}}, "the score of 'claim' is 1.5"),
        ({"id": "a", "scores": {"claim": -1e-9}}, "the score of 'claim' is -1e-09"),
        ({"id": "a", "scores": {"claim": float("nan")}}, "the score of 'claim' is nan"),
        ({"id": "a", "scores": {"claim": 10**400}}, "the score of 'claim' is inf"),
        ({"id": "a", "scores": {"claim": True}}, "the score of 'claim' is a boolean"),
        ({"id": "a", "scores": {"claim": "Talks began."}}, "the score of 'claim' is a string"),
        ({"id": "a", "scores": {"\ud800": 0.5}}, "not a number from 0 to 1"),
        ({"id": "a", "scores": {"claim": 0.5}, "labels": ["treat"]}, "label 'treat' is unknown"),
        ({"id": "a", "scores": {"claim": 0.5}, "labels": {"claim": 1}}, "'labels' is an object"),
        ({"id": "a", "scores": {"claim": 0.5}, "single_label": 3}, "'single_label' is a number"),
        ({"id": "a"}, "has neither scores nor a summary"),
        ({"scores": {"claim": 0.5}}, "'id' is missing"),
        ({"id": None, "scores": {"claim": 0.5}}, "'id' is missing"),
        ({"id": ["a"], "scores": {"claim": 0.5}}, "'id' is a list"),
        ({"id": "a", "passages": ["Talks began."]}, "item 0 of 'passages' is a string"),
        ({"id": "a", "passages": 3}, "'passages' is a number"),
        ({"id": "a", "summary": {"sentences": 3}}, "'sentences' is a number"),
        ({"id": "a", "summary": {"sentences": ["Talks began."]}}, "item 0 of 'sentences'"),
        ({"id": "a", "summary": [None]}, "item 0 of 'summary'"),
        ({"id": "a", "summary": "\ud800"}, "half of a surrogate pair"),
        ({"id": "a", "summary": 3}, "'summary' is a number"),
    ],
)
def test_a_row_that_is_wrong_is_told_once_by_its_line_and_without_its_text(
    tmp_path: Path, row: Any, said: str
) -> None:
    # A number that is quietly mended is a measurement of nothing.
    path = write(tmp_path, {"id": "good", "scores": {"claim": 0.5}}, row)
    with pytest.raises(DataError) as error:
        read_predictions(path)
    assert error.value.count == 1
    assert str(error.value).startswith(f"{path}, line 2: ")
    assert said in str(error.value)
    assert "Talks began" not in str(error.value)


def test_an_id_twice_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    row = {"id": "a", "scores": {"claim": 0.5}}
    with pytest.raises(DataError, match="line 2: 'id' comes twice"):
        read_predictions(write(tmp_path, row, row))
    with pytest.raises(DataError, match="holds no prediction"):
        read_predictions(write(tmp_path))


def test_predictions_that_do_not_fit_the_data_are_told_all_at_once(tmp_path: Path) -> None:
    # Measured on the rows that happen to be there, a system would look as good as it likes.
    path = write(tmp_path, {"id": "a", "scores": {"claim": 0.5}}, {"id": "z", "scores": {"b": 0}})
    with pytest.raises(DataError) as error:
        read_predictions(path).match([passage("a"), passage("c"), passage("d")], ["claim", "b"])
    [missing, extra, lacking] = error.value.problems
    assert missing.startswith("other.jsonl: 2 of 3 passages have no prediction ('c' is the first)")
    assert extra.startswith("other.jsonl: 1 predictions are of ids that the data do not have ('z'")
    assert lacking == f"{path}, line 1: has no score for 'b'"
    with pytest.raises(DataError, match="1 of 1 articles have no summary"):
        read_predictions(path).match_summaries(
            [ReferenceSummary(id="a", paragraphs=("One.",), highlights=("One.",))]
        )


def test_scores_come_through_unrounded(tmp_path: Path) -> None:
    # Calibration of a sharp system is decided in the last digits.
    value = float(np.nextafter(1, 0))
    found = read_predictions(write(tmp_path, {"id": "a", "scores": {"claim": value}}))
    assert found.passages["a"].scores["claim"] == value
