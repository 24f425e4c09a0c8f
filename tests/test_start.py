"""The real process: what a start imports, whom it calls, and that it works without a network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Notes each connection, name look-up and child process that is tried, then what is loaded.
PREAMBLE = """
import json, sys
seen = []
WATCHED = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen",
           "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec"}
sys.addaudithook(lambda event, arguments: event in WATCHED and seen.append(event))
from tocsin_serving.cli import main
try:
    main()
finally:
    loaded = [name for name in ("torch", "transformers", "openvino_telemetry")
              if sys.modules.get(name) is not None]
    print(json.dumps({"seen": seen, "loaded": loaded}), file=sys.stderr)
"""


def start(
    repository: Path, cache: Path, wrapper: list[str]
) -> tuple[dict[str, object], dict[str, list[str]]]:
    """The record of the demo article, and what the process did meanwhile."""
    article = repository / "serving" / "tocsin_serving" / "demo" / "article.txt"
    # Some libraries keep quiet on continuous integration only.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment["TOCSIN_CACHE"] = str(cache)
    command = [*wrapper, sys.executable, "-c", PREAMBLE, "analyse", "--json", str(article)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), json.loads(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def first(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, object], dict[str, list[str]]]:
    """A first start with an empty cache: both models are converted."""
    cache = tmp_path_factory.mktemp("first-start")
    return cache, *start(repository, cache, [])


def test_a_first_start_calls_nobody(
    first: tuple[Path, dict[str, object], dict[str, list[str]]],
) -> None:
    # Copy is confidential: converting with OpenVINO alone once started 42 telemetry processes.
    _, _, did = first
    assert did["seen"] == []
    assert "openvino_telemetry" not in did["loaded"]


def test_a_second_start_loads_no_training_library_and_answers_the_same(
    repository: Path, first: tuple[Path, dict[str, object], dict[str, list[str]]]
) -> None:
    # torch and transformers take seconds to import; an editor's screen has one.
    cache, record, _ = first
    again, did = start(repository, cache, [])
    assert did == {"seen": [], "loaded": []}
    assert again == record


def test_it_works_where_there_is_no_network_at_all(
    repository: Path, first: tuple[Path, dict[str, object], dict[str, list[str]]], tmp_path: Path
) -> None:
    # An air-gapped newsroom: a namespace without a route, and a cache that is still empty.
    wrapper = ["unshare", "--map-root-user", "--net"]
    probe = [*wrapper, "true"]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("needs unshare and the right to make a network namespace")
    record, did = start(repository, tmp_path, wrapper)
    assert record == first[1]
    assert did["seen"] == []
