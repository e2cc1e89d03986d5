"""Several versions of one model: shares, asking for one, and a shadow; all by a real process."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ratecast
from ratecast.client import Client
from served import SECONDS, Running, serving, write_linear_model

TEXT = "the movie was great"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "ratecast.db"


@pytest.fixture(scope="module")
def quiet_model(tiny_reviews: tuple[list[str], list[float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_linear_model(tmp_path_factory.mktemp("served") / "quiet", *tiny_reviews, seed=1)


@pytest.fixture(scope="module")
def shadowed(
    linear_model: Path,
    contrary_model: Path,
    quiet_model: Path,
    tiny_reviews: tuple[list[str], list[float]],
    store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """A model with a canary, a version for those who ask, and a shadow."""
    texts, ratings = tiny_reviews
    shadow = write_linear_model(tmp_path_factory.mktemp("served") / "ghost", texts, [6.0 - one for one in ratings], seed=2)
    versions = (f"shop={linear_model}", f"shop={contrary_model}@30%", f"shop={quiet_model}@0", f"shop={shadow}@shadow")
    with serving(*versions, "--route-seed", "0", "--store", store) as running:
        yield running


def ask(running: Running, headers: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    answer = running.client.post("/v1/predict", json={"reviews": [{"text": TEXT}], **members}, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def versions(running: Running) -> dict[str, dict[str, Any]]:
    """What is served, by the name of the folder."""
    return {one["folder"]: one for one in running.client.get("/v1/models").json()["models"]}


def test_the_versions_are_shown_with_their_weights(shadowed: Running) -> None:
    shown = versions(shadowed)
    found = {name: (one["name"], one["weight"], one["shadow"]) for name, one in shown.items()}
    assert found == {
        "tiny": ("shop", 0.7, False),
        "contrary": ("shop", 0.3, False),
        "quiet": ("shop", 0.0, False),
        "ghost": ("shop", 0.0, True),
    }
    (page_model,) = shadowed.client.get("/page/models").json()["models"]
    assert page_model["version"] == shown["tiny"]["version"]


def test_requests_are_shared_by_the_weights(shadowed: Running, linear_model: Path, contrary_model: Path) -> None:
    shown = {one["version"]: name for name, one in versions(shadowed).items()}
    expected = {path.name: ratecast.load(path).predict([TEXT])[0].rating for path in (linear_model, contrary_model)}
    found: Counter[str] = Counter()
    for _ in range(200):
        answer = ask(shadowed)
        folder = shown[answer["version"]]
        found[folder] += 1
        assert answer["predictions"][0]["rating"] == pytest.approx(expected[folder])
    assert set(found) == {"tiny", "contrary"}
    assert 28 <= found["contrary"] <= 92  # five standard errors around 60


def test_who_gives_a_key_stays_with_a_version(shadowed: Running) -> None:
    by_key = {key: {ask(shadowed, route_by=key)["version"] for _ in range(3)} for key in map(str, range(20))}
    assert all(len(found) == 1 for found in by_key.values())
    assert len(set.union(*by_key.values())) == 2
    for key, found in by_key.items():
        assert ask(shadowed, headers={"X-Route-By": key})["version"] in found
    with Client(shadowed.url) as client:
        assert {client.predict([TEXT], route_by="7").version for _ in range(3)} == by_key["7"]


def test_a_version_can_be_asked_for(shadowed: Running) -> None:
    shown = versions(shadowed)
    for name in ("tiny", "contrary", "quiet"):
        version = shown[name]["version"]
        assert {ask(shadowed, version=asked)["version"] for asked in (version, name)} == {version}
    with Client(shadowed.url) as client:
        assert client.predict([TEXT], model="shop", version="quiet").version == shown["quiet"]["version"]
    for asked in ("other", "ghost", shown["ghost"]["version"]):
        answer = shadowed.client.post("/v1/predict", json={"reviews": [{"text": TEXT}], "version": asked})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_version")
        assert f"{shown['quiet']['version']} (quiet)" in answer.json()["error"]["message"]


def test_a_shadow_is_kept_apart(shadowed: Running, store: Path) -> None:
    ghost = versions(shadowed)["ghost"]["version"]
    answer = ask(shadowed, version="tiny")
    identity = answer["predictions"][0]["id"]
    kept: list[Any] = []
    end = time.monotonic() + SECONDS
    while len(kept) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
        with sqlite3.connect(store) as connection:
            query = "SELECT id, version, shadow, text, rating, urgency FROM predictions WHERE id LIKE ? ORDER BY id"
            kept = connection.execute(query, (f"{identity}%",)).fetchall()
    own, shadow = kept
    assert own[:4] == (identity, answer["version"], 0, TEXT)
    assert shadow[:4] == (f"{identity}~{ghost}", ghost, 1, TEXT)
    assert shadow[5] is None
    labels = f'{{answered_by="{answer["version"]}",model="shop",version="{ghost}"}}'
    shown = shadowed.client.get("/metrics").text
    numbers = dict(line.rsplit(" ", 1) for line in shown.splitlines() if not line.startswith("#"))
    count, total = (float(numbers[f"ratecast_shadow_difference_{part}{labels}"]) for part in ("count", "sum"))
    assert total == pytest.approx(count * abs(own[4] - shadow[4]) / 4)  # of the same text each time
    assert float(numbers[f'ratecast_reviews_total{{model="shop",version="{answer["version"]}"}}']) == count
    assert f'ratecast_reviews_total{{model="shop",version="{ghost}"}}' not in numbers
