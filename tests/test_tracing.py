"""Traces, as a collector receives them: who was slow and where, and not a word of copy."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tocsin_serving import tracing

ROUTES = ("/v1/analyse", "/v1/classify")
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENTINEL = "SENTINEL"


@dataclass(kw_only=True)
class Collector:
    """What an OTLP collector on loopback was sent; it answers each request with ``status``."""

    url: str = ""
    status: int = 200
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self) -> list[Span]:
        """In the order of their starts."""
        spans = [
            span
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(spans, key=lambda span: span.start_time_unix_nano)


@pytest.fixture
def collector() -> Iterator[Collector]:
    received = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            received.paths.append(self.path)
            received.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(received.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield received
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of whoever runs the tests; and the level that ``configure`` sets is put back."""
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    library = logging.getLogger("opentelemetry")
    before = library.level
    yield
    library.setLevel(before)


@contextmanager
def tracer_to(url: str) -> Iterator[tracing.Tracer]:
    """A tracer that sends to ``url``, shut down at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        tracer = tracing.configure(ROUTES)
    try:
        yield tracer
    finally:
        tracer.shutdown()


def report(
    tracer: tracing.Tracer,
    *,
    route: str = "/v1/analyse",
    method: str = "POST",
    status: int = 200,
    request_id: str = "a1",
    traceparent: str | None = None,
    error: BaseException | None = None,
) -> None:
    """Report a request that began 100 ms ago: 20 ms in the queue, 10 in tokenising, 50 in model."""
    start_s = time.monotonic() - 0.1
    tracer.request(
        route=route,
        method=method,
        status=status,
        request_id=request_id,
        times=(start_s, start_s + 0.1),
        stages={
            "tokenise": (start_s + 0.001, start_s + 0.011),
            "queue": (start_s + 0.011, start_s + 0.031),
            "infer": (start_s + 0.031, start_s + 0.081),
        },
        traceparent=traceparent,
        passages=14,
        tokens=700,
        error=error,
    )


def attributes(span: Span) -> dict[str, str | int]:
    return {
        each.key: each.value.int_value
        if each.value.WhichOneof("value") == "int_value"
        else each.value.string_value
        for each in span.attributes
    }


def milliseconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6


def test_a_request_is_a_span_with_its_three_stages_in_it(collector: Collector) -> None:
    # The picture an operator opens when an editor says that it was slow.
    with tracer_to(collector.url) as tracer:
        report(tracer)
    assert collector.paths == ["/v1/traces"]
    whole, *stages = collector.spans()
    assert (whole.name, whole.kind) == ("/v1/analyse", Span.SPAN_KIND_SERVER)
    assert attributes(whole) == {
        "http.request.method": "POST",
        "http.route": "/v1/analyse",
        "http.response.status_code": 200,
        "tocsin.request_id": "a1",
        "tocsin.passages": 14,
        "tocsin.tokens": 700,
    }
    assert [stage.name for stage in stages] == ["tokenise", "queue", "infer"]
    assert {stage.parent_span_id for stage in stages} == {whole.span_id}
    assert {stage.trace_id for stage in stages} == {whole.trace_id}
    assert whole.parent_span_id == b""


def test_a_span_takes_as_long_as_its_stage_and_stands_where_it_happened(
    collector: Collector,
) -> None:
    # Times come from a clock that no one sets; the collector wants the time of day.
    with tracer_to(collector.url) as tracer:
        report(tracer)
    whole, *stages = collector.spans()
    assert milliseconds(whole) == pytest.approx(100, abs=0.001)
    assert [milliseconds(stage) for stage in stages] == pytest.approx([10, 20, 50], abs=0.001)
    assert stages[0].start_time_unix_nano - whole.start_time_unix_nano == pytest.approx(
        1e6, abs=1e3
    )
    assert abs(time.time() - whole.end_time_unix_nano / 1e9) < 60


def test_the_caller_s_trace_is_continued(collector: Collector) -> None:
    # Otherwise a newsroom's own trace ends at our door.
    with tracer_to(collector.url) as tracer:
        report(tracer, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-01")
    spans = collector.spans()
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert spans[0].parent_span_id.hex() == PARENT_ID


def test_a_trace_that_its_caller_does_not_sample_is_not_sent(collector: Collector) -> None:
    with tracer_to(collector.url) as tracer:
        report(tracer, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00")
    assert collector.bodies == []


def test_only_faults_are_marked_and_an_exception_is_its_type(collector: Collector) -> None:
    # Messages of exceptions quote what was read.
    with tracer_to(collector.url) as tracer:
        report(tracer, status=422)
        report(tracer, status=500, error=json.JSONDecodeError(SENTINEL, SENTINEL, 0))
    refused, failed = (span for span in collector.spans() if span.kind == Span.SPAN_KIND_SERVER)
    assert (refused.status.code, failed.status.code) == (0, 2)
    assert "error.type" not in attributes(refused)
    assert attributes(failed)["error.type"] == "json.decoder.JSONDecodeError"
    assert not failed.events
    assert SENTINEL.encode() not in b"".join(collector.bodies)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text())
@example(text="")
@example(text=f"00-{TRACE_ID}-{PARENT_ID}-01-")
@example(text=f"ff-{TRACE_ID}-{PARENT_ID}-01")
@example(text=f"00-{'0' * 32}-{PARENT_ID}-01")
def test_nothing_that_a_client_makes_up_is_sent_on(collector: Collector, text: str) -> None:
    # A path, a method or a header can be any word of an article; and none may cost the answer.
    collector.bodies.clear()
    made_up = SENTINEL + text
    error = ValueError(made_up)
    with tracer_to(collector.url) as tracer:
        report(
            tracer,
            route=f"/v1/{made_up}",
            method=made_up,
            status=500,
            traceparent=text + SENTINEL,
            error=error,
        )
        report(tracer, traceparent=text)
    assert SENTINEL.encode() not in b"".join(collector.bodies)
    first = collector.spans()[0]
    assert (first.name, first.kind) == ("other", Span.SPAN_KIND_SERVER)
    assert attributes(first)["http.request.method"] == "_OTHER"


def test_who_reports_is_said_without_looking_around(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Detectors for clouds ask a metadata server over the network, and others name the machine.
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "*")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "tocsin-night-desk")
    with tracer_to(collector.url) as tracer:
        report(tracer)
    (request,) = collector.requests()
    resource = request.resource_spans[0].resource
    assert {each.key: each.value.string_value for each in resource.attributes} == {
        "service.name": "tocsin-night-desk",
        "service.version": version("tocsin"),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
    }


def test_the_endpoint_for_traces_alone_is_taken_as_it_is(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OTLP's specification: the general variable is completed by a path, this one is not.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/gateway/traces")
    tracer = tracing.configure(ROUTES)
    report(tracer)
    tracer.shutdown()
    assert collector.paths == ["/gateway/traces"]


# Where there is no collector.

QUIET = """
import sys
from tocsin_serving import logs, tracing
logs.configure()
tracer = tracing.configure(["/v1/analyse"])
tracer.request(route="/v1/analyse", method="POST", status=200, request_id="a", times=(0.0, 1.0),
               stages={"infer": (0.0, 1.0)}, traceparent="x", error=ValueError())
tracer.shutdown()
print([name for name in sys.modules if name.startswith(("opentelemetry", "requests"))])
"""


def run(script: str, **environment: str) -> tuple[str, list[dict[str, str]]]:
    """What ``script`` prints, and the lines that it logs."""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ran.stdout, [json.loads(line) for line in ran.stderr.splitlines()]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_opentelemetry_is_not_even_imported(
    environment: dict[str, str],
) -> None:
    # It takes half a second of each start, and a library that is not there calls nobody.
    assert run(QUIET, **environment) == ("[]\n", [])


def test_with_an_endpoint_it_is() -> None:
    # The rule above failing, so that the list is known to see it.
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    printed, _ = run(QUIET, **endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="0.1")
    assert "opentelemetry.sdk" in printed


def test_a_protocol_that_is_not_spoken_is_said(caplog: pytest.LogCaptureFixture) -> None:
    # Sent over HTTP to a port for gRPC the traces would be lost, and nobody would know why.
    caplog.set_level(logging.WARNING)  # a training earlier in this process had raised it to ERROR
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        with tracer_to("http://127.0.0.1:9") as tracer:
            report(tracer)
    assert [record.getMessage() for record in caplog.records] == [
        "no traces: of OTLP's protocols only http/protobuf is spoken; "
        "set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL to it"
    ]


UNREACHABLE = """
import time
from tocsin_serving import logs, tracing
logs.configure()
tracer = tracing.configure(["/v1/analyse"])
for _ in range(4):
    for _ in range(1000):
        tracer.request(route="/v1/analyse", method="POST", status=200, request_id="a",
                       times=(0.0, 1.0), stages={"infer": (0.0, 1.0)})
    time.sleep(0.3)
tracer.shutdown()
"""


def test_a_collector_that_is_not_there_is_one_line(free_port: int) -> None:
    # The SDK alone writes several for each batch, which buries the service's own log.
    _, lines = run(
        UNREACHABLE,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port}",
        OTEL_EXPORTER_OTLP_TIMEOUT="0.1",
        OTEL_BSP_SCHEDULE_DELAY="20",
    )
    assert [(line["logger"], line["level"]) for line in lines] == [("tocsin.tracing", "WARNING")]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in lines[0]["message"]
    assert str(free_port) not in lines[0]["message"]


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_a_second_outage_is_said_again(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)  # a training earlier in this process had raised it to ERROR
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with tracer_to(collector.url) as tracer:
        for status in (400, 400, 200, 400, 400):
            collector.status = status
            before = len(collector.bodies)
            report(tracer)
            waited_s = time.monotonic() + 10
            while len(collector.bodies) == before and time.monotonic() < waited_s:
                time.sleep(0.005)
    assert len(caplog.records) == 2


def test_a_collector_that_never_answers_holds_up_neither_request_nor_end() -> None:
    # A shutdown has a grace period to keep; the SDK alone waits 10 s for each batch.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with tracer_to(f"http://127.0.0.1:{port}") as tracer:
            started_s = time.monotonic()
            for _ in range(1_000):
                report(tracer)
            reported_s = time.monotonic()
            tracer.shutdown()
            ended_s = time.monotonic()
    assert reported_s - started_s < 5  # a thousand of them; measured 0.1 s
    assert ended_s - reported_s < 4  # 1.9 s, on a machine that is not busy
