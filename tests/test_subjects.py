"""What a word on the command line means, and which subjects may stand side by side."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.server import LABELS, TinyModels

from tocsin_eval.data import LabelledPassage
from tocsin_eval.subjects import (
    Endpoint,
    Subject,
    SubjectOptions,
    common_labels,
    open_subject,
    open_subjects,
    without,
)
from tocsin_models.errors import ConfigError, DataError, ModelDamaged, ModelNotFound


def nowhere(url: str) -> Endpoint:
    raise AssertionError(f"{url} was called")


def opened(*words: object, measured: Sequence[LabelledPassage] = ()) -> list[Subject]:
    return open_subjects(list(map(str, words)), SubjectOptions(device="cpu"), nowhere, measured)


def passage(identifier: str, *labels: str, text: str = "Talks began.") -> LabelledPassage:
    return LabelledPassage(
        id=identifier, article=identifier, text=text, labels=labels, source="invented"
    )


def write_rows(path: Path, *labels: str, start: int = 0) -> Path:
    """Eight rows, every second with each of ``labels``, in two articles or more."""
    rows = [
        {
            "id": f"r{start + number}",
            "text": f"Talks number {start + number} began." if number % 2 else "The market opened.",
            "labels": list(labels) if number % 2 else [],
        }
        for number in range(8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_each_word_names_what_the_table_says(tmp_path: Path, tiny_models: TinyModels) -> None:
    predictions = tmp_path / "last-year.jsonl"
    predictions.write_text('{"id": "a", "scores": {"claim": 1}}\n', encoding="utf-8")
    found = opened(
        *("default", tiny_models.classifier, tiny_models.summariser, "keywords", "lead-3"),
        *("textrank", "lexrank", "oracle", predictions),
    )
    assert [(one.name, one.kind, one.classifies, one.summarises) for one in found] == [
        ("default", "model", True, True),
        ("tiny-classifier", "model", True, False),
        ("tiny-summariser", "model", False, True),
        ("keywords", "baseline", True, False),
        ("lead-3", "baseline", False, True),
        ("textrank", "baseline", False, True),
        ("lexrank", "baseline", False, True),
        ("oracle", "baseline", False, True),
        ("last-year", "predictions", True, False),
    ]
    assert len({one.revision for one in found}) == len(found)


@pytest.mark.parametrize("word", ["http://127.0.0.1:9", "https://news.example/tocsin?x=1"])
def test_a_url_is_handed_to_the_client_whole(word: str) -> None:
    # An equals sign in it names nothing.
    called = []

    def connect(url: str) -> Endpoint:
        called.append(url)
        raise ConfigError("url", ["not now"])

    with pytest.raises(ConfigError):
        open_subject(word, SubjectOptions(), connect)
    with pytest.raises(ConfigError):
        open_subject(f"live={word}", SubjectOptions(), connect)
    assert called == [word, word]


def test_a_name_can_be_given_and_a_path_with_an_equals_sign_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_models: TinyModels
) -> None:
    # Folders of a sweep are called so: lr=1e-4 is a model, not the subject 1e-4 called lr.
    monkeypatch.chdir(tmp_path)
    Path("lr=1e-4").symlink_to(tiny_models.classifier)
    [one, named] = opened("lr=1e-4", "new=lr=1e-4")
    assert (one.name, named.name) == ("tiny-classifier", "new")
    assert one.revision == named.revision


def test_two_of_one_name_are_told_apart_before_anything_is_measured() -> None:
    # In a report nobody could say which line is which; the hint is on the word at fault.
    with pytest.raises(ConfigError, match="two are called 'lead-3'; name one as NAME=lead-3"):
        opened("keywords", "lead-3", "lead-3")
    assert [one.name for one in opened("lead-3", "again=lead-3")] == ["lead-3", "again"]


@pytest.mark.parametrize("word", ["defualt", "old/answers.jsonl", "answers.csv", "", "a/b/c"])
def test_a_word_that_names_nothing_lists_what_does_and_calls_nobody(word: str) -> None:
    # A missing file must not be looked for on the Hub: its name is nobody's business.
    with pytest.raises(ConfigError, match=r"names none: .*known words: default, tfidf:FILE"):
        opened(word)


@pytest.mark.parametrize("word", ["org/name", "org/name-v1.5", "org/name@0123abc", "BAAI/x-v1.5@0"])
def test_a_hub_id_is_one_though_it_holds_a_version(word: str) -> None:
    with pytest.raises(ModelNotFound, match="cannot be had from the Hub"):
        opened(word)


def test_a_directory_that_is_no_model_or_a_damaged_one_is_told(
    tmp_path: Path, tiny_models: TinyModels
) -> None:
    with pytest.raises(Exception, match=r"config\.json cannot be read"):
        opened(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ModelDamaged):
        opened(tmp_path)


def test_a_baseline_that_is_fitted_is_fitted_once_and_when_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run whose answers are kept must not fit it at all; one that asks thrice, not thrice.
    from tocsin_models.baseline import TfidfClassifier

    fits = []
    fit = TfidfClassifier.fit

    def count(*given: Any) -> TfidfClassifier:
        fits.append(1)
        return fit(*given)

    monkeypatch.setattr(TfidfClassifier, "fit", count)
    [subject] = opened(f"tfidf:{write_rows(tmp_path / 'train.jsonl', 'diplomacy')}")
    assert (fits, subject.labels) == ([], ("diplomacy",))
    assert subject.classifier is not None
    assert subject.classifier().score(["Talks began."]).probabilities.shape == (1, 1)
    assert subject.classifier().info.device == "cpu"
    assert fits == [1]


def test_tfidf_reads_files_and_folders_and_changes_revision_with_them(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "a.jsonl", "threat")
    second = write_rows(tmp_path / "b.jsonl", "claim", start=8)
    [one, both, folder] = opened(
        f"1=tfidf:{first}", f"2=tfidf:{first},{second}", f"tfidf:{tmp_path}"
    )
    assert (one.labels, both.labels) == (("threat",), ("claim", "threat"))
    assert one.revision != both.revision == folder.revision
    for nothing in ("tfidf", "tfidf:", "tfidf:,"):
        with pytest.raises(ConfigError, match="tfidf needs labelled rows"):
            opened(nothing)
    with pytest.raises(DataError, match=r"none\.jsonl"):
        opened(f"tfidf:{tmp_path / 'none.jsonl'}")


def test_tfidf_changes_revision_with_what_it_may_not_see(tmp_path: Path) -> None:
    # Fitted on as many rows, but others, it gives other answers: kept ones would be the wrong ones.
    word = f"tfidf:{write_rows(tmp_path / 'train.jsonl', 'threat')}"
    found = [
        opened(word, measured=[passage("x", text=text)])[0].revision
        for text in ("Talks number 3 began.", "Talks number 5 began.", "Talks number 3 began.")
    ]
    assert found[0] == found[2] != found[1]


def test_a_baseline_may_not_have_seen_what_it_is_measured_on(tmp_path: Path) -> None:
    # An article on both sides would make the baseline look better than any model.
    train = write_rows(tmp_path / "train.jsonl", "threat")
    filed = tmp_path / "filed.jsonl"
    rows_of_articles = (json.loads(line) for line in train.read_text("utf-8").splitlines())
    filed.write_text(
        "".join(
            json.dumps({**row, "article": f"a-{row['id']}"}) + "\n" for row in rows_of_articles
        ),
        encoding="utf-8",
    )
    with pytest.raises(DataError, match=r"fitted on 1 articles .*'a-r3' is one"):
        opened(f"tfidf:{filed}", measured=[replace(passage("x"), article="a-r3")])
    # Rows that are numbered from 1 in every file are not the same rows.
    opened(f"tfidf:{train}", measured=[passage("r3")])
    rows = [passage("a", text="Stock phrase."), passage("b")]
    kept, dropped = without(rows, [passage("c", text="Stock phrase.")])
    assert ([row.id for row in kept], dropped) == (["b"], 1)


def test_keywords_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("sport: [goal, C++]\nweather: [rain]\n", encoding="utf-8")
    [subject] = opened(f"keywords:{path}")
    assert subject.classifier is not None
    found = subject.classifier().score(["A GOAL in the rain", "Goalless", "Written in C++."])
    assert found.probabilities.tolist() == [[1, 1], [0, 0], [1, 0]]
    for wrong in (
        "",
        "sport: goal",
        "sport: []",
        "sport: [3]",
        "- goal",
        "sport: [",
        "sport: ['']",
    ):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"words\.yaml"):
            opened(f"keywords:{path}")


def test_only_subjects_of_the_same_labels_stand_side_by_side(
    tmp_path: Path, tiny_models: TinyModels
) -> None:
    # A macro mean over other labels is another number under the same name.
    path = tmp_path / "words.yaml"
    path.write_text("sport: [goal]\n", encoding="utf-8")
    sport = f"sport=keywords:{path}"
    with pytest.raises(ConfigError, match="'keywords' and 'sport' do not have the same labels"):
        common_labels(opened("keywords", sport), [passage("a")])
    found = opened("keywords", tiny_models.classifier, "lead-3")
    assert common_labels(found, [passage("a", "threat")]) == LABELS


def test_a_label_of_the_data_that_no_subject_has_is_named() -> None:
    with pytest.raises(DataError, match="the data carry the label 'treat', which 'keywords' does"):
        common_labels(opened("keywords"), [passage("a", "threat"), passage("b", "treat")])


def test_what_changes_an_answer_changes_the_key() -> None:
    # Kept answers are found by it; threads and seeds change none.
    base = SubjectOptions().key()
    assert SubjectOptions(threads=3, seed=4).key() == base
    changed = [
        SubjectOptions(device="cuda"),
        SubjectOptions(precision="f32"),
        SubjectOptions(batch_tokens=64),
    ]
    assert len({json.dumps(one.key()) for one in (SubjectOptions(), *changed)}) == 4
