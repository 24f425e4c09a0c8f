"""What the tests of the batch scorer share: rows in, results out, with the models of ten lines."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tests.support import KeywordClassifier, LeadSummariser

from tocsin_models.protocols import Classifier
from tocsin_serving.archive.asked import Asked
from tocsin_serving.archive.inputs import Source
from tocsin_serving.archive.plan import Counts
from tocsin_serving.archive.readers import read_rows
from tocsin_serving.archive.rows import RawRow
from tocsin_serving.archive.run import How, score_archive
from tocsin_serving.archive.scoring import Models

ARTICLE = (
    "Envoys leave Marash without a deal\n\n"
    "The envoy left Marash on Sunday after two days of talks that brought no result.\n\n"
    "The Coast Brigade vowed to strike the port again before the month was out.\n"
)


QUIET = How(is_quiet=True)


def write_rows(path: Path, rows: Iterable[Any]) -> Path:
    """JSON Lines; bytes stand for themselves."""
    lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def models(asked: Asked, classifier: Classifier | None = None) -> Models:
    return Models(
        classifier=(classifier or KeywordClassifier()) if asked.needs_classifier else None,
        summariser=LeadSummariser() if asked.needs_summariser else None,
    )


def score(
    source: Path | str | Sequence[Path | str],
    out: Path,
    file: Path | None = None,
    classifier: Classifier | None = None,
    how: How = QUIET,
    **options: Any,
) -> Counts:
    """``tocsin score``, with JSON Lines as its results unless told otherwise."""
    asked = Asked(**{"format": "jsonl", **options})
    asked.check()
    names = [source] if isinstance(source, Path | str) else source
    return score_archive(
        [str(name) for name in names], out, asked, lambda: models(asked, classifier), file, how
    )


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of all parts, in their order."""
    rows: list[dict[str, Any]] = []
    for path in sorted(out.glob("part-*")):
        rows += pq.read_table(path).to_pylist() if path.suffix == ".parquet" else read_lines(path)
    return rows


def rejects(out: Path) -> list[dict[str, Any]]:
    path = out / "rejects.jsonl"
    return read_lines(path) if path.exists() else []


def contents(out: Path) -> dict[str, bytes]:
    """What a run left but the manifest, which holds times."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def raw_rows(source: Source) -> list[RawRow]:
    return list(read_rows(source))
