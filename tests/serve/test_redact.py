"""What the log shows of requests: nothing of their bodies, unless it is asked to, and then nobody's data."""

import json
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
    ],
)
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    assert redacted(json.dumps({"text": text}).encode()) == {"text": expected}


def test_members_that_name_somebody_are_replaced_and_the_rest_is_kept() -> None:
    review = {"text": "ok", "user": "jo", "rating": 4.5, "columns": {"order": 12345678}}
    assert redacted(json.dumps({"reviews": [review], "route_by": 7, "model": None}).encode()) == {
        "reviews": [{"text": "ok", "user": "[user]", "rating": 4.5, "columns": {"order": "[number]"}}],
        "route_by": "[route_by]",
        "model": None,
    }


def test_long_bodies_are_shortened() -> None:
    assert redacted(b"\xff{") == "[2 bytes, no JSON]"
    assert redacted(b"[" * 60_000) == "[60000 bytes, no JSON]"
    assert redacted(b" " * 64_001) == "[64001 bytes]"
    assert redacted(json.dumps(["a"] * 22).encode()) == [*["a"] * 20, "[2 more]"]
    assert redacted(json.dumps("a" * 2003).encode()) == "a" * 2000 + "[3 more]"


def test_bodies_are_logged_only_if_asked(linear_model: Path) -> None:
    content = {"reviews": [{"text": "the movie was great, says jo@example.org", "user": "jo"}]}
    with serving(linear_model) as running:
        assert running.client.post("/v1/predict", json=content).status_code == 200
        running.logged("request")
        assert "great" not in str(running.lines)
    with serving(linear_model, "--log-bodies") as running:
        assert running.client.post("/v1/predict", json=content).status_code == 200
        assert running.client.post("/v1/predict", content=b"{").status_code == 415
        told = running.logged("request")
        assert told[0]["body"] == {"reviews": [{"text": "the movie was great, says [mail]", "user": "[user]"}]}
