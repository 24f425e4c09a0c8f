"""The real server, as a process of its own, with models small enough to start in seconds."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from prometheus_client.parser import text_string_to_metric_families

# The fixtures ``faults`` and ``faulty``, which need what is here.
pytest_plugins = ["tests.faults"]

LABELS = ("claim", "diplomacy", "retaliation", "threat")
READY_S = 60.0
STOP_S = 15.0
# In the environment of every process of a server: how they are found when their parent is gone.
MARK = "TOCSIN_TEST_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyModels:
    """Two model directories with random weights, of which the converted copies are cached."""

    classifier: Path
    summariser: Path


class ServerDied(Exception):
    """A server ended before it was ready; ``code`` is its exit code, ``log`` what it wrote."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(f"exit code {code}; end of its log:\n{log[-3000:]}")
        self.code = code
        self.log = log


@dataclass(kw_only=True)
class Server:
    """A running ``tocsin serve`` on 127.0.0.1; ``log_path`` has its standard output and error."""

    port: int
    log_path: Path
    process: subprocess.Popen[bytes]
    mark: str
    cache: Path
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The parent, to which signals go."""
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    def processes(self) -> list[psutil.Process]:
        """Every living process of this server, the parent among them, even as orphans."""
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get(MARK) == self.mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that hold the models: those below the parent that run Python."""
        return [
            process
            for process in psutil.Process(self.pid).children(recursive=True)
            if not any("resource_tracker" in word for word in process.cmdline())
        ]

    def client(self, timeout_s: float = 30.0) -> httpx.Client:
        # Not verifying what is plain HTTP anyway saves reading certificates for each client.
        return httpx.Client(
            base_url=self.url, timeout=timeout_s, headers=dict(self.headers), verify=False
        )

    def classify(self, *texts: str, timeout_s: float = 30.0) -> httpx.Response:
        """POST /v1/classify with passages "0", "1", …"""
        passages = [{"id": str(index), "text": text} for index, text in enumerate(texts)]
        with self.client(timeout_s) as client:
            return client.post("/v1/classify", json={"passages": passages})

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples of exactly this name that carry ``labels``; 0 if none."""
        with self.client() as client:
            text = client.get("/metrics").raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def is_alive(self) -> bool:
        """Whether it still scores: one passage, answered."""
        return self.classify("We will answer every strike.").status_code == 200

    def stop(self, timeout_s: float = STOP_S) -> int:
        """SIGTERM, and SIGKILL for what is left after ``timeout_s``; the parent's exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # the exit code will tell
            self.process.wait(timeout_s)
        left = self.processes()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, 5)
        return self.process.wait(5)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(
    models: TinyModels | None,
    folder: Path,
    *arguments: object,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    python_path: Path | None = None,
    wrapper: tuple[str, ...] = (),
) -> Server:
    """``tocsin serve`` with ``arguments``, started but not waited for; the caller stops it.

    ``folder`` takes its log. ``models`` None are the embedded ones. ``python_path`` may hold a
    ``sitecustomize.py``, which Python runs at the start of every process of the server;
    ``wrapper`` is put before the command.
    """
    port = port or free_port()
    mark = uuid.uuid4().hex
    # Some libraries keep quiet on continuous integration only.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {MARK: mark, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    # What a killed server leaves goes with the tests' own folders.
    environment["TMPDIR"] = str(folder)
    if python_path:
        environment["PYTHONPATH"] = str(python_path)
    environment |= env or {}
    command = [*wrapper, sys.executable, "-m", "tocsin_serving.cli", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    if models:
        command += ["--model", str(models.classifier), "--summariser", str(models.summariser)]
    log_path = folder / f"server-{port}-{mark[:6]}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,  # a Ctrl-C in the tests' terminal is not for the server
        )
    cache = Path(environment["TOCSIN_CACHE"])
    return Server(port=port, log_path=log_path, process=process, mark=mark, cache=cache)


def wait_ready(server: Server, timeout_s: float = READY_S) -> None:
    """Until GET /readyz answers 200.

    Raises:
        ServerDied: the process ended instead.
        TimeoutError: it did not within ``timeout_s``; the message has the end of the log.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (code := server.process.poll()) is not None:
            raise ServerDied(code, server.log)
        try:
            with server.client(2) as client:
                if client.get("/readyz").status_code == 200:
                    return
        except httpx.TransportError:
            pass  # not listening yet, or listening before there is a worker
        time.sleep(0.05)
    raise TimeoutError(f"not ready after {timeout_s} s; end of its log:\n{server.log[-3000:]}")


@contextmanager
def start_server(
    models: TinyModels | None,
    folder: Path,
    *arguments: object,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    python_path: Path | None = None,
    wrapper: tuple[str, ...] = (),
) -> Iterator[Server]:
    """``launch``, until it is ready; stopped at the end, and no process left behind."""
    server = launch(
        models,
        folder,
        *arguments,
        port=port,
        env=env,
        python_path=python_path,
        wrapper=wrapper,
    )
    try:
        wait_ready(server)
        yield server
    finally:
        server.stop()


def build_tiny_models(folder: Path, tiny_base: Path) -> TinyModels:
    """Write a classifier and a summariser with random weights, and convert them into the cache.

    The classifier's weights are larger than a fresh model's, so that scores tell passages apart.
    """
    import torch

    from tocsin_models import hub
    from tocsin_models.classifier import load_classifier
    from tocsin_models.extractive import DocumentShape, SentenceScorer
    from tocsin_models.manifest import Manifest
    from tocsin_models.summariser import load_summariser
    from tocsin_training.output import write_directory

    tokenizer = hub.load_tokenizer(str(tiny_base))
    torch.manual_seed(1)
    model = hub.load_sequence_classifier(str(tiny_base), LABELS, "multi_label_classification")
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() == 2:
                weights.mul_(8)
    classifier = Manifest(
        name="tiny-classifier",
        task="classifier",
        max_tokens=64,
        languages=("en",),
        base="tiny",
        licence="Apache-2.0",
        files={},
        labels=LABELS,
        thresholds=dict.fromkeys(LABELS, 0.5),
        definitions={label: f"Does a party make a {label}?" for label in LABELS},
        metrics={"macro_f1": {"value": 0.5, "low": 0.4, "high": 0.6}},
    )
    write_directory(folder / "classifier", model, tokenizer, classifier)
    scorer = SentenceScorer(hub.load_encoder(str(tiny_base)), DocumentShape(layers=1))
    scorer.config.update({"document_layers": 1, "max_windows": 16})
    summariser = replace(
        classifier,
        name="tiny-summariser",
        task="summariser",
        labels=(),
        thresholds={},
        definitions={},
        metrics={},
    )
    write_directory(folder / "summariser", scorer, tokenizer, summariser)
    models = TinyModels(classifier=folder / "classifier", summariser=folder / "summariser")
    load_classifier(models.classifier, device="cpu")
    load_summariser(models.summariser, device="cpu")
    return models


@pytest.fixture(scope="session")
def tiny_models(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """Models for servers that start fast; they are in the cache of this run already."""
    return build_tiny_models(tmp_path_factory.mktemp("tiny-models"), tiny_base)


@pytest.fixture(scope="session")
def server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server without keys for all tests that leave it as they found it."""
    with start_server(tiny_models, tmp_path_factory.mktemp("server")) as running:
        yield running
