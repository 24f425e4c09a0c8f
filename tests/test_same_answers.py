"""One article, four ways in: each must give the same bytes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.server import TinyModels, start_server
from tests.support import run

ARTICLES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Models to answer with; None are those that ship."""

    models: TinyModels | None
    options: list[object] = field(default_factory=list)


@pytest.fixture(params=["tiny", pytest.param("shipped", marks=pytest.mark.slow)])
def setting(request: pytest.FixtureRequest) -> Setting:
    device: list[object] = ["--device", "cpu"]
    if request.param == "shipped":
        return Setting(models=None, options=device)
    models: TinyModels = request.getfixturevalue("tiny_models")
    directories = ["--model", models.classifier, "--summariser", models.summariser]
    return Setting(models=models, options=[*directories, *device])


@pytest.fixture(scope="module")
def articles(repository: Path) -> dict[str, str]:
    """Of the corpus, put together again as plain text, by id."""
    return dict(list(read_corpus(repository))[:ARTICLES])


def read_corpus(repository: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((repository / "training" / "corpus").glob("*.jsonl")):
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            yield row["id"], "\n\n".join(passage["text"] for passage in row["passages"])


def test_a_command_an_archive_a_cluster_and_the_service_agree_to_the_byte(
    setting: Setting, articles: dict[str, str], tmp_path: Path
) -> None:
    # An editor checks on the screen what the archive desk has scored overnight. If the two
    # differed in a digit, neither would be trusted.
    assert len(articles) == ARTICLES
    files = []
    for id, text in articles.items():
        files.append(tmp_path / f"{id}.txt")
        files[-1].write_bytes(text.encode())
    told = run("analyse", *files, "--json", *setting.options)
    expected = told.out.splitlines()
    assert (told.code, len(expected)) == (0, ARTICLES)
    assert all(json.loads(line)["passages"] for line in expected)

    archive = tmp_path / "archive.jsonl"
    rows = ({"id": id, "text": text} for id, text in articles.items())
    archive.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for engine in (["embedded"], ["ray", "--workers", 2]):
        out = tmp_path / str(engine[0])
        how = ["--format", "jsonl", "--engine", *engine, *setting.options]
        ran = run("score", archive, out, *how)
        assert ran.code == 0, ran.err
        assert (out / "part-00000.jsonl").read_text("utf-8").splitlines() == expected

    with start_server(setting.models, tmp_path) as server, server.client() as client:
        answers = [
            client.post("/v1/analyse", json={"id": id, "text": text}).content.decode()
            for id, text in articles.items()
        ]
    assert answers == expected
