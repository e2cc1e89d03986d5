"""Who may use the service."""

import hashlib
import math
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ratecast.cli import run
from ratecast.errors import ConfigError
from ratecast.serve.keys import KeyFile, add_key
from served import serving


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_keys_and_scopes_decide(linear_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    shop, scraper = add_key(file, "shop"), add_key(file, "scraper", ("metrics",))
    assert shop not in file.read_text()
    reviews = {"reviews": [{"text": "good"}]}
    with serving(linear_model, "--keys", file, "--host", "0.0.0.0") as running:
        client = running.client
        assert client.get("/readyz").status_code == 200
        for headers in (
            {},
            bearer("rck_wrong"),
            {"authorization": "Bearer"},
            {"authorization": shop},
            {"authorization": f"Basic {shop}"},
        ):
            for answer in (client.post("/v1/predict", json=reviews, headers=headers), client.get("/metrics", headers=headers)):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/nothing").status_code == 401
        assert client.post("/v1/predict", json=reviews, headers=bearer(shop)).status_code == 200
        assert client.get("/metrics", headers=bearer(shop)).status_code == 403
        assert client.get("/metrics", headers=bearer(scraper)).status_code == 200
        assert client.post("/v1/predict", json=reviews, headers=bearer(scraper)).json()["error"]["code"] == "scope_missing"
        assert shop not in "".join(running.lines)
        assert {entry["key"] for entry in running.log if entry.get("status") == 200} >= {"shop"}

        file.write_text("")  # the keys are taken away
        end = time.monotonic() + 30
        while client.post("/v1/predict", json=reviews, headers=bearer(shop)).status_code == 200:
            assert time.monotonic() < end
            time.sleep(0.05)
        later = add_key(file, "shop")
        while client.post("/v1/predict", json=reviews, headers=bearer(later)).status_code == 401:
            assert time.monotonic() < end
            time.sleep(0.05)

        file.write_text("[[keys]]\n")  # damaged while the service runs: nothing changes, and the log says so
        while not [entry for entry in running.log if "needs name, sha256 and scopes" in entry["message"]]:
            assert client.post("/v1/predict", json=reviews, headers=bearer(later)).status_code == 200
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_key_ends_on_its_day(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    file = tmp_path / "keys.toml"
    old, current = add_key(file, "old", expires=today), add_key(file, "current", expires=today + timedelta(days=2))
    keys = KeyFile(file)
    assert keys.find(old) is None
    found = keys.find(current)
    assert found is not None
    assert found.name == "current"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[keys", "cannot read the keys"),
        ("other = 1", "other"),
        ("[[keys]]\nname = 'a'", "needs name, sha256 and scopes"),
        (f"[[keys]]\nname = 'a'\nsha256 = '{'z' * 64}'\nscopes = []", "64 hexadecimal digits"),
        (f"[[keys]]\nname = 'a'\nsha256 = '{'0' * 64}'\nscopes = ['all']", "known are predict"),
        (f"[[keys]]\nname = 'a'\nsha256 = '{'0' * 64}'\nscopes = []\nexpires = 'soon'", "expected a day like 2030-12-31"),
        (f"[[keys]]\nname = 'a'\nsha256 = '{'0' * 64}'\nscopes = []\nreviews_per_minute = 0", "expected a number above 0"),
        (f"[[keys]]\nname = 'a'\nsha256 = '{'0' * 64}'\nscopes = []\nrequests_per_minute = true", "expected a number above 0"),
    ],
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match="keys") as found:
        KeyFile(file)
    assert words in str(found.value)


def test_new_key_prints_the_key_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.toml"
    assert run(["new-key", str(file), "shop", "--scope", "metrics", "--expires", "2999-01-01"]) == 0
    shown = capsys.readouterr()
    key = KeyFile(file).find(shown.out.strip())
    assert key is not None
    assert (key.name, set(key.scopes)) == ("shop", {"metrics"})
    assert "shown only now" in shown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a b"], "letters, digits"),
        (["shop", "--scope", "all"], "known are predict, feedback, metrics, admin"),
        (["shop", "--expires", "soon"], "write it like 2030-12-31"),
        (["shop", "--reviews-per-minute", "0"], "reviews_per_minute must be above 0, found 0"),
        (["shop", "--requests-per-minute", "nan"], "requests_per_minute must be above 0, found nan"),
    ],
)
def test_keys_that_cannot_be_made(tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-key", str(tmp_path / "keys.toml"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "keys.toml").exists()


def test_keys_are_listed_without_what_could_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.toml"
    secrets = [
        add_key(file, "shop", ("feedback", "predict"), date(2999, 12, 31), reviews_per_minute=6000),
        add_key(file, "old", expires=date(2020, 1, 1), requests_per_minute=math.inf),
    ]
    assert run(["list-keys", str(file)]) == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["shop", "predict", "feedback", "2999-12-31", "6,000"],
        ["old", "predict", "feedback", "2020-01-01", "(over)", "inf"],
    ]
    assert not [secret for secret in secrets if secret in shown or hashlib.sha256(secret.encode()).hexdigest()[:8] in shown]


def test_older_keys_of_a_name_are_revoked_and_the_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.toml"
    first, other = add_key(file, "shop"), add_key(file, "other", ("metrics",), date(2999, 1, 1), reviews_per_minute=0.5)
    second, third = add_key(file, "shop"), add_key(file, "shop", requests_per_minute=math.inf)
    file.chmod(0o600)
    before = KeyFile(file)
    assert run(["revoke-key", str(file), "shop", "--older"]) == 0
    assert "2 keys of shop taken out" in capsys.readouterr().out
    after = KeyFile(file)
    assert [after.find(secret) for secret in (first, second)] == [None, None]
    assert [after.find(secret) for secret in (other, third)] == [before.find(secret) for secret in (other, third)] != [None] * 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(["revoke-key", str(file), "shop"]) == 0
    assert KeyFile(file).find(third) is None
    assert run(["revoke-key", str(file), "shop"]) == 2
    assert "there is no key for 'shop'" in capsys.readouterr().err


def test_a_running_service_refuses_a_revoked_key_within_a_second(linear_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    shop, other = add_key(file, "shop"), add_key(file, "other")
    with serving(linear_model, "--keys", file) as running:
        assert running.client.get("/v1/models", headers=bearer(shop)).status_code == 200
        assert run(["revoke-key", str(file), "shop"]) == 0
        time.sleep(1.0)
        assert running.client.get("/v1/models", headers=bearer(shop)).status_code == 401
        assert running.client.get("/v1/models", headers=bearer(other)).status_code == 200
