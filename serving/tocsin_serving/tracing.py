"""Traces over OTLP, for those who set an endpoint; for all others nothing is even imported.

A request is reported when it is over: a span for it and one for each stage, from times that were
taken anyway. Nothing of a trace lives in a request while it runs. Spans carry no text, no path and
no query; of what a client sends only the trace id (``traceparent``) and the request id.
"""

import logging
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, Protocol

from tocsin_serving.logs import METHODS, type_name

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

Stage = Literal["tokenise", "queue", "infer"]
# Monotonic start and end, in seconds.
Times = tuple[float, float]

# OpenTelemetry's own variables; the first that is set decides, as in its specification.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"

_FLUSH_S = 1.8
_ABORT_S = 0.1  # and so at most 1.9 s, of the 2 s that a shutdown may take

_log = logging.getLogger("tocsin.tracing")


class Tracer(Protocol):
    """Takes finished requests. All times are seconds of ``time.monotonic()``."""

    def request(
        self,
        *,
        route: str,
        method: str,
        status: int,
        request_id: str,
        times: Times,
        stages: Mapping[Stage, Times],
        traceparent: str | None = None,
        passages: int | None = None,
        tokens: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Report one request. It never raises or waits for the collector.

        ``route`` is the template; ``traceparent`` the request's header as it came (a malformed one
        starts a new trace); ``error`` is told by its type only.
        """

    def shutdown(self) -> None:
        """Send what is left, for at most 2 s; this blocks. Later requests are not reported."""


def configure(routes: Collection[str]) -> Tracer:
    """A tracer that exports if OpenTelemetry's variables name an endpoint, else one that does not.

    ``routes`` are the templates that are served; a request for any other is named "other". Call it
    once in a process, after ``logs.configure``.
    """
    if not _first_set(_ENDPOINTS) or _is_switched_off():
        return _Off()
    if _first_set(_PROTOCOLS) not in (None, _SPOKEN):
        message = "no traces: of OTLP's protocols only %s is spoken; set %s to it"
        _log.warning(message, _SPOKEN, _PROTOCOLS[0])
        return _Off()
    return _Exporting(routes)


class _Off:
    def request(self, **_: object) -> None:
        pass

    def shutdown(self) -> None:
        pass


class _Exporting:
    """Spans go into the SDK's bounded queue, and its thread sends them; a full queue drops them."""

    def __init__(self, routes: Collection[str]) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # The SDK writes several lines for each batch that a collector does not take, with its
        # address in them. _make_exporter's says it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._routes = frozenset(routes)
        self._exporter = _make_exporter()
        # Not the global provider: BentoML's own instrumentation, which records raw paths, would
        # find it. Not shut down at exit: that waits for up to 30 s.
        self._provider = TracerProvider(resource=_make_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("tocsin", version("tocsin"))
        self._propagator = TraceContextTextMapPropagator()

    def request(
        self,
        *,
        route: str,
        method: str,
        status: int,
        request_id: str,
        times: Times,
        stages: Mapping[Stage, Times],
        traceparent: str | None = None,
        passages: int | None = None,
        tokens: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        # Taken anew for each request: a clock that was set moves a trace as a whole, and the
        # lengths in it stay what they were.
        wall_clock_ns = time.time_ns() - time.monotonic_ns()

        def to_ns(monotonic_s: float) -> int:
            return wall_clock_ns + int(monotonic_s * 1e9)

        known_route = route if route in self._routes else "other"
        attributes: dict[str, str | int | None] = {
            "http.request.method": method if method in METHODS else "_OTHER",
            "http.route": known_route,
            "http.response.status_code": status,
            "tocsin.request_id": request_id,
            "tocsin.passages": passages,
            "tocsin.tokens": tokens,
            "error.type": type_name(error) if error else None,
        }
        # Of the header's two parts only this one is read: ``tracestate`` is free text. The
        # context starts empty, so that a span of BentoML's is never the parent.
        carrier = {"traceparent": traceparent} if traceparent else {}
        span = self._tracer.start_span(
            known_route,
            context=self._propagator.extract(carrier, context=Context()),
            kind=SpanKind.SERVER,
            attributes={name: value for name, value in attributes.items() if value is not None},
            start_time=to_ns(times[0]),
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        within = set_span_in_context(span, Context())
        for stage, (start_s, end_s) in stages.items():
            child = self._tracer.start_span(stage, context=within, start_time=to_ns(start_s))
            child.end(to_ns(end_s))
        span.end(to_ns(times[1]))

    def shutdown(self) -> None:
        # The SDK's shutdown takes up to 30 s while a collector does not answer, hence a thread
        # that is not waited for.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_FLUSH_S)
        if closing.is_alive():
            self._exporter.shutdown()  # ends its waits between attempts
            closing.join(_ABORT_S)


def _make_exporter() -> "SpanExporter":
    """OTLP over HTTP as the variables say, which logs a failure once until it works again."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult

    class Exporter(OTLPSpanExporter):
        is_failing = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = super().export(spans)
            was_failing, self.is_failing = self.is_failing, result is not SpanExportResult.SUCCESS
            if self.is_failing and not was_failing:
                _log.warning(
                    "traces are lost: the collector does not take them; check %s. This is said "
                    "once, until it takes them again",
                    " and ".join(_ENDPOINTS),
                )
            return result

    return Exporter()


def _make_resource() -> "Resource":
    """Who reports. ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` add to it.

    ``Resource.create`` is not asked: it runs every detector that is installed and named in the
    environment, and some of them ask the cloud's metadata server who they are.
    """
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = Resource(
        {
            "service.name": "tocsin",
            "service.version": version("tocsin"),
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": version("opentelemetry-sdk"),
        }
    )
    return ours.merge(OTELResourceDetector().detect())


def _first_set(names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


def _is_switched_off() -> bool:
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return is_disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
