"""Traces, as a collector gets them."""

import gzip
import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from ratecast.cli import run
from ratecast.serve.keys import add_key
from served import SECONDS, Running, serving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Span(NamedTuple):
    """A span that was handed over."""

    name: str
    trace: str
    id: str
    parent: str
    started: int
    ended: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.received = b""

    def trace(self, request_id: str, count: int) -> dict[str, Span]:
        """The spans of a request by name, once there are so many."""
        end = time.monotonic() + SECONDS
        while True:
            roots = [span for span in self.spans if span.attributes.get("ratecast.request_id") == request_id]
            found = [span for span in self.spans if roots and span.trace == roots[0].trace]
            if len(found) >= count:
                assert len(found) == count
                return {span.name: span for span in found}
            assert time.monotonic() < end, self.spans
            time.sleep(0.02)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        assert self.path == "/v1/traces"
        assert self.headers["content-type"] == "application/x-protobuf"
        self.server.received += body
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = values(part.resource.attributes)
            self.server.spans += [read(span, resource) for scope in part.scope_spans for span in scope.spans]
        content = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def read(span: Any, resource: dict[str, Any]) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
        values(span.attributes),
        resource,
    )


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def traced(collector: Collector, linear_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that hands its spans over twice a second, and has small batches."""
    folder = tmp_path_factory.mktemp("traced")
    key = add_key(folder / "keys.toml", "shop")
    url = f"http://127.0.0.1:{collector.server_port}"
    flags = ("--trace-endpoint", url, "--store", folder, "--keys", folder / "keys.toml", "--batch-bytes", "1000")
    with serving(linear_model, *flags, "--log-bodies", OTEL_BSP_SCHEDULE_DELAY="500") as running:
        running.client.headers["authorization"] = f"Bearer {key}"
        yield running


def test_the_way_of_a_request_is_traced(traced: Running, collector: Collector) -> None:
    reviews = [{"text": f"a secret word {number} " + "and so on " * 10} for number in range(20)]  # of which a batch holds 5
    before = time.time_ns()
    answer = traced.client.post(
        "/v1/predict",
        json={"reviews": reviews},
        headers={"x-request-id": "way", "traceparent": f"00-{TRACE}-{PARENT}-01"},
    )
    after = time.time_ns()
    assert answer.status_code == 200, answer.text
    found = collector.trace("way", 7)
    request, queue, store = found["POST /v1/predict"], found["queue"], found["store"]
    assert (request.trace, request.parent) == (TRACE, PARENT)
    batches = sorted((span for span in collector.spans if span.name == "predict"), key=lambda span: span.started)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/predict",
        "http.response.status_code": 200,
        "ratecast.request_id": "way",
        "ratecast.key": "shop",
        "ratecast.reviews": 20,
        "ratecast.model": "tiny",
        "ratecast.version": batches[0].attributes["ratecast.version"],
    }
    assert (request.resource["service.name"], request.failed) == ("ratecast", False)
    assert [span.attributes["ratecast.batch_reviews"] for span in batches] == [5, 5, 5, 5]
    assert sum(span.attributes["ratecast.reviews"] for span in batches) == 20
    assert {span.attributes["ratecast.model"] for span in batches} == {"tiny"}
    steps = [queue, *batches, store]
    assert {span.parent for span in steps} == {request.id}
    assert all(span.started <= span.ended for span in steps)
    slack = 5_000_000  # the offset between the two clocks is measured for each span
    moments = [
        before,
        request.started,
        *(moment for span in steps for moment in (span.started, span.ended)),
        request.ended,
        after,
    ]
    assert all(later > earlier - slack for earlier, later in itertools.pairwise(moments))
    (entry,) = [entry for entry in traced.log if entry.get("request_id") == "way"]
    assert entry["trace_id"] == TRACE


def test_feedback_and_refusals_are_traced_and_no_text_is_told(traced: Running, collector: Collector) -> None:
    (prediction,) = traced.client.post("/v1/predict", json={"reviews": [{"text": "a secret word"}]}).json()["predictions"]
    told = {"prediction_id": prediction["id"], "rating": 4}
    assert traced.client.post("/v1/feedback", json=told, headers={"x-request-id": "told"}).status_code == 200
    found = collector.trace("told", 2)
    assert found["store"].attributes == {"ratecast.feedback": 1}
    assert found["store"].parent == found["POST /v1/feedback"].id
    bad = {"reviews": [{"text": "a secret word", "secret": 1}]}
    assert traced.client.post("/v1/predict", json=bad, headers={"x-request-id": "bad"}).status_code == 422
    assert collector.trace("bad", 1)["POST /v1/predict"].attributes["http.response.status_code"] == 422
    assert traced.client.get("/healthz", headers={"x-request-id": "probe"}).status_code == 200
    unsampled = {"x-request-id": "unsampled", "traceparent": f"00-{TRACE[::-1]}-{PARENT}-00"}
    assert traced.client.get("/v1/models", headers=unsampled).status_code == 200
    assert traced.client.get("/v1/models", headers={"x-request-id": "last"}).status_code == 200
    collector.trace("last", 1)
    assert not {"probe", "unsampled"} & {span.attributes.get("ratecast.request_id") for span in collector.spans}
    assert b"secret" not in collector.received
    assert any("secret" in line for line in traced.lines)


def test_what_is_left_is_handed_over_at_the_end(linear_model: Path, collector: Collector) -> None:
    url = f"http://127.0.0.1:{collector.server_port}"
    with serving(linear_model, "--trace-endpoint", url, OTEL_SERVICE_NAME="hotels") as running:
        assert running.client.get("/v1/models", headers={"x-request-id": "end"}).status_code == 200
        assert running.stop() == 0
    assert collector.trace("end", 1)["GET /v1/models"].resource["service.name"] == "hotels"


def test_a_collector_that_is_away_holds_nothing_up(linear_model: Path) -> None:
    with serving(linear_model, "--trace-endpoint", "http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="100") as running:
        for _ in range(20):
            assert running.client.get("/v1/models").status_code == 200
        started = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started < 15


def test_settings_of_traces_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "model", "--trace-endpoint", "collector:4318"]) == 2
    assert "trace_endpoint must be a URL like http://collector:4318" in capsys.readouterr().err
    assert run(["serve", "model", "--trace-fraction", "2"]) == 2
    assert "trace_fraction must be from 0 to 1" in capsys.readouterr().err
