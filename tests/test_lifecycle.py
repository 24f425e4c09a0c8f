"""Starting, stopping and being killed: what the real process leaves, loses and says."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from tests.faults import Faults, wait_until
from tests.server import Server, TinyModels, launch, start_server

TEXT = "We will answer every strike, the commander vowed."


def scores(server: Server) -> object:
    return server.classify(TEXT).raise_for_status().json()["results"]


def refusal(models: TinyModels, folder: Path, *arguments: object, port: int | None = None) -> str:
    """What a start that is refused says, with exit code 2: a line, or a heading and a line."""
    refused = launch(models, folder, *arguments, port=port)
    try:
        code = refused.process.wait(20)
    finally:
        refused.stop()
    assert code == 2, refused.log
    assert refused.log.startswith("tocsin: error: ")
    assert len(refused.log.strip().splitlines()) <= 2, refused.log
    return refused.log


def is_refused(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


def test_sigterm_loses_nothing_that_was_admitted(tiny_models: TinyModels, tmp_path: Path) -> None:
    # A roll-out in the middle of the day must not cost an editor an answer.
    faults = Faults.install(tmp_path / "faults", tiny_models)
    grace_s = 20
    with (
        start_server(
            tiny_models, tmp_path, "--grace", grace_s, python_path=faults.folder
        ) as stopping,
        ThreadPoolExecutor(16) as pool,
    ):
        with faults.hold():
            admitted = [pool.submit(stopping.classify, TEXT, TEXT) for _ in range(10)]
            with stopping.client() as client:
                article = pool.submit(
                    client.post, "/v1/analyse", json={"paragraphs": [TEXT] * 5}, timeout=30
                )
                faults.wait_held()
                wait_until(lambda: stopping.metric("tocsin_queue_jobs") == len(admitted) + 1)
                stopping.process.send_signal(signal.SIGTERM)
                started = time.monotonic()
                time.sleep(0.5)
                for path, body in (("/v1/classify", {"passages": []}), ("/readyz", None)):
                    try:
                        late = httpx.request(
                            "POST" if body else "GET", stopping.url + path, json=body, timeout=2
                        )
                    except httpx.ConnectError:
                        continue
                    assert late.status_code == 503, late.text
                    assert late.headers["connection"] == "close"
                    if body:
                        assert late.json()["code"] == "draining"
                        assert int(late.headers["retry-after"]) >= 1
                assert stopping.process.poll() is None
                faults.release()
                assert article.result().status_code == 200
        answers = [future.result() for future in admitted]
        assert [answer.status_code for answer in answers] == [200] * 10
        # A client that keeps its connections would send its next request here again.
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert stopping.process.wait(grace_s) == 0
        assert time.monotonic() - started < grace_s
        assert stopping.processes() == []


def test_a_server_that_ends_refuses_a_large_article_with_a_whole_answer(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # Closing while the client still writes resets the connection: it would never learn that it
    # should come again.
    faults = Faults.install(tmp_path / "faults", tiny_models)
    body = b'{"passages": [{"id": "a", "text": "%b"}]}' % (b"x" * 2_000_000)
    head = b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with (
        start_server(tiny_models, tmp_path, python_path=faults.folder) as ending,
        ThreadPoolExecutor(1) as pool,
        faults.hold(),
    ):
        admitted = pool.submit(ending.classify, TEXT)
        faults.wait_held()
        with socket.create_connection(("127.0.0.1", ending.port), 20) as kept:
            ending.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining: " in ending.log)
            kept.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            refused = HTTPResponse(kept)
            refused.begin()
            assert (refused.status, refused.getheader("connection")) == (503, "close")
            assert json.loads(refused.read())["code"] == "draining"
            assert kept.recv(1) == b""
        faults.release()
        assert admitted.result().status_code == 200


def test_what_never_ends_is_cut_off_after_the_grace_period(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # BentoML's supervisor waits for a day.
    faults = Faults.install(tmp_path / "faults", tiny_models)
    with (
        start_server(tiny_models, tmp_path, "--grace", 2, python_path=faults.folder) as stuck,
        ThreadPoolExecutor(1) as pool,
        faults.hold(),
    ):
        lost = pool.submit(stuck.classify, TEXT)
        faults.wait_held()
        stuck.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        stuck.process.wait(10)
        assert time.monotonic() - started < 6
        wait_until(lambda: not stuck.processes())
        with suppress(httpx.TransportError):  # cut off
            assert lost.result().status_code == 503


def test_a_killed_server_takes_its_worker_along_and_starts_again(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # An orphan would keep the port, and a gigabyte.
    with start_server(tiny_models, tmp_path) as killed:
        before = scores(killed)
        assert len(killed.processes()) >= 1
        os.kill(killed.pid, signal.SIGKILL)
        killed.process.wait(5)
        wait_until(lambda: not killed.processes(), 10)
        assert is_refused(killed.port)
    with start_server(tiny_models, tmp_path, port=killed.port) as again:
        assert scores(again) == before


def test_a_killed_worker_ends_the_server(tiny_models: TinyModels, tmp_path: Path) -> None:
    # BentoML's supervisor lives on with an open port that answers nobody. Whoever runs us restarts
    # a process that has ended; nothing restarts one that only looks alive.
    with start_server(tiny_models, tmp_path) as crashed:
        [worker, *_] = sorted(
            crashed.workers(), key=lambda process: process.memory_info().rss, reverse=True
        )
        os.kill(worker.pid, signal.SIGKILL)
        # circus looks after its workers every ten seconds.
        assert crashed.process.wait(12) != 0
        wait_until(lambda: not crashed.processes(), 5)
        assert is_refused(crashed.port)
        # A killed process writes no last line that could say why.
        assert "look for the OOM killer" in crashed.log


def test_two_servers_live_side_by_side(
    server: Server, tiny_models: TinyModels, tmp_path: Path
) -> None:
    # Two of BentoML's that share a home wipe each other's metrics.
    requests = server.metric("tocsin_requests_total", route="/v1/classify")
    with start_server(tiny_models, tmp_path) as second:
        expected = scores(server)
        assert scores(second) == expected
        assert second.metric("tocsin_requests_total", route="/v1/classify") == 1
        assert server.metric("tocsin_requests_total", route="/v1/classify") == requests + 1
        assert second.stop() == 0
        assert scores(server) == expected
        assert server.metric("tocsin_requests_total", route="/v1/classify") == requests + 2


def test_a_port_that_is_taken_is_refused_by_its_number(
    server: Server, tiny_models: TinyModels, tmp_path: Path
) -> None:
    assert str(server.port) in refusal(tiny_models, tmp_path, port=server.port)
    assert server.is_alive()


@pytest.mark.parametrize("after_s", [0.3, 1.5])
def test_a_start_can_be_broken_off(tiny_models: TinyModels, tmp_path: Path, after_s: float) -> None:
    # Whoever sees at once that it was the wrong model does not wait until it is loaded. circus
    # loses a signal that comes while it starts its worker, so that it has to be told again.
    hasty = launch(tiny_models, tmp_path)
    time.sleep(after_s)
    started = time.monotonic()
    assert hasty.stop() in (0, -signal.SIGTERM)
    assert time.monotonic() - started < 8
    assert "Traceback" not in hasty.log


@pytest.fixture
def copied(tiny_models: TinyModels, tmp_path: Path) -> TinyModels:
    """Model directories that a test may damage."""
    for model in (tiny_models.classifier, tiny_models.summariser):
        shutil.copytree(model, tmp_path / "models" / model.name)
    return TinyModels(
        classifier=tmp_path / "models" / "classifier",
        summariser=tmp_path / "models" / "summariser",
    )


def test_models_removed_while_it_runs_are_not_missed(copied: TinyModels, tmp_path: Path) -> None:
    # Whoever updates a directory in place must not take the running service down.
    with start_server(copied, tmp_path) as running, running.client() as client:
        before = scores(running)
        models = client.get("/v1/models").json()
        shutil.rmtree(tmp_path / "models")
        assert scores(running) == before
        assert client.get("/v1/models").json() == models
        assert client.get("/readyz").status_code == 200
        summary = client.post("/v1/summarise", json={"text": TEXT})
        assert summary.status_code == 200
        # And nothing of them is left to start from.
        assert "no such model directory" in refusal(copied, tmp_path)


@pytest.mark.parametrize("task", ["classifier", "summariser"])
def test_damaged_weights_are_refused_at_the_start(
    copied: TinyModels, tmp_path: Path, task: str
) -> None:
    # One flipped bit answers too, and nobody would ever know.
    weights = tmp_path / "models" / task / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    said = refusal(copied, tmp_path)
    assert "model.safetensors" in said
    assert "SHA-256" in said


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 KiB; where it cannot be mounted, a path that cannot be written."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        # No directory, for root neither, whom permissions do not stop.
        yield Path(os.devnull) / "cache"
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_for_the_cache_costs_a_warning(
    server: Server, tiny_models: TinyModels, tmp_path: Path
) -> None:
    # One line for two models: the administrator is told once.
    with (
        full_disk(tmp_path / "full") as cache,
        start_server(tiny_models, tmp_path, env={"TOCSIN_CACHE": str(cache)}) as running,
    ):
        assert scores(running) == scores(server)
        assert running.log.count("cannot be written") == 1, running.log


@pytest.mark.slow
def test_kills_during_the_first_start_leave_a_cache_that_works(
    server: Server, tiny_models: TinyModels, tmp_path: Path
) -> None:
    # Killed at whatever moment, half a converted network must not be read later.
    environment = {"TOCSIN_CACHE": str(tmp_path / "cache")}
    for tenths in range(10, 90, 16):
        killed = launch(tiny_models, tmp_path, env=environment)
        time.sleep(tenths / 10)
        killed.process.kill()
        killed.stop()
    with start_server(tiny_models, tmp_path, env=environment) as running:
        assert scores(running) == scores(server)
