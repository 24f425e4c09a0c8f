"""More than the real server can do at once: who is refused, who is served, what is given back."""

import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from tests.faults import Faults, wait_until
from tests.server import Server, TinyModels, start_server

# 64 tokens with its padding: a request's 256 rows of it are a quarter of the queue.
LONG = "We will answer every strike, the commander vowed, and the talks were suspended. " * 3
QUARTER = 256


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as threads:
        yield threads


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["request_id"] == response.headers["x-request-id"]


def classify(server: Server, text: str, rows: int = 1, **headers: str) -> httpx.Response:
    passages = [{"id": str(row), "text": text} for row in range(rows)]
    with server.client() as client:
        return client.post("/v1/classify", json={"passages": passages}, headers=headers)


def block(server: Server, faults: Faults, pool: ThreadPoolExecutor) -> Future[httpx.Response]:
    """A request that holds the inference thread; everything after it waits in the queue."""
    first = pool.submit(classify, server, "The port.")
    faults.wait_held()
    return first


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(
    faulty: Server, faults: Faults, pool: ThreadPoolExecutor
) -> None:
    # BentoML's queue is unbounded: all wait, and all time out.
    with faults.hold():
        block(faulty, faults, pool)
        waiting = [pool.submit(classify, faulty, LONG, QUARTER) for _ in range(6)]
        wait_until(lambda: sum(future.done() for future in waiting) >= 2)
        started = time.monotonic()
        refused = classify(faulty, LONG)
        assert time.monotonic() - started < 1
        assert_problem(refused, 429, "queue_full")
        retry_after = refused.headers["retry-after"]
        assert retry_after.isdecimal()
        assert int(retry_after) >= 1
        # Refused work costs nothing, and whoever watches can still see in.
        with faulty.client(2) as client:
            assert client.get("/livez").status_code == 200
            assert client.get("/metrics").status_code == 200
    answers = [future.result() for future in waiting]
    admitted = [answer for answer in answers if answer.status_code == 200]
    assert len(admitted) == 4
    assert [answer.status_code for answer in answers if answer not in admitted] == [429, 429]
    assert classify(faulty, LONG, 8).status_code == 200


def test_a_request_larger_than_the_queue_has_its_turn(faulty: Server) -> None:
    # A 429 would have its client come back for ever.
    response = classify(faulty, LONG * 5, 256)
    assert response.status_code == 200, response.text
    assert {result["windows"] for result in response.json()["results"]} == {5}


def test_past_the_deadline_the_answer_is_504_and_the_room_is_free_again(
    faulty: Server, faults: Faults, pool: ThreadPoolExecutor
) -> None:
    # Three quarters of the queue twice: the second time would be refused if the first were kept.
    headers = {"X-Request-Timeout": "0.5"}
    with faults.hold():
        first = block(faulty, faults, pool)
        for _ in range(2):
            started = time.monotonic()
            late = [pool.submit(classify, faulty, LONG, QUARTER, **headers) for _ in range(3)]
            for future in late:
                assert_problem(future.result(), 504, "deadline_exceeded")
            assert 0.4 < time.monotonic() - started < 3
        faults.forget()
    assert first.result().status_code == 200
    assert classify(faulty, LONG, 8).status_code == 200
    # What nobody waits for any more is not computed.
    rows = sum(len(run.rows) for run in faults.runs())
    assert rows == 1 + 8


def test_a_request_that_is_being_worked_on_times_out_too(
    faulty: Server, faults: Faults, pool: ThreadPoolExecutor
) -> None:
    with faults.hold():
        started = time.monotonic()
        response = classify(faulty, LONG, 8, **{"X-Request-Timeout": "0.4"})
        assert time.monotonic() - started < 2
        assert_problem(response, 504, "deadline_exceeded")
        detail = response.json()["detail"]
        assert "within 0.4 s" in detail
        assert "up to 120 s, in X-Request-Timeout" in detail
    assert classify(faulty, LONG, 8).status_code == 200


def test_whoever_has_waited_as_long_as_allowed_is_not_told_to_allow_more(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # A longer X-Request-Timeout would be cut to the same, and time out again.
    faults = Faults.install(tmp_path / "faults", tiny_models)
    limits = ("--timeout", 1, "--max-timeout", 1)
    with (
        start_server(tiny_models, tmp_path, *limits, python_path=faults.folder) as hurried,
        faults.hold(),
    ):
        response = classify(hurried, LONG, 1, **{"X-Request-Timeout": "60"})
    assert_problem(response, 504, "deadline_exceeded")
    detail = response.json()["detail"]
    assert "within 1 s, the most that this service allows" in detail
    assert "--max-timeout" in detail
    assert "X-Request-Timeout" not in detail


def send_and_leave(server: Server, text: str) -> None:
    """A request whose client closes the connection before there is an answer."""
    body = json.dumps({"passages": [{"id": "a", "text": text}]}).encode()
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        time.sleep(1)  # long enough to be read and queued


def test_the_job_of_a_client_that_left_is_dropped_unread(
    faulty: Server, faults: Faults, pool: ThreadPoolExecutor
) -> None:
    # BentoML computes it: 21 abandoned requests once kept a live one waiting.
    abandoned = "tocsin_abandoned_jobs_total"
    before = faulty.metric(abandoned)
    with faults.hold():
        first = block(faulty, faults, pool)
        leaving = [pool.submit(send_and_leave, faulty, "suspended") for _ in range(3)]
        for future in leaving:
            future.result()
        wait_until(lambda: faulty.metric("tocsin_queue_jobs") == 1)
        faults.forget()
    assert first.result().status_code == 200
    assert classify(faulty, "The ministry.").status_code == 200
    assert faults.has_read("ministry")
    assert not faults.has_read("suspended")
    assert faulty.metric(abandoned) == before + 3


def test_a_body_that_trickles_in_is_given_up_while_others_are_served(faulty: Server) -> None:
    # 50 phones on a bad line, or one script, hold no more than their own connections.
    head = (
        b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\nX-Request-Timeout: 1.5\r\n\r\n"
    )
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", faulty.port), 5))
            for _ in range(50)
        ]
        for connection in slow:
            connection.sendall(head + b"{")
        said: list[tuple[int, str]] = []
        started = time.monotonic()
        while slow and (waited_s := time.monotonic() - started) < 20:
            answered, _, _ = select.select(slow, [], [], 0.2)
            for connection in answered:
                slow.remove(connection)
                answer = HTTPResponse(connection)
                answer.begin()
                said.append((answer.status, json.loads(answer.read())["code"]))
            if waited_s < 1:  # later a write may cross an answer, which the reset then takes along
                for connection in slow:
                    connection.sendall(b" ")
            asked = time.monotonic()
            assert classify(faulty, "The port.").status_code == 200
            assert time.monotonic() - asked < 2
        assert not slow
    assert said == [(408, "body_too_slow")] * 50


def test_a_client_that_does_not_read_holds_no_one_up(faulty: Server) -> None:
    # Answers that nobody takes must not pile up in memory, and others must be served.
    [worker, *_] = sorted(
        faulty.workers(), key=lambda process: process.memory_info().rss, reverse=True
    )
    before = worker.memory_info().rss
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.settimeout(1)
            deaf.connect(("127.0.0.1", faulty.port))
            deaf.sendall(ask * 100)
        time.sleep(0.5)
        started = time.monotonic()
        assert classify(faulty, "The port.").status_code == 200
        assert time.monotonic() - started < 2
        assert worker.memory_info().rss - before < 32 * 2**20


def test_one_passage_does_not_wait_for_an_article_of_500(
    faulty: Server, faults: Faults, pool: ThreadPoolExecutor
) -> None:
    # An editor's one paragraph must not stand behind an archive's longest article.
    article = {"paragraphs": [f"{LONG} {number}" for number in range(500)]}
    with faulty.client() as client, faults.having(delay_s=0.05):
        faults.forget()
        started = time.monotonic()
        long = pool.submit(client.post, "/v1/analyse", json=article)
        wait_until(lambda: len(faults.runs()) > 1)
        faults.forget()
        short = classify(faulty, "The ministry.")
        short_s = time.monotonic() - started
        read = [faults.token("ministry") in run.rows[0] for run in faults.runs()]
        assert short.status_code == 200
        assert read.index(True) <= 2
        assert long.result().status_code == 200
        assert len(long.result().json()["passages"]) == 500
        assert short_s < (time.monotonic() - started) / 2


def test_under_load_a_passage_has_the_score_it_has_alone(
    faulty: Server, pool: ThreadPoolExecutor
) -> None:
    texts = [
        "The army denied it.",
        "The talks were suspended, and the ministry accused the group of arming the port.",
        LONG,
    ]
    alone = {text: classify(faulty, text).json()["results"] for text in texts}
    asked = texts * 20
    answers = pool.map(lambda text: classify(faulty, text).json()["results"], asked)
    assert list(answers) == [alone[text] for text in asked]
