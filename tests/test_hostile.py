"""What a broken or hostile client sends to the real server: refused by contract, at no cost."""

import gzip
import json
import random
import socket
import string
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.faults import Faults
from tests.server import Server, TinyModels, start_server

SENTENCE = "We will answer every strike, the commander vowed."
MIB = 2**20


@pytest.fixture(autouse=True)
def survives(server: Server) -> Iterator[None]:
    """Whatever a test sends, the server scores afterwards, in the same process."""
    before = {process.pid for process in server.workers()}
    yield
    assert server.is_alive()
    assert {process.pid for process in server.workers()} == before


def resident_bytes(server: Server) -> int:
    return sum(process.memory_info().rss for process in server.workers())


def post(server: Server, content: bytes, **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json"} | headers
    with server.client() as client:
        return client.post("/v1/classify", content=content, headers=headers)


def passage(text: str) -> bytes:
    return b'{"passages": [{"id": "a", "text": "' + text.encode() + b'"}]}'


def assert_problem(
    status: int, headers: dict[str, str], body: bytes, code: str, wanted: int
) -> None:
    assert status == wanted, body
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == (code, wanted)
    assert problem["request_id"] == headers["x-request-id"]


def connect(server: Server, timeout_s: float = 10.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout_s)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of the next answer."""
    answer = HTTPResponse(connection)
    answer.begin()
    return (
        answer.status,
        {name.lower(): value for name, value in answer.getheaders()},
        answer.read(),
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut short"),
        pytest.param(b"[" * 100_000, id="100,000 brackets"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="100,000 brackets, closed"),
        pytest.param(b'{"passages":' * 100_000 + b"1" + b"}" * 100_000, id="100,000 objects"),
        pytest.param(
            b'{"passages": [{"id": "a", "text": "x"}], "thresholds": {"claim": NaN}}', id="NaN"
        ),
        pytest.param(
            b'{"passages": [{"id": "a", "text": "x"}], "thresholds": {"claim": -Infinity}}',
            id="Infinity",
        ),
        pytest.param(
            b'{"passages": [{"id": "a", "text": "x"}], "thresholds": {"claim": 1e999}}',
            id="a number that overflows",
        ),
        pytest.param(b'{"passages": ' + b"9" * 100_000 + b"}", id="100,000 digits"),
        pytest.param(passage(SENTENCE + "\\ud800"), id="lone surrogate"),
        pytest.param(passage(SENTENCE + "\\udc00\\ud800"), id="surrogates the wrong way round"),
        pytest.param(b'{"passages": [{"id": "\\udfff", "text": "x"}]}', id="surrogate in an id"),
        pytest.param(passage("x").replace(b"text", b"te\\ud800xt"), id="surrogate in a name"),
        pytest.param(passage(SENTENCE).replace(b"strike", b"\xff\xfe"), id="not UTF-8"),
        pytest.param(passage(SENTENCE).decode().encode("utf-16"), id="UTF-16"),
        pytest.param(passage(SENTENCE) + b"{}", id="two documents"),
        pytest.param(b'{"passages": [null, 1, "x", []]}', id="passages that are none"),
        pytest.param(b'{"passages": []}', id="no passage"),
    ],
)
def test_what_is_no_request_is_refused_without_being_quoted(server: Server, body: bytes) -> None:
    response = post(server, body)
    assert_problem(
        response.status_code, dict(response.headers), response.content, "invalid_request", 422
    )
    assert "commander" not in response.text
    assert len(response.content) < 4_000


def test_every_route_that_reads_json_refuses_what_is_none(server: Server) -> None:
    # BentoML's own routes answer in another shape, and log a piece of the text.
    with server.client() as client:
        for route in ("/v1/analyse", "/v1/classify", "/v1/summarise", "/classify", "/summarise"):
            for body in (b"{" + SENTENCE.encode(), b"[" * 100_000):
                response = client.post(
                    route, content=body, headers={"content-type": "application/json"}
                )
                headers = dict(response.headers)
                assert_problem(
                    response.status_code, headers, response.content, "invalid_request", 422
                )
    assert "commander" not in server.log


def test_a_gzip_bomb_is_not_unpacked(server: Server) -> None:
    bomb = gzip.compress(b" " * 64 * MIB)
    before = resident_bytes(server)
    for coding in ("gzip", "GZIP", "deflate", "br", "zstd", "gzip, identity"):
        response = post(server, bomb, **{"content-encoding": coding})
        assert_problem(
            response.status_code,
            dict(response.headers),
            response.content,
            "unsupported_media_type",
            415,
        )
    assert resident_bytes(server) - before < 16 * MIB


def test_a_body_of_60_mb_is_refused_by_its_declared_length(server: Server) -> None:
    # The refusal must come before the body: here none of it is ever sent.
    with connect(server) as connection:
        connection.sendall(
            b"POST /v1/analyse HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 60000000\r\n\r\n"
        )
        assert_problem(*read_answer(connection), "body_too_large", 413)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_of_60_mb_is_not_taken_into_memory(server: Server, is_chunked: bool) -> None:
    before = peak = resident_bytes(server)
    kind = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: 60000000"
    block = b"x" * 100_000
    chunk = b"186a0\r\n" + block + b"\r\n" if is_chunked else block
    with connect(server) as connection:
        connection.sendall(
            b"POST /v1/analyse HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + kind
            + b"\r\n\r\n"
        )
        # A server that closes while we still write resets the connection: an answer of its kind.
        with suppress(BrokenPipeError, ConnectionResetError):
            for number in range(600):
                connection.sendall(chunk)
                if number % 20 == 0:
                    peak = max(peak, resident_bytes(server))
        with suppress(ConnectionResetError):
            assert_problem(*read_answer(connection), "body_too_large", 413)
    assert max(peak, resident_bytes(server)) - before < 16 * MIB


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: nonsense",
        b"Head er: x",
        b"X-Nul: \0",
    ],
)
def test_a_request_whose_length_is_nonsense_is_closed(server: Server, head: bytes) -> None:
    # Of two lengths a proxy may believe the other one, and what follows is then another request.
    # The parser refuses this before there is a request to answer: 400 without a problem will do.
    with connect(server) as connection:
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + head
            + b"\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        said = b""
        while True:
            try:
                piece = connection.recv(65_536)
            except ConnectionResetError:
                break
            if not piece:
                break
            said += piece
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ", b"HTTP/1.1 422 "))
    assert said.count(b"HTTP/1.1 ") == 1


def test_endless_headers_are_not_taken_into_memory(server: Server) -> None:
    before = peak = resident_bytes(server)
    with connect(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            for number in range(600):
                connection.sendall(b"X-%d: " % number + b"x" * 100_000 + b"\r\n")
                if number % 20 == 0:
                    peak = max(peak, resident_bytes(server))
    assert max(peak, resident_bytes(server)) - before < 16 * MIB


@pytest.mark.parametrize("pieces", [1, 2, 3], ids=["one segment", "two", "cut in the head"])
def test_an_offer_to_upgrade_costs_no_body(server: Server, pieces: int) -> None:
    # Java's HttpClient and `curl --http2` offer HTTP/2 with every request over plain HTTP, and may
    # be answered in HTTP/1.1 (RFC 9110, 7.8). uvicorn's parser stops there and drops the body.
    body = passage(SENTENCE)
    head = (
        b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
        b"X-Request-Id: %d\r\nContent-Length: %d\r\n\r\n"
    )
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(3):  # and the connection is good for more
            whole = head % (number, len(body)) + body
            cuts = {1: [], 2: [len(whole) - len(body)], 3: [60, len(whole) - 9]}[pieces]
            for start, end in pairwise([0, *cuts, len(whole)]):
                connection.sendall(whole[start:end])
                time.sleep(0.05 * (pieces > 1))
            status, headers, said = read_answer(connection)
            assert (status, headers["x-request-id"]) == (200, str(number)), said
            assert json.loads(said)["results"][0]["scores"]


def test_many_offers_to_upgrade_in_one_segment_are_all_answered(server: Server) -> None:
    # Each is read a second time; one inside the other would end in a RecursionError.
    head = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    offer = head + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connect(server, 30) as connection:
        connection.sendall(offer * 1_500 + head + b"Connection: close\r\n\r\n")
        said = b""
        while piece := connection.recv(1 << 20):
            said += piece
    assert said.count(b"HTTP/1.1 200 ") == 1_501


def test_endless_trailers_are_not_taken_into_memory(server: Server) -> None:
    # They need no key and no deadline ends them: /livez has answered long before.
    for field in (b"X-%d: " + b"x" * 100_000 + b"\r\n", b"%d" + b"x" * 100_000):
        before = peak = resident_bytes(server)
        is_closed = False
        with connect(server) as connection:
            connection.sendall(
                b"POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-First: "
            )
            try:
                for number in range(600):
                    connection.sendall(field % number)
                    if number % 20 == 0:
                        peak = max(peak, resident_bytes(server))
            except (BrokenPipeError, ConnectionResetError):
                is_closed = True
        assert is_closed
        assert max(peak, resident_bytes(server)) - before < 16 * MIB


def test_trailers_are_read_over_and_the_next_request_is_answered(server: Server) -> None:
    # Some proxies add a checksum there. What is too much for one request is not for five.
    body = passage(SENTENCE)
    with connect(server) as connection:
        for number in range(5):
            connection.sendall(
                b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"%x\r\n%b\r\n0\r\nX-%d: "
                % (len(body), body, number)
                + b"x" * 300_000
                + b"\r\n\r\n"
            )
            assert read_answer(connection)[0] == 200


def test_a_request_head_that_stays_away_holds_no_one_up(server: Server) -> None:
    waiting = [connect(server) for _ in range(50)]
    try:
        for connection in waiting:
            connection.sendall(b"POST /v1/classify HT")
        started = time.monotonic()
        assert server.is_alive()
        assert time.monotonic() - started < 2
    finally:
        for connection in waiting:
            connection.close()


def test_a_connection_without_a_request_is_closed_and_one_that_waits_for_its_answer_is_not(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    # Such connections ask for no key, and each holds a file descriptor.
    faults = Faults.install(tmp_path / "faults", tiny_models)
    with (faults.folder / "sitecustomize.py").open("a", encoding="utf-8") as customise:
        customise.write("\nfrom tocsin_serving import head_limit\nhead_limit.HEAD_S = 0.5\n")
    half = b"POST /v1/classify HT"
    whole = (
        half + b"TP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n"
    )
    body = passage(SENTENCE)
    with start_server(tiny_models, tmp_path, python_path=faults.folder) as strict:
        for sent in (b"", half):
            with connect(strict, 20) as idle:
                idle.sendall(sent)
                assert idle.recv(1) == b""
        with connect(strict, 20) as busy:
            with faults.hold():
                # The next head may begin before the answer; the connection is kept until then.
                busy.sendall(whole % len(body) + body + half)
                faults.wait_held()
                time.sleep(1.5)
            assert read_answer(busy)[0] == 200
            assert busy.recv(1) == b""


def series(server: Server) -> int:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(not line.startswith("#") for line in lines)


def test_ten_thousand_paths_and_methods_add_no_metric_series(server: Server) -> None:
    # BentoML's label is the raw path: 300 of them are 6,000 series that are never freed.
    draw = random.Random(3)
    methods = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND", "LOCK")
    roots = ("", "v1/", "v1/classify/", "docs/", "metrics/", "livez/", "classify/", "static/")

    def line() -> bytes:
        tail = "".join(draw.choices(string.ascii_letters + string.digits + "%._-/", k=12))
        # The body of a HEAD has a length and is not there, so answers are read by their heads.
        return (
            f"{draw.choice(methods)} /{draw.choice(roots)}{tail}?{tail} HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def send(count: int) -> None:
        """``count`` requests on one connection, of which the last asks to close it."""
        with connect(server, 30) as connection:
            connection.sendall(
                b"".join(line() for _ in range(count - 1))
                + b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            )
            said = b""
            while piece := connection.recv(1 << 20):
                said += piece
        assert said.count(b"HTTP/1.1 ") == count
        assert b"HTTP/1.1 5" not in said

    before = resident_bytes(server)
    send(1_000)
    seen = series(server)
    for _ in range(9):
        send(1_000)
    assert series(server) <= seen + 20
    assert seen < 1_500
    assert resident_bytes(server) - before < 16 * MIB
    with server.client() as client:
        for method in ("BREW", "GETT", "classify"):
            client.request(method, "/v1/classify")
        metrics = client.get("/metrics").text
    assert "BREW" not in metrics
