"""Faults inside the real server process: what goes wrong there is written in a file beside it.

``Faults.install`` puts a ``sitecustomize.py`` into a folder; given as ``python_path`` to
``start_server``, Python runs it in the parent and in the worker before anything of ours.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.server import Server, TinyModels, start_server

from tocsin_models.tokens import TextTokenizer

# A single token of the tiny models that no text holds by accident.
POISON = "[MASK]"

_SITECUSTOMIZE = """
import json
import time
from pathlib import Path

from tocsin_models.backends import OpenVinoRunner

HERE = Path(__file__).parent
run, wall_clock, wall_clock_ns = OpenVinoRunner.run, time.time, time.time_ns


def faults():
    return json.loads((HERE / "faults.json").read_text())


def faulty_run(self, inputs):
    now = faults()
    while (HERE / "hold").exists():
        (HERE / "holding").touch()
        time.sleep(0.002)
    ids = inputs["input_ids"]
    network = "summariser" if "pooling" in inputs else "classifier"
    with (HERE / "runs.jsonl").open("a") as runs:
        tokens = [sorted(set(row)) for row in ids.tolist()]
        line = {"at": time.monotonic(), "network": network, "rows": tokens, "length": ids.shape[1]}
        runs.write(json.dumps(line) + "\\n")
    time.sleep(now["delay_s"])
    poisoned = (ids == now["poison"]).any(axis=1)
    if now["raises"] and poisoned.any():
        raise RuntimeError("the device has gone")
    found = run(self, inputs)
    if network == "classifier":
        found[poisoned] = float("nan")
        if now["short"] and len(found) > now["short_above"]:
            found = found[1:]
    elif poisoned.any():
        found[:] = float("nan")
    return found


OpenVinoRunner.run = faulty_run
time.time = lambda: wall_clock() + faults()["clock_s"]
time.time_ns = lambda: wall_clock_ns() + int(faults()["clock_s"] * 1e9)
"""
_NONE = {
    "delay_s": 0.0,
    "poison": -1,
    "raises": False,
    "short": False,
    "short_above": 0,
    "clock_s": 0.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of a network: when (monotonic), which, the token ids of each row, their length."""

    at: float
    network: str
    rows: list[list[int]]
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults of one server; ``folder`` holds its ``sitecustomize.py``."""

    folder: Path
    tokenizer: TextTokenizer

    @classmethod
    def install(cls, folder: Path, models: TinyModels) -> "Faults":
        """No fault yet."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE, "utf-8")
        faults = cls(folder=folder, tokenizer=TextTokenizer(models.classifier))
        faults._write({})
        return faults

    @contextmanager
    def having(self, **changes: float | bool) -> Iterator[None]:
        """Within the block: ``delay_s`` before each run of a network; ``poison`` a token id whose
        rows become NaN, or with ``raises`` fail the whole run; ``short`` loses the first row of
        runs of more than ``short_above`` rows; ``clock_s`` is added to the wall clock."""
        self._write(changes)
        try:
            yield
        finally:
            self._write({})

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Within the block, until ``release``, no network runs; a call blocks its thread."""
        (self.folder / "holding").unlink(missing_ok=True)
        (self.folder / "hold").touch()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Let the networks run again."""
        (self.folder / "hold").unlink(missing_ok=True)

    def wait_held(self, timeout_s: float = 5.0) -> None:
        """Until a run waits in ``hold``."""
        wait_until(lambda: (self.folder / "holding").exists(), timeout_s)

    def runs(self) -> list[Run]:
        """Every run since the server began or ``forget`` was called."""
        path = self.folder / "runs.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [Run(**json.loads(line)) for line in lines]

    def forget(self) -> None:
        """Begin the list of runs anew."""
        (self.folder / "runs.jsonl").unlink(missing_ok=True)

    def token(self, word: str) -> int:
        """The id of a word that is one token."""
        [tokens] = self.tokenizer.encode([word])
        [token] = tokens.ids
        return token

    def has_read(self, word: str) -> bool:
        """Whether a network was given this one-token word."""
        token = self.token(word)
        return any(token in row for run in self.runs() for row in run.rows)

    def _write(self, changes: dict[str, Any]) -> None:
        scratch = self.folder / "faults.new"
        scratch.write_text(json.dumps({**_NONE, **changes}), "utf-8")
        scratch.replace(self.folder / "faults.json")  # whole at every moment


@pytest.fixture(scope="session")
def faults(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """The faults of ``faulty``."""
    return Faults.install(tmp_path_factory.mktemp("faults"), tiny_models)


@pytest.fixture(scope="session")
def faulty(
    tiny_models: TinyModels, faults: Faults, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server with the default options for all tests that go wrong inside it and mend it."""
    folder = tmp_path_factory.mktemp("faulty")
    with start_server(tiny_models, folder, python_path=faults.folder) as running:
        yield running


def wait_until(holds: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Until ``holds()`` is true.

    Raises:
        TimeoutError: it was not within ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout_s} s")
        time.sleep(0.01)
