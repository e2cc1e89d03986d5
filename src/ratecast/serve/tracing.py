"""Traces of requests, which an OpenTelemetry collector gets. Without a collector nothing of OpenTelemetry is even imported.

No span holds a text of a review.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import ratecast
from ratecast.config import TraceConfig
from ratecast.errors import require
from ratecast.serve.batching import Job

_EXPORT_SECONDS: Final = 5.0
"""Longest time to hand spans over, and to wait for that at the end."""
Attributes = Mapping[str, str | int | None]


class Trace:
    """What a request tells of its way; this one tells nobody."""

    id: str | None = None
    """Hexadecimal id of the trace that the request belongs to."""

    @contextmanager
    def step(self, name: str, **attributes: str | int) -> Iterator[None]:
        """A step on the way, which lasts as long as the context."""
        yield

    def predicted(self, job: Job) -> None:
        """The steps of a job: how long it waited, and each batch that a part of it was predicted in."""

    def end(self, route: str, status: int, attributes: Attributes) -> None:
        """The request was answered."""


class Tracing:
    """Begins traces; this one begins such that tell nobody."""

    def begin(self, method: str, headers: Mapping[str, str], request_id: str) -> Trace:
        """The trace of a request, which goes on with that of the client if its headers tell one (W3C's ``traceparent``)."""
        return Trace()

    def close(self) -> None:
        """Hand over what was not handed over yet, or give up after some seconds."""


def create_tracing(config: TraceConfig) -> Tracing:
    """The tracing that the settings ask for.

    Raises:
        MissingExtraError: without the extra ``trace``, if they ask for any.
    """
    return Tracing() if config.trace_endpoint is None else _OpenTelemetry(config.trace_endpoint, config.trace_fraction)


class _OpenTelemetry(Tracing):
    """Hands spans over to a collector, by OTLP over HTTP, in a thread of its own."""

    def __init__(self, endpoint: str, fraction: float) -> None:
        for module in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"):
            require(module, "trace", "tracing")
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        about: dict[str, str | int] = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "ratecast"),
            "service.version": ratecast.__version__,
            "process.pid": os.getpid(),
        }
        # A provider of our own: the global one, which other libraries use, is left alone.
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(fraction)), resource=Resource.create({**about}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ratecast", ratecast.__version__)
        self._context = TraceContextTextMapPropagator()

    def begin(self, method: str, headers: Mapping[str, str], request_id: str) -> Trace:
        from opentelemetry.trace import SpanKind

        span = self._tracer.start_span(
            method,
            self._context.extract(headers),
            SpanKind.SERVER,
            {"http.request.method": method, "ratecast.request_id": request_id},
        )
        return _Recorded(self._tracer, span, method)

    def close(self) -> None:
        closing = threading.Thread(target=self._provider.shutdown, name="ratecast-trace", daemon=True)
        closing.start()
        closing.join(_EXPORT_SECONDS)  # a collector that does not answer shall not hold up the end


class _Recorded(Trace):
    """A trace that is handed over.

    Args:
        tracer: makes spans.
        span: that of the whole request.
        method: that of the request.
    """

    def __init__(self, tracer: Any, span: Any, method: str) -> None:
        from opentelemetry.trace import format_trace_id, set_span_in_context

        self._tracer, self._span, self._context = tracer, span, set_span_in_context(span)
        self._method = method
        self.id = format_trace_id(span.get_span_context().trace_id)

    @contextmanager
    def step(self, name: str, **attributes: str | int) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._add(name, started, time.monotonic(), attributes)

    def predicted(self, job: Job) -> None:
        first = job.batches[0].started if job.batches else time.monotonic()
        self._add("queue", job.arrived, first, {"reviews": len(job.reviews)})
        for batch in job.batches:
            sizes = {"batch_reviews": batch.reviews, "reviews": batch.own_reviews}
            about = {"model": job.served.name, "version": job.served.version}
            self._add("predict", batch.started, batch.ended, {**about, **sizes})

    def end(self, route: str, status: int, attributes: Attributes) -> None:
        from opentelemetry.trace import StatusCode

        self._span.update_name(f"{self._method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status, **_named(attributes)})
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _add(self, name: str, started: float, ended: float, attributes: Attributes) -> None:
        """A span of the past, between two moments on the clock of `time.monotonic`."""
        offset = time.time_ns() - time.monotonic_ns()
        span = self._tracer.start_span(
            name, self._context, attributes=_named(attributes), start_time=offset + round(1e9 * started)
        )
        span.end(offset + round(1e9 * ended))


def _named(attributes: Attributes) -> dict[str, str | int]:
    return {f"ratecast.{name}": value for name, value in attributes.items() if value is not None}
