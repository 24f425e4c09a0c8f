"""What the README promises is run."""

import re
from pathlib import Path

import pytest

FOLDERS = ("models", "training", "eval", "serving", "serving/bento")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_python_of_the_readme_runs(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first lines that a developer copies.
    monkeypatch.chdir(repository)
    found = blocks((repository / "README.md").read_text("utf-8"), "python")
    assert found
    for block in found:
        exec(compile(block, "README.md", "exec"), {})
    assert "threat" in capsys.readouterr().out


def test_every_path_that_a_readme_names_is_there(repository: Path) -> None:
    # A moved file leaves a link that leads nowhere.
    for name in ("README.md", "CONTRIBUTING.md", *(f"{folder}/README.md" for folder in FOLDERS)):
        page = repository / name
        for target in re.findall(r"\]\((?!http|#|mailto)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{name}: {target}"


def test_every_make_target_in_the_readme_exists(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)`", (repository / "README.md").read_text("utf-8")))
    assert targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
