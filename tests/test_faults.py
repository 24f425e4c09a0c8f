"""Faults below the real server: a poison row, a network that loses a row, a clock that jumps."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.faults import POISON, Faults, wait_until
from tests.server import Server, TinyModels, start_server

# All of one padded length, so that a request's passages are one batch.
TEXTS = (
    "The army denied it.",
    "The talks were suspended.",
    "We will answer every strike.",
    "The ministry accused the group.",
    "The commander vowed.",
)
POISONED = f"The {POISON} port."


@pytest.fixture(scope="module")
def alone(faulty: Server) -> dict[str, dict[str, float]]:
    """The scores of each text in a request of its own; they tell the texts apart."""
    found = {text: faulty.classify(text).json()["results"][0]["scores"] for text in TEXTS}
    assert len({tuple(scores.values()) for scores in found.values()}) == len(TEXTS)
    return found


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["type"] == f"urn:tocsin:problem:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]


def scores_of(results: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [result["scores"] for result in results]


@pytest.mark.parametrize("raises", [False, True], ids=["scores NaN", "fails the run"])
def test_a_poison_row_fails_alone(
    faulty: Server, faults: Faults, alone: dict[str, dict[str, float]], raises: bool
) -> None:
    # BentoML fails the whole batch: one strange passage would take its neighbours with it.
    texts = [TEXTS[0], POISONED, *TEXTS[1:]]
    faults.forget()
    failed = faulty.metric("tocsin_failed_rows_total", task="classify")
    with faults.having(poison=faults.token(POISON), raises=raises):
        response = faulty.classify(*texts)
    assert any(len(run.rows) == len(texts) for run in faults.runs()), "they shared no batch"
    assert response.status_code == 200
    bad = response.json()["results"].pop(1)
    good = [result for result in response.json()["results"] if result["id"] != "1"]
    assert bad == {"id": "1", "error": bad["error"]}
    assert bad["error"]["code"] == "inference_failed"
    assert POISON not in bad["error"]["message"]
    assert scores_of(good) == list(alone.values())
    # The answer is 200: whoever runs the service sees it here or not at all. The metrics are told
    # after the callers.
    wait_until(lambda: faulty.metric("tocsin_failed_rows_total", task="classify") == failed + 1)
    reason = "RuntimeError" if raises else "not a number"
    assert f"the model failed on 1 of {len(texts)} rows ({reason})" in faulty.log


def test_a_poison_request_leaves_the_requests_beside_it_alone(
    faulty: Server, faults: Faults, alone: dict[str, dict[str, float]]
) -> None:
    with ThreadPoolExecutor(8) as pool, faults.having(poison=faults.token(POISON), raises=True):
        with faults.hold():
            first = pool.submit(faulty.classify, "The port.")
            faults.wait_held()
            poisoned = pool.submit(faulty.classify, POISONED)
            others = [pool.submit(faulty.classify, text) for text in TEXTS]
            wait_until(lambda: faulty.metric("tocsin_queue_jobs") == 2 + len(TEXTS))
        assert first.result().status_code == 200
        assert poisoned.result().json()["results"][0]["error"]["code"] == "inference_failed"
        found = [other.result().json()["results"] for other in others]
    assert [scores_of(results) for results in found] == [[scores] for scores in alone.values()]


@pytest.mark.parametrize("raises", [False, True], ids=["scores NaN", "fails the run"])
def test_an_article_that_cannot_be_scored_whole_is_refused_whole(
    faulty: Server, faults: Faults, raises: bool
) -> None:
    # A record with a passage missing or without scores would look like a calm article.
    paragraphs = [*TEXTS, POISONED]
    with (
        faults.having(poison=faults.token(POISON), raises=raises),
        faulty.client() as client,
    ):
        for route in ("/v1/analyse", "/v1/summarise"):
            response = client.post(route, json={"paragraphs": paragraphs})
            assert_problem(response, 500, "inference_failed")
            assert POISON not in response.text
    with faulty.client() as client:
        assert client.post("/v1/analyse", json={"paragraphs": paragraphs}).status_code == 200


def test_a_network_that_loses_a_row_never_shifts_scores(
    faulty: Server, faults: Faults, alone: dict[str, dict[str, float]]
) -> None:
    # BentoML slices what it got: the rows after the gap would carry their neighbours' labels.
    with faults.having(short=True, short_above=1):
        results = faulty.classify(*TEXTS).json()["results"]
    assert scores_of(results) == list(alone.values())
    with faults.having(short=True):
        results = faulty.classify(*TEXTS).json()["results"]
    assert [result["error"]["code"] for result in results] == ["inference_failed"] * len(TEXTS)
    assert scores_of(faulty.classify(*TEXTS).json()["results"]) == list(alone.values())


@pytest.mark.parametrize("clock_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_moves_no_deadline(
    faulty: Server, faults: Faults, clock_s: float
) -> None:
    # Wall clocks are set, by an hour too; what is measured with them would time out or never.
    with ThreadPoolExecutor(1) as pool:
        with faults.hold():
            waiting = pool.submit(faulty.classify, TEXTS[0])
            faults.wait_held()
            with faults.having(clock_s=clock_s):
                time.sleep(0.3)
                late = httpx.post(
                    f"{faulty.url}/v1/classify",
                    json={"passages": [{"id": "0", "text": TEXTS[1]}]},
                    headers={"X-Request-Timeout": "0.3"},
                )
        response = waiting.result()
    assert response.status_code == 200
    assert_problem(late, 504, "deadline_exceeded")
    timings = [part.split("dur=")[1] for part in response.headers["server-timing"].split(",")]
    assert all(0 <= float(timing) < 60_000 for timing in timings)


def test_a_clock_that_jumps_neither_fills_nor_empties_a_rate_limit(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    command = [sys.executable, "-m", "tocsin_serving.cli", "keys", "new", "desk"]
    command += ["--keys", str(keys), "--rate", "0.5"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    faults = Faults.install(tmp_path / "faults", tiny_models)
    with start_server(tiny_models, tmp_path, "--keys", keys, python_path=faults.folder) as limited:
        limited.headers = {"Authorization": f"Bearer {made.stdout.split()[-1]}"}

        def spend() -> httpx.Response:
            """Ask until the key has nothing left."""
            for _ in range(50):
                if (answer := limited.classify(TEXTS[0])).status_code == 429:
                    return answer
                assert answer.status_code == 200
            raise AssertionError("50 requests at once, at a rate of one in two seconds")

        assert_problem(spend(), 429, "rate_limited")
        with faults.having(clock_s=3600):
            assert limited.classify(TEXTS[0]).status_code == 429
        with faults.having(clock_s=-3600):
            wait_s = int(spend().headers["retry-after"])
            assert 1 <= wait_s <= 3
            time.sleep(wait_s)
            assert limited.classify(TEXTS[0]).status_code == 200
