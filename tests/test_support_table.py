"""The command that measures the check on summaries marked faithful or not."""

import json
from pathlib import Path

import pytest

from tocsin_eval.support import main

ARTICLE = "The envoy said on Friday that 5,000 people had left Dibbat."


def test_the_table_of_what_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "id": "1",
            "article": ARTICLE,
            "summary": "Some 500 left.",
            "faithful": False,
            "edit": ["x"],
        },
        {"id": "2", "article": ARTICLE, "summary": "All left.", "faithful": False},
        {"id": "3", "article": "Rain fell.", "summary": "Rain fell.", "faithful": True},
    ]
    path = tmp_path / "judged.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert main(["--data", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "judged: 3 summaries of 2 articles, 1 faithful" in printed
    assert "| all | 50.0 (" in printed
    assert "| 75.0 (" in printed
    assert "| names only | 0.0 (" in printed
    assert "| x | 1 | 100.0 (" in printed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "line 1: is not JSON"),
        ('{"article": "a", "summary": "b"}', "'faithful' must be true or false"),
        ('{"article": "a", "summary": 1, "faithful": true}', "'summary' must be a string"),
        ('{"article": "a", "summary": "b", "faithful": true}', "at least one"),
        ("", "at least one"),
    ],
)
def test_a_bad_file_is_one_line_without_its_text(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(text, encoding="utf-8")
    assert main(["--data", str(path)]) == 2
    told = capsys.readouterr().err
    assert problem in told
    assert told.count("\n") == 1
    assert main(["--data", str(tmp_path / "none.jsonl")]) == 2
    assert "cannot be read" in capsys.readouterr().err
