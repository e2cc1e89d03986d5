"""How much each key may send, and what it is told when that is too much."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from ratecast.config import LimitsConfig
from ratecast.serve.faults import Fault
from ratecast.serve.keys import Key, add_key
from ratecast.serve.metrics import Metrics
from ratecast.serve.rates import Bucket, Rates
from served import Running, serving


class Limited(NamedTuple):
    """A service whose keys may send 5 requests a minute, unless they say something else."""

    running: Running
    keys: dict[str, str]

    def predict(self, name: str, count: int, path: str = "/v1/predict") -> httpx.Response:
        texts = [f"the movie was good {number}" for number in range(count)]
        body = {"reviews": [{"text": text} for text in texts]} if path == "/v1/predict" else {"texts": texts}
        return self.running.client.post(path, json=body, headers=self.bearer(name) | {"x-ratecast-page": "1"})

    def bearer(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[name]}"}


@pytest.fixture(scope="module")
def limited(linear_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    file = tmp_path_factory.mktemp("rates") / "keys.toml"
    keys = {
        name: add_key(file, name, requests_per_minute=math.inf, reviews_per_minute=60)
        for name in ("shop", "other", "large", "page")
    }
    keys |= {"usual": add_key(file, "usual"), "scraper": add_key(file, "scraper", ("metrics",), requests_per_minute=math.inf)}
    with serving(linear_model, "--keys", file, "--requests-per-minute", "5") as running:
        yield Limited(running, keys)


def told(answer: httpx.Response, words: str) -> int:
    """The seconds that a refusal asks to wait."""
    assert answer.status_code == 429, answer.text
    error = answer.json()["error"]
    assert error["code"] == "rate_limited"
    seconds = int(answer.headers["retry-after"])
    assert error["message"] == f"{words} a minute; try again in {seconds} s"
    return seconds


def test_two_keys_of_a_name_share_what_a_minute_allows() -> None:
    rates = Rates(LimitsConfig(), Metrics())
    old, new = (Key(name="a", sha256=digit * 64, scopes=frozenset(), reviews_per_minute=60) for digit in "01")
    rates.take(old, "reviews", 60)
    with pytest.raises(Fault, match="the key 'a' may send 60 reviews a minute"):
        rates.take(new, "reviews", 1)


def test_a_bucket_holds_a_minute_and_fills_up_steadily() -> None:
    bucket = Bucket(600)  # 10 a second
    assert bucket.take(600) == 0
    assert bucket.take(4) == pytest.approx(0.4, abs=0.1)
    assert bucket.take(4) == pytest.approx(0.4, abs=0.1), "what is refused is not counted"
    time.sleep(0.45)
    assert bucket.take(4) == 0
    assert bucket.take(700) == pytest.approx(60, abs=0.2), "it has to be full"
    time.sleep(0.1)
    bucket.give_back(1000)
    assert bucket.left == 600
    assert bucket.take(700) == 0
    assert bucket.take(1) == pytest.approx(10.1, abs=0.1)


def test_workers_share_a_limit_that_is_changed_while_they_run() -> None:
    metrics = Metrics()
    rates = Rates(LimitsConfig(reviews_per_minute=100), metrics, workers=4)
    key = Key(name="a", sha256="0" * 64, scopes=frozenset())
    rates.take(key, "reviews", 25)
    rates.take(key, "requests", 1000)
    with pytest.raises(Fault, match=r"^the key 'a' may send 100 reviews a minute; try again in \d s$"):
        rates.take(key, "reviews", 1)
    rates.give_back(key, "reviews", 25)
    rates.take(key, "reviews", 24)
    rates.take(Key(name="a", sha256="0" * 64, scopes=frozenset(), reviews_per_minute=200), "reviews", 50)
    assert metrics.registry.get_sample_value("ratecast_rate_limited_total", {"key": "a", "limit": "reviews"}) == 1


def test_reviews_past_the_limit_of_a_key_are_refused_at_once(limited: Limited) -> None:
    taken = limited.predict("shop", 50)
    assert taken.status_code == 200, taken.text
    assert taken.headers["ratelimit-policy"] == '"reviews";q=60;w=60'
    assert taken.headers["ratelimit"] in {'"reviews";r=10;t=50', '"reviews";r=11;t=49'}
    words = "the key 'shop' may send 60 reviews"
    assert told(limited.predict("shop", 30), words) in range(17, 21)
    assert limited.predict("shop", 10).status_code == 200, "what was refused is not counted"
    assert told(limited.predict("shop", 2), words) <= 2
    time.sleep(2.0)
    assert limited.predict("shop", 2).status_code == 200
    assert limited.predict("other", 60).status_code == 200, "each key has its own"
    numbers = limited.running.client.get("/metrics", headers=limited.bearer("scraper")).text
    assert 'ratecast_rate_limited_total{key="shop",limit="reviews"} 2.0' in numbers
    assert [entry["key"] for entry in limited.running.log if entry.get("status") == 429] == ["shop"] * 2


def test_a_request_of_more_than_a_minute_is_taken_and_has_to_be_made_up_for(limited: Limited) -> None:
    assert limited.predict("large", 100).status_code == 200
    assert told(limited.predict("large", 1), "the key 'large' may send 60 reviews") in range(38, 42)


def test_requests_past_the_limit_of_the_service_are_refused(limited: Limited) -> None:
    for left in (4, 3, 2, 1, 0):
        answer = limited.running.client.get("/v1/models", headers=limited.bearer("usual"))
        assert answer.status_code == 200
        assert answer.headers["ratelimit"].startswith(f'"requests";r={left};t=')
    answer = limited.running.client.get("/page/models", headers=limited.bearer("usual"))
    assert told(answer, "the key 'usual' may send 5 requests") in range(9, 13)
    for _ in range(6):
        assert limited.running.client.get("/healthz", headers=limited.bearer("usual")).status_code == 200
    assert "ratelimit" not in limited.running.client.get("/v1/models", headers=limited.bearer("scraper")).headers


def test_the_page_rates_no_more_than_that_either(limited: Limited) -> None:
    assert limited.predict("page", 60, "/page/texts?model=tiny").status_code == 200
    told(limited.predict("page", 10, "/page/texts?model=tiny"), "the key 'page' may send 60 reviews")
    headers = limited.bearer("page") | {"x-ratecast-page": "1"}
    table = b"text\n" + b"good\n" * 10
    answer = limited.running.client.post("/page/table?model=tiny&name=a.csv", content=table, headers=headers)
    told(answer, "the key 'page' may send 60 reviews")


def test_the_description_tells_of_it(limited: Limited) -> None:
    described = limited.running.client.get("/openapi.json").json()["paths"]
    for path, method in (("/v1/predict", "post"), ("/v1/feedback", "post"), ("/v1/models", "get"), ("/metrics", "get")):
        refusal = described[path][method]["responses"]["429"]
        assert "Retry-After" in refusal["headers"]
