"""What the service answers, and what it refuses; all by a real process over a real connection."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import ratecast
from ratecast.records import Review
from served import Running, connect, received

JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of a refusal, whose form is checked."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    return str(error["message"])


def test_it_predicts_what_the_library_predicts(service: Running, linear_model: Path) -> None:
    reviews: list[dict[str, Any]] = [
        {"text": "the movie was great", "title": "Very good", "id": "a"},
        {"text": ""},
        {"text": "电影 😀 awful"},
    ]
    answer = service.client.post("/v1/predict", json={"reviews": reviews})
    assert answer.status_code == 200
    content = answer.json()
    model = ratecast.load(linear_model)
    expected = model.predict([Review(**review) for review in reviews])
    assert content["model"] == "tiny"
    assert [one["review_id"] for one in content["predictions"]] == ["a", None, None]
    np.testing.assert_allclose([one["rating"] for one in content["predictions"]], expected.rating, atol=1e-9)
    np.testing.assert_allclose([one["median"] for one in content["predictions"]], expected.median, atol=1e-9)
    np.testing.assert_allclose([one["mode"] for one in content["predictions"]], expected.mode, atol=1e-9)
    found = [list(one["probabilities"].values()) for one in content["predictions"]]
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-9)
    assert list(content["predictions"][0]["probabilities"]) == ["1", "2", "3", "4", "5"]
    assert content["predictions"][1]["warnings"] == ["the text is empty"]
    assert len({one["id"] for one in content["predictions"]}) == 3


def test_models_and_status(service: Running) -> None:
    (model,) = service.client.get("/v1/models").json()["models"]
    assert (model["name"], model["levels"], model["continuous"]) == ("tiny", [1, 2, 3, 4, 5], False)
    assert len(model["version"]) == 12
    assert (model["folder"], model["weight"], model["shadow"]) == ("tiny", 1.0, False)
    assert service.client.get("/healthz").json() == {"status": "ok"}
    assert service.client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b'{"reviews": [', 400, "not_json", "JSON"),
        (b"\xff\xfe{}", 400, "not_json", ""),
        (b"", 422, "invalid_request", "body"),
        (b"[" * 9000, 400, "not_json", ""),
        (b"1" * 9000, 400, "not_json", ""),
        (b"[]", 422, "invalid_request", "body"),
        (b"{}", 422, "invalid_request", "reviews: Field required"),
        (b'{"reviews": []}', 422, "invalid_request", "reviews"),
        (b'{"reviews": "good"}', 422, "invalid_request", "reviews"),
        (b'{"reviews": [{"text": 1}]}', 422, "invalid_request", "reviews.0.text: Input should be a valid string"),
        (b'{"reviews": [{"text": null}]}', 422, "invalid_request", "reviews.0.text"),
        (b'{"reviews": [{"txt": "a"}]}', 422, "invalid_request", "reviews.0.txt: Extra inputs are not permitted"),
        (b'{"reviews": [{"text": "a"}], "deadline_ms": NaN}', 422, "invalid_request", "deadline_ms"),
        (b'{"reviews": [{"text": "a"}], "deadline_ms": -1}', 422, "invalid_request", "deadline_ms"),
        (b'{"reviews": [{"text": "a\\ud800"}]}', 422, "invalid_request", "reviews.0.text"),
        (b'{"reviews": [{"text": "a", "\\ud800": 1}]}', 422, "invalid_request", "reviews.0"),
        (b'{"reviews": [{"text": "a\\u0000"}]}', 422, "invalid_request", "the control character, U+0000"),
        (b'{"reviews": [{"text": "a", "title": "\\u001b"}]}', 422, "invalid_request", "the control character, U+001B"),
        (b'{"reviews": [{"text": "a"}], "model": "\\udfff"}', 422, "invalid_request", "model: "),
        (b'{"reviews": [{"text": "a"}], "model": "other"}', 404, "unknown_model", "known are tiny"),
        (b'{"reviews": [{"text": "a"}], "version": "other"}', 404, "unknown_version", "'tiny' has no version that answers"),
        (b'{"reviews": [{"text": "a"}], "route_by": ""}', 422, "invalid_request", "route_by"),
        (json.dumps({"reviews": [{"text": "a"}] * 51}).encode(), 413, "too_many_reviews", "at most 50"),
        (json.dumps({"reviews": [{"text": "a" * 5001}]}).encode(), 413, "text_too_long", "review 0 has 5001 bytes"),
        (b" " * 20_001, 413, "body_too_large", "20000"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_input_is_refused(service: Running, body: bytes, status: int, code: str, words: str) -> None:
    answer = service.client.post("/v1/predict", content=body, headers=JSON)
    assert words in refused(answer, status, code)
    documented = service.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["responses"]
    assert str(status) in documented


def test_whitespace_and_rare_characters_are_taken(service: Running) -> None:
    texts = ["a\tb\r\nc\x0b\x0c", "\ufeff\u200b\U0001f600", "\ufdd0", "\u0085\u2028", "e\u0301" * 100]
    answer = service.client.post("/v1/predict", json={"reviews": [{"text": text} for text in texts]})
    assert answer.status_code == 200, answer.text


def test_bodies_that_are_not_declared_as_json_are_refused(service: Running) -> None:
    for headers in ({"content-type": "text/plain"}, {}):
        answer = service.client.post("/v1/predict", content=b'{"reviews": [{"text": "a"}]}', headers=headers)
        assert "application/json" in refused(answer, 415, "not_json")


def test_unknown_paths_and_methods(service: Running) -> None:
    refused(service.client.get("/nothing"), 404, "unknown_path")
    refused(service.client.get("/v1/predict"), 405, "wrong_method")


def test_feedback_without_a_store_is_refused(service: Running) -> None:
    answer = service.client.post("/v1/feedback", json={"prediction_id": "a", "rating": 4})
    assert "--store" in refused(answer, 501, "no_store")


def test_another_host_is_refused_without_keys(service: Running) -> None:
    refused(service.client.get("/v1/models", headers={"host": "evil.example:80"}), 421, "wrong_host")
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1:1", "[::1]", "[::1]:8000"):
        assert service.client.get("/v1/models", headers={"host": host}).status_code == 200


def test_a_large_body_is_refused_before_it_is_sent(service: Running) -> None:
    with connect(service) as connection:
        head = (
            "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50000000\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_a_large_body_of_unknown_length_is_refused_while_it_is_read(service: Running) -> None:
    with connect(service) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"%x\r\n%s\r\n" % (21_000, b" " * 21_000))  # and there is no last chunk
        assert received(connection).startswith(b"HTTP/1.1 413")


def test_a_body_that_comes_too_slowly_is_refused(service: Running) -> None:
    with connect(service) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        started = time.monotonic()
        assert service.client.get("/healthz").status_code == 200
        assert received(connection).startswith(b"HTTP/1.1 408")
        assert 0.5 < time.monotonic() - started < 20


def test_headers_that_come_too_slowly_end_the_connection(service: Running) -> None:
    with connect(service) as silent, connect(service) as slow, connect(service) as again:
        started = time.monotonic()
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        again.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        again.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert received(slow).startswith(b"HTTP/1.1 408")
        answered, late = received(again).split(b'{"status":"ok"}')
        assert answered.startswith(b"HTTP/1.1 200")
        assert late.startswith(b"HTTP/1.1 408")
        assert silent.recv(1) == b""
        assert 0.5 < time.monotonic() - started < 20
        assert service.client.get("/healthz").status_code == 200


def test_headers_without_end_are_refused(service: Running) -> None:
    with connect(service) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Long: 1\r\n" * 10_000)
        assert received(connection).startswith(b"HTTP/1.1 400")


def test_every_answer_has_its_headers(service: Running) -> None:
    for path in ("/healthz", "/nothing", "/v1/predict"):
        answer = service.client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 16


def test_a_request_id_is_kept_if_it_can_be_logged(service: Running) -> None:
    assert service.client.get("/healthz", headers={"x-request-id": "shop-17"}).headers["x-request-id"] == "shop-17"
    for given in ("a b", "x" * 65, '"'):
        assert service.client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] != given


def test_the_log_has_requests_and_no_texts(service: Running) -> None:
    answer = service.client.post(
        "/v1/predict", json={"reviews": [{"text": "a secret"}] * 2}, headers={"x-request-id": "logged"}
    )
    assert answer.status_code == 200
    time.sleep(0.2)
    (entry,) = [entry for entry in service.log if entry.get("request_id") == "logged"]
    assert entry["message"] == "request"
    assert (entry["path"], entry["status"], entry["reviews"]) == ("/v1/predict", 200, 2)
    assert entry["ms"] > 0
    assert "secret" not in "".join(service.lines)


def test_metrics_count_requests_and_reviews(service: Running) -> None:
    def value(name: str) -> float:
        lines = service.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = value("ratecast_reviews_total"), value('ratecast_requests_total{route="/v1/predict",status="200"}')
    service.client.post("/v1/predict", json={"reviews": [{"text": "a"}] * 3})
    assert value("ratecast_reviews_total") == before[0] + 3
    assert value('ratecast_requests_total{route="/v1/predict",status="200"}') == before[1] + 1
    assert value("ratecast_queue_bytes") == 0
    assert value("ratecast_request_seconds_count") > 0


def test_the_description_has_examples_that_work(service: Running) -> None:
    described = service.client.get("/openapi.json").json()
    (example,) = described["components"]["schemas"]["PredictRequest"]["examples"]
    assert service.client.post("/v1/predict", json=example).status_code == 200
    own = {path for path in described["paths"] if not path.startswith("/v2")}
    assert own == {"/v1/predict", "/v1/feedback", "/v1/models", "/v1/models/reload", "/healthz", "/readyz", "/metrics"}
