"""Converting models apart from the server, so that a server never holds torch."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server import TinyModels

from tocsin_models import prepare
from tocsin_models.errors import ModelDamaged, ModelNotFound
from tocsin_models.prepare import main, prepare_apart


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have been run; none of them is."""
    found: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        found.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    return found


SERVER = """
import sys
from pathlib import Path
from tocsin_models.classifier import load_classifier
from tocsin_models.prepare import prepare_apart
from tocsin_models.summariser import load_summariser

classifier, summariser = map(Path, sys.argv[1:])
prepare_apart(classifier, summariser, "cpu")
load_classifier(classifier, device="cpu")
load_summariser(summariser, device="cpu")
print(*sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_a_server_that_starts_with_an_empty_cache_never_loads_torch(
    tiny_models: TinyModels, empty_cache: Path
) -> None:
    # torch takes half a gigabyte for as long as the server runs; the service is held to one.
    command = [sys.executable, "-c", SERVER]
    command += [str(tiny_models.classifier), str(tiny_models.summariser)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
    assert len([entry for entry in empty_cache.iterdir() if (entry / "sha256").is_file()]) == 2


def test_what_is_in_the_cache_is_not_prepared_again(
    tiny_models: TinyModels, children: list[list[str]]
) -> None:
    # Else each start would wait for a process that finds nothing to do.
    prepare_apart(tiny_models.classifier, tiny_models.summariser, "cpu")
    prepare_apart(tiny_models.classifier, tiny_models.summariser, "auto")
    assert children == []


def test_a_damaged_entry_is_prepared_again(
    tiny_models: TinyModels, empty_cache: Path, cache: Path, children: list[list[str]]
) -> None:
    shutil.copytree(cache / "openvino", empty_cache)
    prepare_apart(tiny_models.classifier, tiny_models.summariser, "cpu")
    assert children == []
    for weights in empty_cache.glob("*/model.bin"):
        weights.write_bytes(weights.read_bytes()[:-1])
    prepare_apart(tiny_models.classifier, tiny_models.summariser, "cpu")
    [command] = children
    assert command[0] == sys.executable
    assert "tocsin_models.prepare" in command
    assert str(tiny_models.classifier) in command
    assert str(tiny_models.summariser) in command


def test_a_child_that_fails_costs_nothing_but_its_time(
    tiny_models: TinyModels, empty_cache: Path, children: list[list[str]]
) -> None:
    # The stand-in above ends with 1: loading will convert, and tell what is wrong.
    prepare_apart(tiny_models.classifier, tiny_models.summariser, "cpu")
    assert len(children) == 1


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_nothing_is_converted_for_a_gpu(
    tiny_models: TinyModels,
    empty_cache: Path,
    children: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
) -> None:
    monkeypatch.setattr(prepare, "may_have_gpu", lambda: True)
    prepare_apart(tiny_models.classifier, tiny_models.summariser, device)
    assert children == []


def test_a_directory_that_is_no_model_is_told_before_a_child_is_started(
    tiny_models: TinyModels, tmp_path: Path, children: list[list[str]]
) -> None:
    with pytest.raises(ModelNotFound):
        prepare_apart(tmp_path / "nowhere", tiny_models.summariser, "cpu")
    with pytest.raises(ModelDamaged):
        prepare_apart(tiny_models.classifier, tmp_path, "cpu")
    assert children == []


def test_the_command_fills_a_cache_or_says_in_one_line_why_not(
    tiny_models: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # An image is built with it: a traceback in a build's log helps nobody.
    words = ["--classifier", str(tiny_models.classifier)]
    words += ["--summariser", str(tiny_models.summariser)]
    assert main(words) == 0
    assert main([*words[:3], str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("tocsin_models.prepare: ")
    assert "manifest.json is missing" in line
