"""Copy is confidential: a sentence that is sent in every way comes out nowhere, and nobody is
called.

One server takes the sentence through every route, good and bad; what came out of it is then read
by a test each: answers, log, metrics, traces, files. Another server is watched while it starts for
the first time and is used.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests.faults import POISON, Faults
from tests.server import Server, TinyModels, start_server

from tocsin_serving.routes import ROUTES

SENTENCE = "Quillon Vastergate hid the cobalt ledgers beneath Orrisdale weir."
WORD = SENTENCE.strip(".").replace(" ", "-")
HOST = "quillon-vastergate.orrisdale-weir.example"
FRENCH = (
    "Le ministre a démenti mardi que son armée ait bombardé le port, et les pourparlers ont été "
    f"suspendus jusqu'à la semaine prochaine. {SENTENCE}"
)
PIECE = 12
SCORING = tuple(template for template, route in ROUTES.items() if route.is_scoring)
MOST_BYTES = 20_000

# Runs in the server: what an exception of a library may carry, each by a number in the text.
_PLANTED = """
import asyncio, gc, logging, threading, warnings
from pydantic import BaseModel
from tocsin_serving.desk import Desk

class Number(BaseModel):
    value: int

async def fail(text):
    raise ValueError(text)

def read(text):
    try:
        {}[text]
    except KeyError as error:
        raise LookupError(text) from error

def say(text):
    logging.getLogger("foreign").error("cannot read %s", text)
    logging.getLogger("foreign").error("cannot read " + text)
    logging.getLogger("uvicorn.error").error(f"cannot read {text}")
    warnings.warn("cannot read " + text)
    thread = threading.Thread(target=read, args=(text,))
    thread.start()
    thread.join()

PLANTED = [
    read,
    lambda text: json.loads("{" + text),
    lambda text: (text + "\\u00e9").encode("ascii"),
    lambda text: text.encode().decode("utf-16-le").encode().decode("ascii"),
    lambda text: Number(value=text),
    lambda text: exec("raise ExceptionGroup(text, [ValueError(text), KeyError(text)])"),
    lambda text: open("/" + text),
    lambda text: asyncio.ensure_future(fail(text)),
    say,
]

def plant(method):
    async def planted(self, request, call):
        text = request.model_dump_json()
        for number, act in enumerate(PLANTED):
            if f"planted {number}." in text:
                act(text)
                await asyncio.sleep(0.01)
                gc.collect()
        return await method(self, request, call)
    return planted

for name in ("analyse", "classify", "summarise"):
    setattr(Desk, name, plant(getattr(Desk, name)))
"""
_KINDS_PLANTED = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that carried the sentence, and what came back; ``way`` says how it was carried."""

    way: str
    status: int
    head: str
    body: str


@dataclass(kw_only=True)
class Exposed:
    """All that can be seen of a server through which the sentence went."""

    sent: list[Sent] = field(default_factory=list)
    log: str = ""
    metrics: str = ""
    traces: list[bytes] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def letters(text: str) -> str:
    """What is left of ``text`` when no encoding of blanks, case or quotes can hide anything."""
    return re.sub(r"%[0-9a-f]{2}|\\u[0-9a-f]{4}|[^a-z]", "", text.lower())


_PIECES = {letters(SENTENCE[start : start + PIECE]) for start in range(len(SENTENCE) - PIECE + 1)}


def pieces_in(text: str | bytes) -> set[str]:
    """The letters of each piece of the sentence, of 12 characters, that stands in ``text``."""
    found = letters(text if isinstance(text, str) else text.decode("latin-1"))
    return {piece for piece in _PIECES if piece in found}


def articles() -> Iterator[tuple[str, Any]]:
    """Bodies for any scoring route: good for some of them, and bad in each way for the others."""
    passage = {"id": WORD, "text": SENTENCE}
    yield "text", {"text": SENTENCE}
    yield "text and id", {"text": SENTENCE, "id": WORD}
    yield "text and lengths", {"text": SENTENCE, "max_words": 9, "max_sentences": 1}
    yield "html", {"html": f"<p>{SENTENCE}</p>"}
    yield "paragraphs", {"paragraphs": [SENTENCE, SENTENCE]}
    yield "passages", {"passages": [passage, {"id": "a", "text": ""}]}
    yield "a language refused", {"text": FRENCH, "id": WORD, "strict_language": True}
    yield "html, a language refused", {"html": f"<p>{FRENCH}</p>", "strict_language": True}
    yield "html without visible text", {"html": f"<!-- {SENTENCE} -->", "id": WORD}
    yield "an attribute", {"html": f"<p title='{SENTENCE}'></p>", "id": WORD}
    yield "broken html", {"html": f"<![CDATA[{SENTENCE}<p <{SENTENCE}"}
    yield "id that is none", {"text": SENTENCE, "id": SENTENCE}
    yield "two sources", {"text": SENTENCE, "html": SENTENCE}
    yield "field", {"text": SENTENCE, SENTENCE: SENTENCE}
    yield "field alone", {SENTENCE: None}
    yield "field beside passages", {"passages": [passage], WORD: 1}
    yield "field of a passage", {"passages": [{**passage, SENTENCE: SENTENCE}]}
    yield "passage id that is none", {"passages": [{"id": SENTENCE, "text": SENTENCE}]}
    yield "passage that is a string", {"passages": [SENTENCE, [SENTENCE]]}
    yield "passage of another type", {"passages": [{"id": WORD, "text": [SENTENCE]}]}
    yield "passages of another type", {"passages": SENTENCE}
    yield "passages under names", {"passages": {SENTENCE: passage}}
    yield "passages twice", {"passages": [passage, passage], "labels": "claim"}
    for source in ({"text": SENTENCE}, {"passages": [passage]}):
        yield "label", {**source, "labels": [SENTENCE, WORD]}
        yield "labels of another type", {**source, "labels": SENTENCE}
        yield "threshold name", {**source, "thresholds": {SENTENCE: 0.5}}
        yield "threshold", {**source, "thresholds": {"claim": SENTENCE}}
        yield "threshold out of range", {**source, "thresholds": {"claim": 2}}
        yield "thresholds of another type", {**source, "thresholds": SENTENCE}
    yield "style", {"text": SENTENCE, "style": SENTENCE}
    yield "max_words", {"text": SENTENCE, "max_words": SENTENCE}
    yield "max_sentences", {"text": SENTENCE, "max_sentences": [SENTENCE]}
    yield "strict_language", {"text": SENTENCE, "strict_language": SENTENCE}
    yield "text of another type", {"text": {SENTENCE: [SENTENCE]}}
    yield "html of another type", {"html": [SENTENCE]}
    yield "paragraphs of another type", {"paragraphs": SENTENCE}
    yield "paragraph of another type", {"paragraphs": [SENTENCE, {SENTENCE: SENTENCE}, 1]}
    yield "a list", [SENTENCE]
    yield "a string", SENTENCE
    for number in range(_KINDS_PLANTED):
        text = f"{SENTENCE} planted {number}."
        yield f"fault {number} planted", {"text": text}
        yield f"fault {number} planted", {"passages": [{"id": WORD, "text": text}]}


def broken_bodies() -> Iterator[tuple[str, bytes]]:
    """What is no JSON, or none that can be read."""
    quoted = json.dumps(SENTENCE).encode()
    yield "cut short", b'{"text": ' + quoted[:-1]
    yield "no JSON", SENTENCE.encode()
    yield "junk after it", b'{"text": ' + quoted + b"} " + quoted
    yield "junk within", b'{"text": ' + quoted + b" " + quoted + b"}"
    yield "no value", b"{" + quoted + b":}"
    yield "bad escape", b'{"text": "\\q' + quoted[1:] + b"}"
    yield "not UTF-8", b'{"text": "\xff\xfe' + quoted[1:] + b"}"
    yield "not UTF-8 after it", b'{"text": ' + quoted[:-1] + b'\xed\xa0\x80"}'
    yield "lone surrogate", b'{"text": "\\ud800' + quoted[1:] + b"}"
    yield "lone surrogate in a name", b"{" + quoted[:-1] + b'\\udfff": 1}'
    yield "UTF-16", json.dumps({"text": SENTENCE}).encode("utf-16")
    yield "not a number", b'{"text": ' + quoted + b', "thresholds": {"claim": NaN}}'
    yield "a large number", b'{"text": ' + quoted + b', "max_words": 1e999}'
    yield "nested", b'{"text":' * 300 + quoted + b"}" * 300
    yield "too large", b'{"text": "' + SENTENCE.encode() * (MOST_BYTES // 50) + b'"}'


def headers() -> Iterator[dict[str, str]]:
    """The sentence in headers, one or a few that go together at a time."""
    good_trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    yield {"X-Request-Id": SENTENCE}
    yield {"X-Request-Id": WORD + "-" * 60}
    yield {"X-Request-Timeout": SENTENCE}
    yield {"X-Request-Timeout": WORD}
    yield {"X-Request-Timeout": "1e-9", "X-Request-Id": SENTENCE}
    yield {"Authorization": SENTENCE}
    yield {"Authorization": f"Bearer {SENTENCE}"}
    yield {"Authorization": f"Bearer tocsin_{WORD}"}
    yield {"Authorization": f"Basic {WORD}"}
    yield {"traceparent": SENTENCE, "tracestate": SENTENCE}
    yield {"traceparent": good_trace, "tracestate": f"desk={SENTENCE}", "baggage": f"a={WORD}"}
    yield {"Content-Type": SENTENCE}
    yield {"Content-Type": f"application/json; charset={WORD}"}
    yield {"Content-Type": f"multipart/form-data; boundary={WORD}"}
    yield {"Content-Type": f"application/x-www-form-urlencoded; charset={WORD}"}
    yield {"Content-Type": "application/vnd.bentoml+pickle", "X-Title": SENTENCE}
    yield {"Content-Encoding": WORD}
    yield {"Content-Encoding": f"gzip, {SENTENCE}"}
    yield {"Origin": f"https://{HOST}", "Referer": f"https://{HOST}/{WORD}"}
    yield {"Access-Control-Request-Method": WORD, "Access-Control-Request-Headers": WORD}
    yield {"Cookie": f"story={WORD}", "User-Agent": SENTENCE, "X-Forwarded-For": SENTENCE}
    yield {"Accept": SENTENCE, "Accept-Encoding": WORD, "Range": SENTENCE, "If-Range": SENTENCE}
    yield {"If-None-Match": SENTENCE, "If-Modified-Since": SENTENCE, "Expect": WORD}
    yield {"Upgrade": WORD, "Connection": f"upgrade, {WORD}"}
    yield {"Yatai-Bento-Deployment-Name": SENTENCE, "Bentoml-Name": SENTENCE, "X-B3-TraceId": WORD}


def targets() -> Iterator[str]:
    """The sentence in paths and queries."""
    spelled = (WORD, quote(SENTENCE), f"{WORD}%00%0a%ff", f"..%2f{WORD}")
    for spelling in spelled:
        yield f"/{spelling}"
        for route in ROUTES:
            yield f"{route.rstrip('/')}/{spelling}"
            yield f"{route}?{spelling}={spelling}"
    yield f"/v1/{WORD}/../classify"


class Prober:
    """Sends requests to a server and keeps what came back."""

    def __init__(self, server: Server, exposed: Exposed) -> None:
        self.server = server
        self._client = server.client()
        self._exposed = exposed

    def __enter__(self) -> "Prober":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(
        self,
        way: str,
        method: str,
        target: str,
        content: bytes = b"",
        media_type: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> None:
        headers = {"Content-Type": media_type, **headers}
        answer = self._client.request(method, target, content=content, headers=headers)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self._exposed.sent.append(
            Sent(
                way=f"{way} ({method} {target[:20]})",
                status=answer.status_code,
                head=head,
                body=answer.text,
            )
        )

    def post(self, way: str, route: str, body: Any) -> None:
        self.send(way, "POST", route, json.dumps(body).encode())

    def send_raw(self, way: str, data: bytes, wait_s: float = 5.0) -> None:
        """Bytes as they are; the client leaves after ``wait_s``, with status 0 if none came."""
        status, head, body = 0, "", b""
        with socket.create_connection(("127.0.0.1", self.server.port), wait_s) as connection:
            connection.sendall(data)
            answer = HTTPResponse(connection)
            with suppress(TimeoutError, ConnectionResetError):
                answer.begin()
                status, head, body = answer.status, str(answer.headers), answer.read()
        self._exposed.sent.append(Sent(way=way, status=status, head=head, body=body.decode()))


def probe(prober: Prober) -> None:
    """Everything but faults of the model and the end."""
    for route in SCORING:
        for way, body in articles():
            prober.post(way, route, body)
        for way, content in broken_bodies():
            prober.send(way, "POST", route, content)
        for media_type in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ):
            prober.send("media type", "POST", route, f"{WORD}={WORD}".encode(), media_type)
    good = json.dumps({"text": SENTENCE}).encode()
    for route in (*ROUTES, f"/{WORD}"):
        proper = "POST" if route in SCORING else "GET"
        for fields in headers():
            prober.send(f"header {next(iter(fields))}", proper, route, good, headers=fields)
        for method in (letters(WORD).upper(), WORD, "PUT", "DELETE", "OPTIONS", "PROPFIND"):
            prober.send("method", method, route, good)
    for target in targets():
        prober.send("target", "GET", target)
        prober.send("target", "POST", target, good)


def probe_by_hand(prober: Prober) -> None:
    """What a proper client cannot send."""
    sentence = SENTENCE.encode()
    start = b"POST /v1/analyse HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    start += f"Authorization: {prober.server.headers['Authorization']}\r\n".encode()
    prober.send_raw("request line", sentence + b"\r\n\r\n")
    prober.send_raw("request line", b"GET /" + sentence + b" HTTP/1.1\r\n\r\n")
    prober.send_raw("version", b"GET / HTTP/" + sentence + b"\r\nHost: 127.0.0.1\r\n\r\n")
    prober.send_raw("header without a colon", start + sentence + b"\r\n\r\n")
    prober.send_raw("header name", start + sentence + b": 1\r\n\r\n")
    prober.send_raw("raw header", start + b"X-Request-Id: \xff" + sentence + b"\r\n\r\n")
    prober.send_raw("length", start + b"Content-Length: " + sentence + b"\r\n\r\n")
    prober.send_raw(
        "chunk", start + b"Transfer-Encoding: chunked\r\n\r\n" + sentence + b"\r\n" + sentence
    )
    cut_short = b'Content-Length: 900\r\n\r\n{"text": "' + sentence
    prober.send_raw("client gone", start + cut_short, wait_s=0.1)
    prober.send_raw("slow client", start + b"X-Request-Timeout: 0.05\r\n" + cut_short)
    prober.send_raw("absolute target", b"GET http://" + HOST.encode() + b"/ HTTP/1.1\r\n\r\n")


def probe_faults(prober: Prober, faults: Faults) -> None:
    """The network loses rows, gives no numbers, raises, or takes too long."""
    text = f"{SENTENCE} {POISON}"
    changes = (
        {"poison": faults.token(POISON)},
        {"poison": faults.token(POISON), "raises": True},
        {"short": True},
    )
    for change in changes:
        with faults.having(**change):
            for route in SCORING:
                prober.post(f"model: {change}", route, {"text": text, "id": WORD})
                prober.post(f"model: {change}", route, {"passages": [{"id": WORD, "text": text}]})

    with faults.hold():
        for route in SCORING:
            for body in ({"text": SENTENCE}, {"passages": [{"id": WORD, "text": SENTENCE}]}):
                content = json.dumps(body).encode()
                prober.send(
                    "too late", "POST", route, content, headers={"X-Request-Timeout": "0.1"}
                )


def probe_end(prober: Prober, server: Server, faults: Faults) -> None:
    """While the server drains, which lasts as long as the model is held."""
    with ThreadPoolExecutor(1) as pool, faults.hold():
        held = pool.submit(server.classify, SENTENCE)
        faults.wait_held()
        server.process.terminate()
        deadline = time.monotonic() + 5
        while httpx.get(f"{server.url}/readyz").status_code != 503:
            assert time.monotonic() < deadline
        for route in ROUTES:
            for way, body in (("draining", {"text": SENTENCE}), ("draining, bad", [SENTENCE])):
                prober.post(way, route, body)
        faults.release()
        assert held.result().status_code == 200


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """The address of an OTLP collector, and what it is sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", bodies
        listener.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def exposed(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    """A server with keys, traces and CORS, after all of the above, and after its end."""
    folder = tmp_path_factory.mktemp("exposed")
    faults = Faults.install(folder / "faults", tiny_models)
    with (faults.folder / "sitecustomize.py").open("a") as startup:
        startup.write(_PLANTED)
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "tocsin_serving.cli", "keys", "new", "desk"]
    command += ["--keys", str(folder / "keys")]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    options = ["--keys", folder / "keys", "--max-body", MOST_BYTES]
    options += ["--cors-origin", "https://desk.example"]
    found = Exposed()
    with collector() as (endpoint, traces):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "TMPDIR": str(folder / "tmp")}
        with start_server(
            tiny_models, folder, *options, env=environment, python_path=faults.folder
        ) as server:
            with Prober(server, found) as anonymous:
                anonymous.post("without a key", "/v1/analyse", {"text": SENTENCE})
            server.headers = {"Authorization": f"Bearer {made.stdout.split()[-1]}"}
            with Prober(server, found) as prober:
                probe(prober)
                probe_by_hand(prober)
                probe_faults(prober, faults)
                with server.client() as client:
                    found.metrics = client.get("/metrics").raise_for_status().text
                found.files = {
                    path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()
                }
                probe_end(prober, server, faults)
            server.process.wait(15)
        found.traces = traces
    found.log = server.log
    return found


def test_the_sentence_is_seen_wherever_it_stands() -> None:
    # The rule failing: a search that finds nothing anywhere would pass every test below.
    for form in (SENTENCE, WORD, quote(SENTENCE), SENTENCE.upper(), json.dumps({"a": [SENTENCE]})):
        assert pieces_in(f"at 12:00 {form} was read") == _PIECES
        assert pieces_in(form.encode()) == _PIECES
    assert pieces_in("… the cobalt ledgers …")
    assert not pieces_in("… the coba …")


def test_the_sentence_went_everywhere(exposed: Exposed) -> None:
    # A probe that is refused at the door shows nothing of what stands behind it.
    statuses = {sent.status for sent in exposed.sent}
    assert statuses >= {200, 307, 400, 401, 404, 405, 408, 413, 415, 422, 500, 503, 504}
    codes = set(re.findall(r'"code": "(\w+)", "request_id"', "".join(s.body for s in exposed.sent)))
    assert codes >= {"unauthorised", "not_found", "method_not_allowed", "body_too_slow"}
    assert codes >= {"body_too_large", "unsupported_media_type", "invalid_request", "draining"}
    assert codes >= {"unreadable_article", "language_refused", "internal", "inference_failed"}
    assert codes >= {"deadline_exceeded"}
    [slow] = [sent for sent in exposed.sent if sent.way == "slow client"]
    assert slow.status == 408
    assert any(pieces_in(sent.body) for sent in exposed.sent if sent.status == 200)


def test_only_good_answers_quote_what_was_sent(exposed: Exposed) -> None:
    # Errors are kept and forwarded by everything between us and the caller.
    leaks = [
        (sent.way, sent.status, pieces)
        for sent in exposed.sent
        if (pieces := pieces_in(sent.head if sent.status == 200 else sent.head + sent.body))
    ]
    assert not leaks


def test_no_line_of_the_log_quotes_what_was_sent(exposed: Exposed) -> None:
    assert [line for line in exposed.log.splitlines() if pieces_in(line)] == []
    # What a careless library would have printed was there to be printed.
    for logger in ("foreign", "asyncio", "tocsin.uncaught", "tocsin.warning", "tocsin.batcher"):
        assert f'"logger": "{logger}"' in exposed.log
    for kind in ("JSONDecodeError", "ValidationError", "UnicodeEncodeError", "ExceptionGroup"):
        for logger in ("tocsin.door", "bentoml._internal.server.http_app"):
            assert re.search(f'"logger": "{re.escape(logger)}".*{kind}', exposed.log)


def test_no_metric_quotes_what_was_sent(exposed: Exposed) -> None:
    assert not pieces_in(exposed.metrics)
    assert 'route="other"' in exposed.metrics


def test_no_trace_quotes_what_was_sent(exposed: Exposed) -> None:
    spans = b"".join(exposed.traces)
    assert not pieces_in(spans)
    for name in (b"/v1/analyse", b"other", b"infer", b"ValidationError"):
        assert name in spans


def test_no_file_quotes_what_was_sent(exposed: Exposed) -> None:
    assert [name for name, content in exposed.files.items() if pieces_in(content)] == []
    assert any(name.startswith("server-") for name in exposed.files)


def test_a_host_that_is_refused_is_not_quoted(server: Server) -> None:
    # Without keys the service answers to localhost alone, and says so to whoever names another.
    with server.client() as client:
        for route in ROUTES:
            for host in (HOST, f"{HOST}:3000", f"[{HOST}]"):
                answer = client.get(route, headers={"Host": host})
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
                assert not pieces_in(f"{answer.headers}{answer.text}")
    assert not pieces_in(server.log)


# Runs at the start of every Python process of the server, and notes whom it calls or starts.
_WATCH = """
import json, os, sys
from pathlib import Path

SEEN = Path(__file__).parent / "seen.jsonl"
STARTED = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")
SENT = ("socket.connect", "socket.sendto", "socket.sendmsg")
ASKED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")

def note(event, arguments):
    if event in STARTED:
        line = {"started": str(arguments)}
    elif event in SENT and isinstance(arguments[1], tuple):
        line = {"called": arguments[1][0]}
    elif event in ASKED:
        line = {"called": str(arguments[0])}
    else:
        return
    with SEEN.open("a") as seen:
        seen.write(json.dumps(line) + chr(10))

sys.addaudithook(note)
"""
# In a network of its own, of which even the loopback must be switched on (SIOCSIFFLAGS, IFF_UP).
_USE = """
import fcntl, socket, struct, sys
from pathlib import Path
from tests.server import TinyModels
from tests.test_confidential import use_every_route

folder, classifier, summariser, is_alone, *wrapper = sys.argv[1:]
if is_alone == "alone":
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", 1))
models = TinyModels(classifier=Path(classifier), summariser=Path(summariser))
use_every_route(models, Path(folder), tuple(wrapper))
"""
_STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,execve", "-o")
_ALONE = ("unshare", "--map-root-user", "--net")
_LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|::1|localhost")
# Whom a call of the system reaches, as strace writes it.
_ADDRESS = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the processes of a server did, from its start to its end: ``seen`` by Python's audit
    hooks, ``calls`` of the system by strace (none where it is not installed)."""

    is_alone: bool
    seen: list[dict[str, str]]
    calls: list[str]
    statuses: dict[str, int]

    def called(self) -> set[str]:
        """Addresses and names outside this machine that were called, or looked up."""
        found = {line["called"] for line in self.seen if "called" in line}
        found.update(address for call in self.calls for address in _ADDRESS.findall(call))
        return {name for name in found if not _LOOPBACK.fullmatch(name)}

    def started(self) -> list[str]:
        """Commands that the server ran, but for itself; the system sees each a second time."""
        found = [line["started"] for line in self.seen if "started" in line]
        return found + [call for call in self.calls if " execve(" in call and '"serve"' not in call]


def use_every_route(models: TinyModels, folder: Path, wrapper: tuple[str, ...]) -> None:
    """Start a server that has no cache yet, ask everything of it, write down how it answered."""
    # What a user has not set either.
    environment = {"TOCSIN_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "0"}
    for name in ("BENTOML_DO_NOT_TRACK", "DO_NOT_TRACK", "CI", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.pop(name, None)
    statuses: dict[str, int] = {}
    with (
        start_server(
            models, folder, env=environment, python_path=folder / "watch", wrapper=wrapper
        ) as server,
        server.client() as client,
    ):
        page = client.get("/docs").text
        assets = {f"/{name}" for name in re.findall(r'(?:src|href)="([^":]+)"', page)}
        for route in (*ROUTES, *assets):
            for method in ("GET", "POST"):
                for body in ({"text": SENTENCE}, {"passages": [{"id": "a", "text": SENTENCE}]}):
                    answer = client.request(method, route, json=body)
                    key = f"{method} {route}"
                    statuses[key] = min(answer.status_code, statuses.get(key, 999))
        time.sleep(1)  # what is done in the background, as telemetry is, has had its chance
    (folder / "statuses.json").write_text(json.dumps(statuses))


def works(*command: str) -> bool:
    """Whether a command is installed and allowed here."""
    found = shutil.which(command[0])
    return found is not None and not subprocess.run(command, capture_output=True).returncode


@pytest.fixture(scope="module")
def watched(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(_WATCH)
    is_alone = works(*_ALONE, "true")
    is_traced = works(*_STRACE, str(folder / "calls"), "true")
    command = [*(_ALONE if is_alone else ()), sys.executable, "-c", _USE, str(folder)]
    command += [str(tiny_models.classifier), str(tiny_models.summariser)]
    command += ["alone" if is_alone else "", *(_STRACE if is_traced else ())]
    command += [str(folder / "calls")] if is_traced else []
    repository = Path(__file__).parent.parent
    ran = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(repository)}
    )
    assert ran.returncode == 0, ran.stderr
    seen = (folder / "watch" / "seen.jsonl").read_text().splitlines()
    return Watched(
        is_alone=is_alone,
        seen=[json.loads(line) for line in seen],
        calls=(folder / "calls").read_text().splitlines() if is_traced else [],
        statuses=json.loads((folder / "statuses.json").read_text()),
    )


def test_nobody_outside_is_called_or_looked_up(watched: Watched) -> None:
    # BentoML reports each start to its makers, and each page of its own to a tag manager.
    assert watched.called() == set()


def test_nothing_is_started_but_the_worker_and_the_converter(watched: Watched) -> None:
    # A child could call whom it likes.
    expected = ("_bentoml_impl.worker.service", "tocsin_models.prepare")
    assert watched.started()
    for command in watched.started():
        assert any(name in command for name in expected), command
    for name in expected:
        assert any(name in command for command in watched.started()), f"{name} was not seen"


def test_every_route_works_where_there_is_no_network(watched: Watched) -> None:
    if not watched.is_alone:
        pytest.skip("a network namespace may not be made here (unshare --map-root-user --net)")
    assert {watched.statuses[f"POST {route}"] for route in SCORING} == {200}
    for route in set(ROUTES) - {"/", "/assets", *SCORING}:
        assert watched.statuses[f"GET {route}"] == 200, route
    assert sum(name.startswith("GET /assets/") for name in watched.statuses) == 3


def test_a_call_to_the_outside_would_have_been_seen(tmp_path: Path) -> None:
    # The rule failing, of the hooks in a process that calls, and of what strace writes.
    (tmp_path / "sitecustomize.py").write_text(_WATCH)
    code = """
import socket, subprocess, sys
socket.gethostbyname("127.0.0.7")
with socket.socket() as connection:
    connection.connect_ex(("127.0.0.8", 9))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
    connection.sendto(b"", ("127.0.0.9", 9))
subprocess.run([sys.executable, "-c", "import os; os.system('true')"])
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    assert [line["called"] for line in seen if "called" in line] == [
        "127.0.0.7",
        "127.0.0.8",
        "127.0.0.9",
    ]
    started = [line["started"] for line in seen if "started" in line]
    assert len(started) == 2
    assert "import os" in started[0]
    assert started[1] == "(b'true',)"
    calls = [
        '7 connect(3, {sa_family=AF_INET, sin_addr=inet_addr("192.0.2.1")}, 16) = -1 ENETUNREACH',
        '7 connect(3, {sa_family=AF_INET6, inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28)',
        '7 connect(3, {sa_family=AF_INET, sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
        '7 sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_addr=inet_addr("192.0.2.2")}, 16) = 1',
        '7 execve("/usr/bin/curl", ["curl", "example.org"], 0x7ffc /* 42 vars */) = 0',
    ]
    found = Watched(is_alone=False, seen=[{"called": "tocsin.example"}], calls=calls, statuses={})
    assert found.called() == {"192.0.2.1", "192.0.2.2", "2001:db8::1", "tocsin.example"}
    assert len(found.started()) == 1
