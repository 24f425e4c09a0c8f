"""The client, against a service that fails on demand, and against the real one."""

import asyncio
import json
import logging
import math
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from tests.client_service import (
    BUSY,
    COPY,
    DRAINING,
    HTML,
    KEY,
    MODEL,
    MODELS,
    Action,
    Caller,
    Say,
    Seen,
    assert_keeps_quiet,
    break_off,
    classify_all,
    fake,
    hang_up,
    speak_no_http,
    stall,
    trickle,
)
from tests.server import Server, TinyModels, start_server
from tests.support import KeywordClassifier, LeadSummariser, run

from tocsin_models.analyse import analyse
from tocsin_models.errors import ConfigError, InputError
from tocsin_models.records import Article, Passage, Summary
from tocsin_serving.client import AsyncTocsin, Tocsin
from tocsin_serving.client_calls import draw_pause_s
from tocsin_serving.client_errors import (
    DeadlineExceeded,
    Overloaded,
    Refused,
    ServiceError,
    Unreachable,
    parse_retry_after,
)
from tocsin_serving.client_records import FailedPassage, LabelledPassage
from tocsin_serving.problems import FieldError


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Caller:
    return Caller(is_async=request.param == "async")


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """The record of an article, made by the core and not by the client."""
    article = Article(id="a1", text=f"A port is warned\n\n{COPY}\n\nThey denied it.\n\nShare this")
    return analyse(article, KeywordClassifier(), LeadSummariser()).to_record()


def test_an_analysis_is_the_record_with_names_and_types(
    call: Caller, record: dict[str, Any]
) -> None:
    # Newsroom code reads passage.scores["threat"]; the raw record stays for what it archives.
    headers = {"Server-Timing": "queue;dur=1.25, infer;dur=20", "X-Request-Id": "r-1"}
    newer = record | {"since": "tocsin/1.4", "model": record["model"] | {"checker": {"name": "x"}}}
    with fake(Say(body=newer, headers=headers)) as service:
        found = call(service.url, "analyse", text=COPY, max_words=60, id=None)
    assert service.seen[0].body == {"text": COPY, "max_words": 60}
    assert (service.seen[0].method, service.seen[0].path) == ("POST", "/v1/analyse")
    assert service.seen[0].headers["content-type"] == "application/json"
    assert [type(passage) for passage in found.passages] == [Passage] * len(record["passages"])
    assert [passage.scores for passage in found.passages] == [
        passage["scores"] for passage in record["passages"]
    ]
    assert found.labels["threat"].passages == tuple(record["labels"]["threat"]["passages"])
    assert isinstance(found.summary, Summary)
    assert found.summary.to_record() == record["summary"]
    assert found.model.classifier.to_record() == record["model"]["classifier"]
    assert [item.reason for item in found.dropped] == [item["reason"] for item in record["dropped"]]
    assert (found.request_id, found.timing_ms) == ("r-1", {"queue": 1.25, "infer": 20.0})
    assert found.record == newer


def test_passages_come_as_strings_or_pairs_and_one_may_fail_alone(call: Caller) -> None:
    # A failed passage without a type of its own would read as "no label found".
    with fake(classify_all) as service:
        found = call(service.url, "classify", ["We strike.", ("b", "")], labels=["threat"])
    assert service.seen[0].body == {
        "passages": [{"id": "0", "text": "We strike."}, {"id": "b", "text": ""}],
        "labels": ["threat"],
    }
    first, second = found.results
    assert isinstance(first, LabelledPassage)
    assert isinstance(second, FailedPassage)
    assert (first.labels, second.id, second.error.code) == (("threat",), "b", "empty")
    assert found.model.thresholds == {"threat": 0.5}


def test_more_than_256_passages_go_out_in_parts_and_come_back_in_order(call: Caller) -> None:
    # The contract takes 256; whoever has 600 paragraphs should not have to count them.
    passages = ["x" * (index + 1) for index in range(300)] + ["y" * 59_000] * 2
    with fake(classify_all) as service:
        found = call(service.url, "classify", passages)
    assert [len(seen.body["passages"]) for seen in service.seen] == [256, 44, 1, 1]
    assert [result.id for result in found.results] == [str(index) for index in range(302)]
    assert [result.scores["threat"] for result in found.results] == list(map(len, passages))
    assert len({seen.headers["x-request-id"] for seen in service.seen}) == 1
    assert found.timing_ms == {"queue": 6.0, "tokenise": 2.0, "infer": 8.0}


def test_parts_that_another_model_answered_are_not_put_together(call: Caller) -> None:
    # A restart with new weights between two parts would mix scores that do not compare.
    newer = partial(classify_all, model=MODEL | {"revision": "sha256:11"})
    with fake(classify_all, newer) as service:
        error = call.fails(service.url, "classify", [COPY] * 257)
    assert "another model answered" in str(error)


@pytest.mark.parametrize("ids", [["1", "0"], ["0"], []])
def test_results_that_are_not_of_the_passages_sent_are_refused(
    call: Caller, ids: list[str]
) -> None:
    # Zipped with the passages they would label the wrong ones.
    row = {"labels": [], "scores": {"threat": 0.1}, "windows": 1}
    results = [row | {"id": id} for id in ids]
    with fake(Say(body={"model": MODEL, "results": results})) as service:
        error = call.fails(service.url, "classify", [COPY, COPY])
    assert "results are not of the passages sent" in str(error)


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("classify", [COPY], {}),
        ("analyse", [], {"text": COPY, "request_id": "two\r\nlines"}),
        ("classify", [[COPY]], {"thresholds": {"threat": math.nan}}),
        ("classify", [[COPY]], {"thresholds": {"threat": np.float32(0.5)}}),
        ("analyse", [], {"text": COPY, "max_words": np.int64(40)}),
        ("analyse", [], {"text": COPY, "labels": {"threat"}}),
    ],
)
def test_what_cannot_be_meant_is_refused_before_it_is_sent(
    call: Caller, method: str, arguments: Any, options: Any
) -> None:
    # A lone string would be labelled letter by letter, and a foreign id be replaced unseen. What
    # is no JSON would be json's own error, which is not in the tree that callers catch.
    with fake(MODELS) as service:
        with pytest.raises(InputError) as caught:
            call(service.url, method, *arguments, **options)
        assert service.seen == []
    assert_keeps_quiet(caught.value)


@pytest.mark.parametrize("busy", [BUSY, DRAINING])
def test_a_busy_service_is_asked_again_when_it_said(call: Caller, busy: Say) -> None:
    # Sooner would add to the load that it asked to be spared.
    asked_s = float(busy.headers["Retry-After"])
    with fake(busy, busy, MODELS) as service:
        assert call(service.url, "models") == ()
    assert len(service.seen) == 3
    assert [asked_s <= pause_s <= asked_s + 0.5 for pause_s in call.pauses_s] == [True, True]


def test_after_the_last_retry_the_refusal_is_told(call: Caller) -> None:
    # For ever is no answer to an editor; the caller learns when it is worth coming back.
    with fake(BUSY) as service:
        error = call.fails(service.url, "analyse", text=COPY)
        assert len(service.seen) == 4
        call.fails(service.url, "analyse", text=COPY, settings={"retries": 0})
        assert len(service.seen) == 5
    assert isinstance(error, Overloaded)
    assert (error.status, error.code, error.retry_after_s) == (429, "queue_full", 2.0)
    assert "429 queue_full: what to do" in str(error)


def test_a_retry_that_would_come_too_late_is_not_begun(call: Caller) -> None:
    # Waiting out a minute that the caller does not have helps nobody.
    with fake(Say(status=429, problem="rate_limited", headers={"Retry-After": "60"})) as service:
        error = call.fails(service.url, "analyse", text=COPY)
        assert len(service.seen) == 1
    assert (call.pauses_s, error.retry_after_s) == ([], 60.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 422, 500, 502, 504])
def test_no_other_answer_is_asked_for_twice(call: Caller, status: int) -> None:
    # It would be the same again, or do the same work twice for a caller who is out of time.
    with fake(Say(status=status, problem="some_code", headers={"Retry-After": "1"})) as service:
        error = call.fails(service.url, "analyse", text=COPY)
        assert len(service.seen) == 1
    kinds = {500: ServiceError, 502: ServiceError, 504: DeadlineExceeded}
    assert type(error) is kinds.get(status, Refused)


@pytest.mark.parametrize("failure", [hang_up, break_off, speak_no_http])
def test_a_connection_that_fails_is_tried_again(call: Caller, failure: Action) -> None:
    # A service that restarts hangs up on what it has not answered.
    with fake(failure, failure, MODELS) as service:
        assert call(service.url, "models") == ()
    assert len(service.seen) == 3
    with fake(failure) as service:
        error = call.fails(service.url, "analyse", text=COPY)
    assert isinstance(error, Unreachable)
    assert "closed the connection before it had answered" in str(error)


def test_where_nothing_listens_the_error_names_the_place(call: Caller) -> None:
    # The first thing that goes wrong at a desk is that nobody started the service.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        error = call.fails(url, "analyse", text=COPY, settings={"key": KEY})
    assert isinstance(error, Unreachable)
    assert str(error).startswith(f"{url}/v1/analyse cannot be reached")
    assert error.status is None
    assert len(call.pauses_s) == 3


@pytest.mark.parametrize("action", [stall, trickle])
def test_a_service_that_is_too_slow_is_given_up_in_time(call: Caller, action: Action) -> None:
    # A byte now and then would keep any limit on single reads waiting for ever.
    with fake(action) as service:
        begun = time.monotonic()
        error = call.fails(service.url, "analyse", text=COPY, settings={"timeout_s": 0.3})
        assert time.monotonic() - begun < 2.5
        assert len(service.seen) == 1
    assert isinstance(error, Unreachable)
    assert "did not answer within 0.3 s" in str(error)


def test_the_time_is_for_all_steps_together(call: Caller) -> None:
    # httpx's limits are for one step each: a slow upload, then silence, would take twice as long.
    def read_late_and_stay_silent() -> None:
        connection, _ = listener.accept()
        with connection:
            time.sleep(1.0)
            while connection.recv(1 << 20):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=read_late_and_stay_silent)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begun = time.monotonic()
        error = call.fails(url, "analyse", text="x" * 2**24, settings={"timeout_s": 1.2})
        assert 1.0 < time.monotonic() - begun < 1.9
        thread.join()
    assert "did not answer within 1.2 s" in str(error)


def test_all_tries_share_one_id_and_what_is_left_of_the_time(call: Caller) -> None:
    # With an id for each, nobody could tell from the logs that four refusals were one call; with
    # the whole time for each, the service would work on what the caller has given up.
    def slow(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        time.sleep(0.1)
        hang_up(handler, seen)

    with fake(slow, slow, Say(status=500, problem="internal")) as service:
        settings = {"timeout_s": 10}
        error = call.fails(
            service.url, "analyse", text=COPY, request_id="story-18.b", settings=settings
        )
    assert [seen.headers["x-request-id"] for seen in service.seen] == ["story-18.b"] * 3
    assert error.request_id == "story-18.b"
    assert "story-18.b" in str(error)
    given_s = [float(seen.headers["x-request-timeout"]) for seen in service.seen]
    assert 9.0 < given_s[0] < 10.0
    assert all(later <= sooner - 0.1 for sooner, later in pairwise(given_s))


def test_pauses_double_up_to_a_limit_and_spread_over_all_of_it() -> None:
    # Full jitter: a fleet of clients that failed together must not come back together.
    for number, limit_s in enumerate((0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)):
        pauses_s = [draw_pause_s(number, None) for _ in range(2000)]
        assert 0 <= min(pauses_s) < 0.05 * limit_s
        assert 0.95 * limit_s < max(pauses_s) <= limit_s
        assert sum(pauses_s) / 2000 == pytest.approx(limit_s / 2, rel=0.1)
    assert 7.0 <= draw_pause_s(0, 7.0) <= 7.25


def test_retry_after_is_seconds_or_a_date() -> None:
    # A proxy may write the date; read as nothing, the client would come back at once.
    assert parse_retry_after("7") == 7.0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert parse_retry_after(soon) == pytest.approx(30, abs=2)
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0
    for nonsense in ("", "soon", "-1", "1.5", "Sun, 99 Foo 1994", "nan"):
        assert parse_retry_after(nonsense) is None


def test_field_problems_are_told_one_by_one(call: Caller) -> None:
    # "422" alone would send a developer to the server's logs.
    errors = [
        {"field": "max_words", "message": "must be above 0"},
        {"field": "passages[3].text", "message": "must be a string"},
    ]
    with fake(Say(status=422, problem="invalid_request", body={"errors": errors})) as service:
        error = call.fails(service.url, "analyse", text=COPY, max_words=-1)
    assert isinstance(error, Refused)
    assert error.errors == tuple(FieldError(**item) for item in errors)
    assert "max_words: must be above 0; passages[3].text: must be a string" in str(error)
    assert (error.status, error.code, error.detail) == (422, "invalid_request", "what to do")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize(
    "body", [HTML, {"type": "about:blank", "detail": COPY}, {"errors": COPY}, [COPY], ""]
)
def test_what_another_than_our_service_says_is_not_quoted(call: Caller, body: Any) -> None:
    # A proxy's error page may show the request, and the message ends up in a log.
    with fake(Say(status=502, body=body)) as service:
        error = call.fails(service.url, "analyse", text=COPY)
    assert (error.status, error.code, error.detail) == (502, "", "")
    assert "answered 502: not in Tocsin's words" in str(error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: HTML, "line 1 column 1"),
        (lambda record: [record], "'list' object is not a mapping"),
        (lambda record: record | {"passages": [{"text": COPY}]}, "argument"),
        (lambda record: record | {"model": {"classifier": {"name": "x"}}}, "'revision'"),
        (lambda record: record | {"labels": [COPY]}, "'list' object"),
        (lambda record: record | {"warnings": None}, "not iterable"),
    ],
)
def test_an_answer_that_is_no_record_is_told_by_what_it_lacks(
    call: Caller, record: dict[str, Any], change: Callable[[Any], Any], said: str
) -> None:
    # A KeyError deep in a newsroom's code would say neither that nor whose fault it is.
    with fake(Say(body=change(record))) as service:
        error = call.fails(service.url, "analyse", text=COPY)
    assert type(error) is ServiceError
    assert "answered 200, but not as this client reads it" in str(error)
    assert said in str(error)


def test_readiness_is_yes_no_or_the_wrong_address(call: Caller) -> None:
    # A script that waits for the service must not wait for ever on an address that is another's.
    with fake(Say(body={"status": "ok"}), DRAINING, hang_up) as service:
        assert [call(service.url, "is_ready") for _ in range(3)] == [True, False, False]
    assert [seen.path for seen in service.seen] == ["/readyz"] * 3
    assert all(float(seen.headers["x-request-timeout"]) <= 5 for seen in service.seen)
    assert call.pauses_s == []
    with fake(Say(body=HTML), Say(status=404, body=HTML)) as service:
        call.fails(service.url, "is_ready")
        call.fails(service.url, "is_ready")


def test_neither_proxies_nor_passwords_are_taken_from_the_environment(
    call: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A proxy would read confidential copy; a password of ~/.netrc would go to whoever is asked.
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login desk password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with fake(MODELS) as proxy, fake(MODELS) as service:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        call(service.url, "models")
        call(service.url, "models", settings={"key": KEY})
    assert proxy.seen == []
    assert [seen.headers.get("authorization") for seen in service.seen] == [None, f"Bearer {KEY}"]


def test_a_redirect_takes_the_article_nowhere(call: Caller) -> None:
    # Followed, it would carry copy and key to an address that nobody named.
    with fake(MODELS) as other:
        moved = Say(status=307, headers={"Location": f"{other.url}/v1/analyse"})
        with fake(moved) as service:
            error = call.fails(service.url, "analyse", text=COPY, settings={"key": KEY})
        assert other.seen == []
    assert error.status == 307


def test_a_path_in_front_of_the_service_is_kept(call: Caller) -> None:
    # Newsrooms put several tools behind one host.
    with fake(MODELS) as service:
        call(f"{service.url}/tocsin/", "models")
    assert service.seen[0].path == "/tocsin/v1/models"


def test_threads_may_share_a_client_and_its_connections() -> None:
    # A desk's web server calls from a pool of threads: mixed-up answers would label other copy,
    # and a connection for each would cost more than the answer.
    def label(index: int) -> object:
        (result,) = tocsin.classify([(str(index), "x" * index)]).results
        return isinstance(result, LabelledPassage) and result.scores["threat"]

    indices = list(range(1, 65))
    with (
        fake(classify_all) as service,
        Tocsin(service.url) as tocsin,
        ThreadPoolExecutor(8) as pool,
    ):
        assert list(pool.map(label, indices)) == indices
    assert service.connections <= 8


def test_a_caller_that_stops_waiting_is_not_kept() -> None:
    # asyncio cancels when an editor closes the tab; a swallowed cancellation would hang the desk.
    async def leave(url: str) -> None:
        async with AsyncTocsin(url) as tocsin, asyncio.timeout(0.1):
            await tocsin.models()

    with fake(stall) as service, pytest.raises(TimeoutError):
        asyncio.run(leave(service.url))


@pytest.mark.parametrize("answer", [MODELS, Say(status=422, problem="x"), Say(body=HTML), hang_up])
def test_neither_key_nor_copy_is_in_any_log_line(
    call: Caller, caplog: pytest.LogCaptureFixture, answer: Action
) -> None:
    # Libraries below log at DEBUG what they are handed, and somebody always turns that on.
    caplog.set_level(logging.DEBUG)
    with fake(answer) as service:
        call.fails(service.url, "analyse", text=COPY, settings={"key": KEY, "retries": 0})
    assert "httpcore" in caplog.text
    assert KEY not in caplog.text
    assert COPY not in caplog.text


def test_the_client_shows_its_address_and_not_its_key() -> None:
    # A client stands in the locals that error trackers send out.
    with Tocsin("https://tocsin.example/desk/", key=KEY) as tocsin:
        assert repr(tocsin) == "Tocsin('https://tocsin.example/desk')"
        assert KEY not in repr(vars(tocsin))


def test_all_that_is_wrong_with_the_settings_is_told_at_once_without_the_key() -> None:
    # A key with the line end of its file in it would otherwise be shown by the HTTP library.
    with pytest.raises(ConfigError) as caught:
        Tocsin("http://desk:hunter2@h/?key=1", key=f"{KEY}\n", timeout_s=0)
    problems = caught.value.problems
    assert [line.split(":")[0] for line in problems] == ["url", "key", "timeout_s"]
    assert "hunter2" not in str(caught.value)
    assert_keeps_quiet(caught.value)
    for url in ("", "127.0.0.1:3000", "ftp://h", "http://", "http://h:99999", "http://[::1"):
        with pytest.raises(ConfigError, match="url: it is not of the form"):
            Tocsin(url)


def test_the_client_needs_neither_server_nor_models() -> None:
    # It is for the machines that have none of them: an import of torch alone takes seconds.
    heavy = {"bentoml", "fastapi", "numpy", "openvino", "pydantic", "starlette", "torch"}
    program = f"import sys, tocsin_serving.client; print({heavy} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("set()\n", "")


def new_key(folder: Path, name: str, *options: object) -> str:
    made = run("keys", "new", name, "--keys", folder / "keys.txt", *options)
    assert made.code == 0, made.err
    (key,) = re.findall(r"tocsin_[!-~]+", made.out)
    return str(key)


@dataclass(frozen=True, kw_only=True)
class Real:
    """The real service with keys, called by one of the clients; ``folder`` holds the keys."""

    call: Caller
    url: str
    folder: Path
    settings: dict[str, Any]

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.call(self.url, method, *arguments, settings=self.settings, **options)

    def fail(self, method: str, *arguments: Any, **options: Any) -> tuple[int | None, str]:
        """The status and the code of the error."""
        settings = self.settings
        error = self.call.fails(self.url, method, *arguments, **{"settings": settings, **options})
        return error.status, error.code


@pytest.fixture(scope="module")
def keyed(
    tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """A service that asks for a key, and a key."""
    folder = tmp_path_factory.mktemp("keyed")
    key = new_key(folder, "desk")
    with start_server(tiny_models, folder, "--keys", folder / "keys.txt") as running:
        yield running, key


@pytest.fixture
def real(call: Caller, keyed: tuple[Server, str]) -> Real:
    server, key = keyed
    folder = server.log_path.parent
    return Real(call=call, url=server.url, folder=folder, settings={"key": key})


ARTICLE = (
    "Port warned again\n\n"
    "The commander vowed to answer every strike, and the talks were suspended.\n\n"
    "The ministry denied arming the group and accused the army of shelling the port."
)


def test_the_real_service_reads_an_article_for_the_client(real: Real) -> None:
    # Everything above is against our own idea of the service; this is against the service.
    found = real.ask("analyse", text=ARTICLE, id="story-1", max_sentences=1)
    schema = json.loads(files("tocsin_models").joinpath("record.schema.json").read_text("utf-8"))
    jsonschema.validate(found.record, schema)
    assert found.id == "story-1"
    assert found.text is None
    for item in (*found.passages, *found.summary.sentences):
        assert ARTICLE[item.start : item.end] == item.text
    assert len(found.summary.sentences) == 1
    assert found.timing_ms.keys() == {"queue", "tokenise", "infer"}
    alone = real.ask("classify", [passage.text for passage in found.passages])
    assert [result.scores for result in alone.results] == [
        passage.scores for passage in found.passages
    ]
    assert alone.model == found.model.classifier
    assert real.ask("summarise", text=ARTICLE, max_sentences=1).summary == found.summary


@pytest.mark.parametrize("method", ["analyse", "summarise"])
def test_the_real_service_gives_the_text_that_offsets_point_into(real: Real, method: str) -> None:
    # For HTML and paragraphs the answer is of no use without it.
    paragraphs = ARTICLE.split("\n\n")
    html = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    for options in ({"paragraphs": paragraphs}, {"html": f"<html><body>{html}</body></html>"}):
        found = real.ask(method, **options)
        assert found.summary.sentences
        for sentence in found.summary.sentences:
            assert found.text[sentence.start : sentence.end] == sentence.text


def test_the_real_service_labels_600_passages_for_one_call(real: Real) -> None:
    # Three requests, one of them with a passage that nobody can read.
    texts = [f"The commander vowed {index} strikes." for index in range(599)] + [" "]
    *labelled, failed = real.ask("classify", texts, thresholds={"threat": 0.0}).results
    assert all("threat" in result.labels for result in labelled)
    assert isinstance(failed, FailedPassage)
    assert (failed.id, failed.error.code) == ("599", "empty")


def test_the_real_service_names_its_models_and_labels(real: Real) -> None:
    # Desks print from here what the labels mean and which model said so.
    models = {model.task: model for model in real.ask("models")}
    assert models.keys() == {"classifier", "summariser"}
    classifier = models["classifier"]
    assert classifier.languages == ("en",)
    assert classifier.metrics["macro_f1"]["value"] == 0.5
    scheme = real.ask("labels")
    assert tuple(item.label for item in scheme.labels) == classifier.labels
    assert {item.label: item.threshold for item in scheme.labels} == classifier.thresholds
    assert all(item.definition for item in scheme.labels)
    assert scheme.model.revision == classifier.revision


def test_a_label_without_a_definition_is_a_label(call: Caller) -> None:
    # A model that a newsroom trained on its own rows need not have any.
    label = {"label": "threat", "definition": None, "threshold": 0.5}
    with fake(Say(body={"labels": [label], "model": MODEL})) as service:
        (found,) = call(service.url, "labels").labels
    assert (found.label, found.definition) == ("threat", None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": COPY, "max_words": -1}, "max_words: "),
        ({"text": COPY, "tresholds": {"threat": 0.5}}, "did you mean thresholds?"),
        ({"text": COPY, "html": COPY}, "exactly one of text, html and paragraphs"),
        ({"text": " \n"}, "nothing but white space"),
        ({"text": COPY + "\ud800"}, "body: Invalid JSON"),
    ],
)
def test_the_real_service_says_what_is_wrong(real: Real, options: Any, said: str) -> None:
    # The client checks none of it, so that there is one set of rules; and neither repeats copy.
    error = real.call.fails(real.url, "analyse", settings=real.settings, **options)
    assert isinstance(error, Refused)
    assert (error.status, error.code) == (422, "invalid_request")
    assert said in str(error)


@pytest.mark.parametrize("size_bytes", [2_200_000, 8_000_000])
def test_the_real_service_says_that_an_article_is_too_large(real: Real, size_bytes: int) -> None:
    # Its refusal comes while the body is still being sent: a connection closed at that moment
    # would lose it, now and then, and the client would send the article again.
    text = COPY * (size_bytes // len(COPY))
    for _ in range(5):
        assert real.fail("analyse", text=text) == (413, "body_too_large")
    assert real.call.pauses_s == []


def test_the_real_service_wants_its_key(real: Real) -> None:
    # A key that the client forgot to send, or changed on the way, would look like a revoked one.
    for settings in ({}, {"key": KEY}):
        assert real.fail("analyse", text=COPY, settings=settings) == (401, "unauthorised")
    assert real.ask("analyse", text=COPY).passages
    assert real.call(real.url, "is_ready") is True


def test_the_real_service_is_heard_when_it_asks_to_wait(real: Real) -> None:
    # A client that misread Retry-After would be the flood that the limit is there for.
    name = "eager-async" if real.call.is_async else "eager"
    settings = {"key": new_key(real.folder, name, "--rate", 1)}
    with pytest.raises(Overloaded) as caught:
        [real.call(real.url, "classify", [COPY], settings=settings) for _ in range(9)]
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    assert len(real.call.pauses_s) >= 3
    assert min(real.call.pauses_s) >= 1
