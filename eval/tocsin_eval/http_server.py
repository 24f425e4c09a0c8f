"""Servers as their users start them: by their command line, on a free port of this machine.

Whatever happens, Ctrl-C included, a server that was started here is stopped here.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tocsin_eval.http_memory import is_alive, process_tree
from tocsin_models.errors import DataError

HOST = "127.0.0.1"

# Tells the baseline its classifier directory; the embedded one where it is not set.
MODEL_VARIABLE = "TOCSIN_BENCH_MODEL"

# The first start of a model converts it, and torch alone takes seconds to import.
READY_S = 120.0

# Longer than the server gives itself to finish what it has admitted (`tocsin serve --grace 30`).
STOP_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answered ``/readyz``; ``pid`` is of the process that was started."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def post(self, path: str, value: object) -> Any:
        """The JSON answer to a JSON request.

        Raises:
            DataError: the status is not 200; with the status alone, as answers may hold copy.
        """
        status, body = self._ask("POST", path, json.dumps(value), 60.0)
        if status != 200:
            raise DataError(f"{self.name}: POST {path} was answered with status {status}")
        return json.loads(body)

    def is_ready(self) -> bool:
        try:
            return self._ask("GET", "/readyz", None, 1.0)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _ask(self, method: str, path: str, body: str | None, timeout_s: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, body and body.encode(), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def tocsin(
    model: Path | None = None, threads: int | None = None, timeout_s: float | None = None
) -> Iterator[Server]:
    """``tocsin serve`` at its defaults, on the CPU.

    Raises:
        DataError: the command is missing, or the server does not become ready.
    """
    options: list[str] = ["--device", "cpu"]
    options += ["--model", str(model.resolve())] if model else []
    options += ["--threads", str(threads)] if threads else []
    options += ["--timeout", f"{timeout_s:g}"] if timeout_s else []
    port = free_port()
    command = [executable("tocsin"), "serve", "--host", HOST, "--port", str(port), *options]
    with running("tocsin serve", command, port, {}) as server:
        yield server


@contextmanager
def plain_pipeline(model: Path | None = None) -> Iterator[Server]:
    """``bentoml serve`` of ``pipeline_service.py``, kept from reporting home.

    Raises:
        DataError: the command is missing, or the server does not become ready.
    """
    port = free_port()
    service = "tocsin_eval.pipeline_service:PlainPipeline"
    command = [executable("bentoml"), "serve", service, "--host", HOST, "--port", str(port)]
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": home,
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        if model:
            environment[MODEL_VARIABLE] = str(model.resolve())
        with running("bentoml serve", command, port, environment) as server:
            yield server


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str]
) -> Iterator[Server]:
    """A server in a folder of its own, from its being ready to its being gone.

    Raises:
        DataError: it ended, or was not ready in time; with the last line of what it wrote.
    """
    with tempfile.TemporaryDirectory() as folder, _terminated_as_interrupted():
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            # A session of its own: Ctrl-C is for us, who then stop it in order.
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            server = Server(name=name, port=port, pid=process.pid)
            deadline_s = time.monotonic() + READY_S
            while not server.is_ready():
                if process.poll() is not None or time.monotonic() > deadline_s:
                    told = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                    raise DataError(f"{name}: did not become ready: {''.join(told[-1:])[:300]}")
                time.sleep(0.1)
            yield server
        finally:
            _stop(name, process)


def _stop(name: str, process: subprocess.Popen[bytes]) -> None:
    # Workers have sessions of their own (circus gives them one), so no signal to a group is enough.
    found = process_tree(process.pid)
    try:
        process.terminate()
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        print(f"{name}: still there {STOP_S:.0f} s after SIGTERM; killed", file=sys.stderr)
    finally:
        # The parent first, or it would start its workers again.
        left = list(filter(is_alive, dict.fromkeys([*found, *process_tree(process.pid)])))
        for one in left:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        while any(map(is_alive, left)):
            time.sleep(0.01)
        process.wait()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that ``finally`` is reached."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def executable(name: str) -> str:
    """A command of this environment.

    Raises:
        DataError: it is not installed.
    """
    beside = Path(sys.executable).parent / name
    command = str(beside) if beside.exists() else shutil.which(name)
    if command is None:
        raise DataError(f"{name}: no such command; install the project with its extras")
    return command
