"""A run on a cluster that is stopped from outside: nothing is left running, nothing is lost."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from tests.server import MARK, TinyModels
from tests.support import run
from tests.test_cluster import archive, files

pytestmark = pytest.mark.slow

ROWS = 3_000
START_S = 180.0


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 130), ("SIGKILL", -signal.SIGKILL)]
)
def test_a_run_that_is_stopped_leaves_no_process_and_goes_on(
    tiny_models: TinyModels, tmp_path: Path, name: str, code: int
) -> None:
    # A cluster nobody knows of keeps two cores busy and holds articles in memory.
    path, out, mark = archive(tmp_path, ROWS), tmp_path / "out", uuid.uuid4().hex
    models = ["--model", tiny_models.classifier, "--summariser", tiny_models.summariser]
    asked = [path, out, "-o", out.with_suffix(".jsonl"), "--device", "cpu", *models]
    command = [sys.executable, "-m", "tocsin_serving.cli", "score", *asked, "--engine", "ray"]
    process = subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_for_blocks(out, process)
        # Ctrl-C goes to all that the terminal started; the others to the one process.
        send = os.killpg if name == "SIGINT" else os.kill
        send(process.pid, getattr(signal, name))
        _, said = process.communicate(timeout=60)
        assert process.returncode == code
        if code == 130:
            assert "run the same command again to go on" in said.decode()
        assert "Traceback" not in said.decode()
        # Ray's two agents, which hold no article, notice a killed raylet after a minute or two.
        assert [name for name in left_running(mark) if "Agent" not in name] == []
    finally:
        process.kill()
    committed = len(list((out / ".run" / "blocks").glob("*.jsonl")))
    assert 0 < committed < ROWS / 250
    ran = run("score", *asked)
    assert ran.code == 3, ran.err
    assert f"read {ROWS:,} =" in ran.err
    whole = tmp_path / "whole"
    assert run("score", path, whole, "-o", whole.with_suffix(".jsonl"), *asked[4:]).code == 3
    assert files(out) == files(whole)


def wait_for_blocks(out: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if any((out / ".run" / "blocks").glob("*.jsonl")):
            return
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.05)
    raise TimeoutError("nothing was scored")


def left_running(mark: str) -> list[str]:
    """What still runs of a command, after a while to end in."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and find(mark):
        time.sleep(0.2)
    return [" ".join(process.cmdline()) for process in find(mark)]


def find(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get(MARK) == mark
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
