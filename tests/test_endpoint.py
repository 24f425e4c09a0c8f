"""A running service as a subject: what callers get is what is measured, also after it died."""

import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.server import Server, TinyModels, launch, start_server, wait_ready
from tests.support import run
from tests.test_evaluate import (
    COPY,
    FAST,
    articles,
    assert_no_report,
    assert_refused,
    evaluate,
    passages,
    read_lines,
    subject,
    wait_for_answers,
    write,
)

from tocsin_models.errors import TocsinError
from tocsin_serving.client_errors import ServiceError
from tocsin_serving.endpoint import Endpoint


def test_a_service_has_the_numbers_of_the_models_it_serves(
    server: Server, tiny_models: TinyModels, tmp_path: Path
) -> None:
    # Between the model and the desk stand batching, rounding and JSON; none may change a decision.
    data = write(tmp_path / "p.jsonl", *passages())
    summaries = write(tmp_path / "s.jsonl", *articles())
    out = tmp_path / "out"
    words = (f"live={server.url}", tiny_models.classifier, tiny_models.summariser)
    ran = evaluate(*words, "--data", data, summaries, "--out", out, "--max-sentences", 2)
    assert ran.code == 0, ran.err
    live = subject(out, "live")["metrics"]
    model = subject(out, "tiny-classifier")
    for name, number in model["metrics"].items():
        assert live[name]["value"] == pytest.approx(number["value"], abs=1e-3), name
    for name, number in subject(out, "tiny-summariser")["metrics"].items():
        assert live[name] == number, name
    for one, other in zip(
        read_lines(out / "answers/live.jsonl"),
        read_lines(out / "answers/tiny-classifier.jsonl"),
        strict=False,
    ):
        assert one["id"] == other["id"]
        assert one["scores"] == pytest.approx(other["scores"], abs=5e-3)
    assert subject(out, "live")["thresholds"] == model["thresholds"]


def test_a_service_is_timed_as_its_callers_meet_it(server: Server, tmp_path: Path) -> None:
    data = write(tmp_path / "p.jsonl", *passages(6))
    how = ("--data", data, "--out", tmp_path / "out", "--no-suites", "--quiet")
    ran = run("evaluate", f"live={server.url}", *how, "--resamples", 100)
    assert ran.code == 0, ran.err
    cost = subject(tmp_path / "out", "live")["cost"]
    assert cost["p50_ms"] > 0
    assert cost["peak_memory_mib"] is None


def test_a_service_that_dies_half_way_is_gone_on_with(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # The long night: what was answered is kept, no half report lies about, and the same command
    # finishes the work once the service is back at its address.
    data = write(tmp_path / "long.jsonl", *passages(24 * 100))
    out = tmp_path / "out"
    server = launch(tiny_models, tmp_path)
    try:
        wait_ready(server)
        arguments = [f"live={server.url}", "--data", str(data), "--out", str(out), *FAST]
        code = "from tocsin_serving.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "evaluate", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_answers(out, 200)
        for one in server.processes():
            one.kill()
        printed, said = process.communicate(timeout=120)
    finally:
        server.stop()
    assert (process.returncode, printed) == (2, "")
    [line] = said.splitlines()
    assert line.startswith(f"tocsin: error: {server.url}/v1/classify")
    assert COPY not in line
    assert_no_report(out)
    [kept] = (out / "cache").iterdir()
    before = kept.read_bytes()
    assert 200 < before.count(b"\n") < 2_400
    # Neither a report nor anything else is asked again of what it has answered.
    with start_server(tiny_models, tmp_path, port=server.port) as again:
        assert evaluate(*arguments[: -len(FAST)]).code == 0
        asked = again.metric("tocsin_requests_total", route="/v1/classify")
        fresh = tmp_path / "fresh"
        assert evaluate(*arguments[:3], "--out", fresh).code == 0
    assert kept.read_bytes().startswith(before[: before.rfind(b"\n")])
    # One request is for the kind of model; the rest are of what was not yet answered.
    assert 1 < asked <= 1 + -(-(2_401 - before.count(b"\n")) // 128)
    for one in ("metrics", "slices", "thresholds"):
        assert subject(out, "live")[one] == subject(fresh, "live")[one]


def test_a_busy_service_is_asked_again(server: Server, tmp_path: Path) -> None:
    # Stopped for two seconds it answers nothing; an evaluation has the patience that a desk lacks.
    data = write(tmp_path / "p.jsonl", *passages(6))
    stopped = [process for process in server.processes() if process.is_running()]
    for process in stopped:
        process.suspend()
    threading.Timer(2, lambda: [process.resume() for process in stopped]).start()
    started = time.monotonic()
    ran = evaluate(f"live={server.url}", "--data", data, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert time.monotonic() - started > 1


def test_a_service_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    data = write(tmp_path / "p.jsonl", *passages(6))
    out = tmp_path / "out"
    url = "http://127.0.0.1:9"
    assert_refused(evaluate(url, "--data", data, "--out", out), out, url)


def test_a_wrong_key_is_told_and_not_shown(tiny_models: TinyModels, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    token = run("keys", "new", "desk", "--keys", keys).out.strip()
    data = write(tmp_path / "p.jsonl", *passages(6))
    out = tmp_path / "out"
    with start_server(tiny_models, tmp_path, "--keys", keys) as running:
        arguments = (f"live={running.url}", "--data", data, "--out", out)
        wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
        ran = evaluate(*arguments, key=wrong)
        assert_refused(ran, out, "401")
        assert wrong not in ran.err
        assert evaluate(*arguments, key=token).code == 0
    written = "".join(path.read_text("utf-8") for path in out.rglob("*") if path.is_file())
    assert token not in written


def test_no_passage_asks_nothing_and_no_text_is_in_an_error(server: Server) -> None:
    with closing(Endpoint(server.url, None)) as endpoint:
        assert endpoint.classifier.score([]).probabilities.shape == (0, 4)
        assert endpoint.classifier.score(["Talks."]).is_single_label is False
        with pytest.raises(TocsinError) as error:
            endpoint.classifier.score([f"{COPY} \ud800"])
    assert isinstance(error.value, ServiceError)
    assert COPY not in str(error.value)


def test_its_revision_is_the_models_at_the_address(server: Server) -> None:
    # Answers are kept by it: another model behind the same URL is another subject.
    with server.client() as client:
        models: list[dict[str, Any]] = client.get("/v1/models").json()["models"]
    with closing(Endpoint(server.url, None)) as endpoint:
        revision = endpoint.revision
    assert revision.startswith(f"{server.url} ")
    assert all(model["revision"] in revision for model in models)
