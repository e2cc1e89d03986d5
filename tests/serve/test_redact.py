"""What the log shows of requests: nothing of their bodies, unless it is asked to, and then nobody's data."""

import json
import time
from pathlib import Path

import pytest

from ratecast.serve.redact import redacted
from served import serving


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great phone, 10/10, paid 1,299.00 in 2024", "Great phone, 10/10, paid 1,299.00 in 2024"),
        ("mail jo.doe+x@mail.example.org!", "mail [mail]!"),
        ("see HTTPS://example.org/u/jo?id=7 or www.example.org", "see [address] or [address]"),
        ("I am @jo_doe", "I am [account]"),
        ("to GB82 WEST 1234 5698 7654 32 please", "to [account] please"),
        ("call +44 (0)20 7946-0958", "call [number]"),
        ("card 4111 1111 1111 1111", "card [number]"),
        ("电话13812345678", "电话[number]"),
        ("555 - 123 - 4567, 555–123–4567, 555_123_4567 or 555\u00a0123\u00a04567", "[number] or [number]"),
        ("I am @jo.doe, o'brien@example.org or jo\uff20example.org", "I am [account], [mail] or [mail]"),
        ("see example.org/u/jo, and/or 4.5/5", "see [address] and/or 4.5/5"),
        ("Mail" + "." * 70 + "jo@example.org example.com:8080/a?u=jo", "Mail" + "." * 8 + "[mail] [address]"),
        ("iban gb82 west 1234 5698 7654 32", "iban [account]"),
    ],
)
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    assert redacted(json.dumps({"text": text}).encode()) == {"text": expected}


def test_members_that_name_somebody_are_replaced_and_the_rest_is_kept() -> None:
    review = {"text": "ok", "User": "jo", "rating": 4.5, "time": "2026-01-31T12:00:00Z", "columns": {"a": 12345678, "b": 1e7}}
    body = {"reviews": [review], "route_by": 7, "model": "jo@example.org", "prediction_id": "8c1f01234567ed04"}
    body["reviewer"] = "Ann"
    assert redacted(json.dumps(body).encode()) == {
        "reviews": [
            {
                "text": "ok",
                "User": "[user]",
                "rating": 4.5,
                "time": "2026-01-31T12:00:00Z",
                "columns": {"a": "[number]", "b": "[number]"},
            }
        ],
        "route_by": "[route_by]",
        "model": "[mail]",
        "prediction_id": "8c1f01234567ed04",
        "reviewer": "[reviewer]",
    }
    assert redacted(b"[NaN, 1e999, -Infinity]") == ["NaN", "inf", "-Infinity"]


def test_long_bodies_are_shortened() -> None:
    assert redacted(b"\xff{") == "[2 bytes, no JSON]"
    assert redacted(b"[" * 60_000) == "[60000 bytes, no JSON]"
    assert redacted(b" " * 64_001) == "[64001 bytes]"
    assert redacted(json.dumps(["a"] * 22).encode()) == [*["a"] * 20, "[2 more]"]
    assert redacted(json.dumps("a" * 2100).encode()) == "a" * 2100
    assert redacted(json.dumps("a" * 2203).encode()) == "a" * 2000 + "[203 more]"
    cut = redacted(json.dumps("a " * 995 + "4111 1111 1111 1111 " * 30).encode())
    assert cut.startswith("a " * 800)
    assert "4111" not in cut
    assert redacted(b'{"a": 1' + b"0" * 400 + b"}") == {"a": "[number]"}
    members = {f"{number}": number for number in range(25)}
    assert redacted(json.dumps(members).encode())["[more]"] == 5
    started = time.perf_counter()
    for evil in ("a" * 63_000, "1 " * 31_000, "ab12" * 15_000, "a." * 31_000, "@" * 63_000):
        redacted(json.dumps(evil).encode())
    assert time.perf_counter() - started < 2


def test_bodies_are_logged_only_if_asked(linear_model: Path) -> None:
    content = {"reviews": [{"text": "the movie was great, says jo@example.org", "user": "jo"}]}
    with serving(linear_model) as running:
        assert running.client.post("/v1/predict", json=content).status_code == 200
        running.logged("request")
        assert "great" not in str(running.lines)
    with serving(linear_model, "--log-bodies") as running:
        assert running.client.post("/v1/predict", json=content).status_code == 200
        assert running.client.post("/v1/predict", content=b"{").status_code == 415
        assert running.client.post("/healthz", json=content).status_code == 405
        end = time.monotonic() + 10
        while len(told := running.logged("request")) < 3:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert [entry.get("body") for entry in told[1:]] == ["[1 bytes, no JSON]", None]
        assert told[0]["body"] == {"reviews": [{"text": "the movie was great, says [mail]", "user": "[user]"}]}
