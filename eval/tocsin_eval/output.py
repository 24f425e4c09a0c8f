"""Where a report is written: every file whole under its name, or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin_models.errors import DataError

ANSWERS = "answers"


def check_folder(folder: Path) -> None:
    """Refuse, before anything is computed, a place that cannot be written.

    Raises:
        DataError: it is a file, or cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); name another folder with --out"
        ) from None


def write_report(folder: Path, record: Mapping[str, Any], html: str, markdown: str) -> None:
    """``report.json``, ``report.html``, ``report.md``, and every subject's answers as
    ``answers/NAME.jsonl``, which can be subjects of a later evaluation.

    Raises:
        DataError: a file cannot be written.
    """
    slim = {**record, "subjects": [_without_answers(one) for one in record["subjects"]]}
    texts = {
        "report.json": json.dumps(slim, ensure_ascii=False, indent=1) + "\n",
        "report.html": html,
        "report.md": markdown,
    }
    for subject in record["subjects"]:
        texts[f"{ANSWERS}/{_file_name(subject['name'])}.jsonl"] = _answers(subject)
    try:
        (folder / ANSWERS).mkdir(parents=True, exist_ok=True)
        # All are written before the first takes its place: a full disk leaves the last report.
        for name, text in texts.items():
            (folder / f"{name}.tmp").write_text(text, encoding="utf-8", newline="\n")
        for name in texts:
            (folder / f"{name}.tmp").replace(folder / name)
    except OSError as error:
        for name in texts:
            (folder / f"{name}.tmp").unlink(missing_ok=True)
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); name another folder with --out"
        ) from None


def _without_answers(subject: Mapping[str, Any]) -> dict[str, Any]:
    slim = {name: value for name, value in subject.items() if name != "answers"}
    if slim["summaries"]:
        slim["summaries"] = {
            name: value for name, value in slim["summaries"].items() if name != "answers"
        }
    return slim


def _answers(subject: Mapping[str, Any]) -> str:
    """A row a passage, then a row an article; no text of the article but the summary's."""
    rows: dict[str, dict[str, Any]] = {}
    for identifier, answer in subject.get("answers", {}).items():
        rows.setdefault(identifier, {"id": identifier}).update(answer)
    for identifier, sentences in (subject["summaries"] or {}).get("answers", {}).items():
        rows.setdefault(identifier, {"id": identifier})["summary"] = sentences
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values())


def _file_name(name: str) -> str:
    """A subject's name as a file's: a URL holds slashes."""
    return "".join(letter if letter.isalnum() or letter in "-._ " else "-" for letter in name)
