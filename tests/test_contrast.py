"""The contrast passages are what ``training/README.md`` says, and mistakes in them are found."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin_eval.data import read_passages
from tocsin_training import corpus
from tocsin_training.contrast import check_contrast, count_contrast, parse_contrast
from tocsin_training.corpus import parse_corpus
from tocsin_training.coverage import render_contrast
from tocsin_training.duplicates import NearDuplicates
from tocsin_training.readings import agreement

# Without the summaries' articles: near-duplicates of those would stand in train_cased too.
BESIDE = ("real/train.jsonl", "real/dev.jsonl")
TEXT = (
    "The army of Ostra denied that its guns had shelled the salt market of Belqua on Monday night."
)


def row(number: int, text: str, labels: list[str], **others: Any) -> dict[str, Any]:
    letters = "".join(label[0].upper() for label in labels) or "-"
    return {
        "id": f"x-z-001-{number}",
        "article": "x-z-001",
        "source": "contrast",
        "text": text,
        "labels": labels,
        "ruling": "denied or not",
        "first": letters,
        "second": letters,
        **others,
    }


PAIR = [row(1, TEXT, ["claim"]), row(2, TEXT.replace("denied", "did not say"), [])]


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def mistakes(folder: Path, rows: list[Any], others: list[str] | None = None) -> list[str]:
    path = write(folder / "Z.jsonl", rows)
    versions, problems = parse_contrast([path])
    found = problems + check_contrast(versions, others or [])
    return [problem.removeprefix(f"{path}, ").replace(str(path), "Z") for problem in found]


@pytest.fixture(scope="module")
def shipped(repository: Path) -> list[Path]:
    return sorted((repository / "training/contrast").glob("*.jsonl"))


def test_the_shipped_passages_have_no_mistake(shipped: list[Path], repository: Path) -> None:
    """A label against both readers, or a passage copied from data that is not ours, would train
    unnoticed."""
    articles, _ = parse_corpus(sorted((repository / "training/corpus").glob("*.jsonl")))
    texts = [passage.text for article in articles for passage in article.passages]
    data = repository.parent / "shared" / "data"
    beside = [path for name in BESIDE if (path := data / name).is_file()]
    versions, problems = parse_contrast(shipped)
    assert problems == []
    assert check_contrast(versions, texts, beside) == []
    counts = count_contrast(versions)
    assert counts["groups"] >= 800
    assert min(counts[label] for label in ("claim", "threat", "retaliation", "diplomacy")) >= 450
    assert min(found.kappa for found in agreement(v.reading for v in versions).values()) > 0.95


def test_the_shipped_passages_stand_in_no_suite_and_not_in_the_golden_set(
    shipped: list[Path], repository: Path
) -> None:
    """What is trained on says nothing when it is passed."""
    texts: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                collect(item)

    for path in sorted((repository / "eval/tocsin_eval/suites").glob("*.yaml")):
        collect(yaml.safe_load(path.read_text(encoding="utf-8")))
    texts += [row.text for row in read_passages([repository / "eval/golden/golden.jsonl"])]
    assert len(texts) > 2_000
    index = NearDuplicates([version.text for version in parse_contrast(shipped)[0]])
    assert list(index.find(texts)) == []


def test_a_table_of_them_is_a_table_of_labelled_passages(tmp_path: Path) -> None:
    """--train takes them as they are, and a group falls into one fold."""
    passages = read_passages([write(tmp_path / "Z.jsonl", PAIR)])
    assert [passage.labels for passage in passages] == [("claim",), ()]
    assert {passage.article for passage in passages} == {"x-z-001"}
    assert {passage.source for passage in passages} == {"contrast"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"labels": ["claims"]}, "'labels' has claims; there are claim, threat, retaliation, "),
        ({"first": "X"}, "'first' is neither - nor letters of CTRD, in this order"),
        ({"text": ""}, "'text' is empty"),
        ({"note": "more"}, "does not have the keys id, article, source, text, labels, ruling"),
    ],
)
def test_a_row_of_another_form_is_told_by_line(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    found = mistakes(tmp_path, [PAIR[0], PAIR[1] | change])
    assert any(line.startswith(f"line 2: {problem}") for line in found), found


def test_what_is_wrong_between_rows_is_found(tmp_path: Path) -> None:
    """A lone version teaches nothing by contrast; a copy across groups ends up in two folds; a
    label against both of its readers is a slip of the pen."""
    assert mistakes(tmp_path, PAIR) == []
    other = row(3, TEXT.replace("Monday", "Friday"), ["claim"], article="x-z-002")
    assert mistakes(tmp_path, [*PAIR, other]) == [
        "line 3: is the only version of its group, 'x-z-002'",
        "line 3: is a near-duplicate of Z, line 1",
    ]
    assert mistakes(tmp_path, [PAIR[0], PAIR[0] | {"second": "-"}]) == [
        "line 2: 'id' was already used in Z, line 1",
        "line 2: has the text of Z, line 1",
    ]
    assert mistakes(tmp_path, [PAIR[0], PAIR[1] | {"labels": ["claim"]}]) == [
        "line 2: has 'claim', which neither of its readers gave it"
    ]
    assert mistakes(tmp_path, PAIR, [TEXT]) == [
        "line 1: is a near-duplicate of a passage of the corpus"
    ]


def test_a_copy_of_a_text_beside_them_is_found(tmp_path: Path) -> None:
    versions, _ = parse_contrast([write(tmp_path / "Z.jsonl", PAIR)])
    table = write(tmp_path / "news.jsonl", [{"text": f"Another line.\n{TEXT}"}])
    found = check_contrast(versions, [], [table])
    assert found == [f"{versions[0].place}: is a near-duplicate of a text in {table}"]


def test_the_command_checks_and_counts_them(
    repository: Path, shipped: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``make corpus`` would pass over them, and the README's table would be another's."""
    for name in ("corpus", "readings"):
        (tmp_path / name).symlink_to(repository / "training" / name)
    write(tmp_path / "contrast/Z.jsonl", PAIR)
    assert corpus.main([str(tmp_path)]) == 0
    assert "| **all** | 1 | 2 | 1 | 0 | 0 | 0 | 1 | 0 |" in capsys.readouterr().out
    write(tmp_path / "contrast/Z.jsonl", PAIR[:1])
    assert corpus.main([str(tmp_path)]) == 1
    assert "is the only version of its group" in capsys.readouterr().err

    readme = (repository / "training/README.md").read_text(encoding="utf-8")
    assert render_contrast(parse_contrast(shipped)[0]) in readme
