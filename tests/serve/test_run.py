"""Starting, settings, and stopping without losing a request."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import httpx
import pytest

import ratecast
from ratecast.cli import run
from ratecast.config import ServeConfig
from served import SECONDS, serving


def shown(capsys: pytest.CaptureFixture[str]) -> ServeConfig:
    return ServeConfig.from_mapping(tomllib.loads(capsys.readouterr().out))


def test_flags_override_the_environment_and_that_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "serve.toml"
    file.write_text("threads = 3\n[listen]\nport = 1\n[limits]\nmax_reviews = 1\ndeadline_ms = 1\n")
    monkeypatch.setenv("RATECAST_PORT", "2")
    monkeypatch.setenv("RATECAST_MAX_REVIEWS", "2")
    arguments = ["serve", "model", "--config", str(file), "--max-reviews", "3", "--print-config"]
    assert run(arguments) == 0
    expected = ServeConfig().with_values(models=("model",), threads=3, port=2, max_reviews=3, deadline_ms=1.0)
    assert shown(capsys) == expected
    monkeypatch.setenv("RATECAST_PORT", "two")
    assert run(arguments) == 2
    assert "RATECAST_PORT must be a number, found 'two'" in capsys.readouterr().err


def test_what_is_printed_is_a_file_of_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "model", "--print-config", "--keys", 'a "b"\\.toml', "--host", "::"]) == 0
    file = tmp_path / "serve.toml"
    file.write_text(capsys.readouterr().out)
    assert run(["serve", "model", "--print-config", "--config", str(file)]) == 0
    assert shown(capsys) == ServeConfig().with_values(models=("model",), keys='a "b"\\.toml', host="::")


def test_models_may_stand_in_the_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('[routing]\nmodels = ["shop=1", "shop=2@0.1"]\n')
    arguments = ["serve", "--config", str(file), "--print-config"]
    assert run(arguments) == 0
    assert shown(capsys).routing.models == ("shop=1", "shop=2@0.1")
    monkeypatch.setenv("RATECAST_MODELS", "shop=3 films=4")
    assert run(arguments) == 0
    assert shown(capsys).routing.models == ("shop=3", "films=4")
    assert run(["serve", "shop=5", *arguments[1:]]) == 0
    assert shown(capsys).routing.models == ("shop=5",)
    file.write_text('[routing]\nmodels = "shop=1"\n')
    assert run(arguments) == 2
    assert "routing.models must be a list of texts, found 'shop=1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model", "--host", "0.0.0.0"], "keys are needed"),
        (["model", "--host", "::"], "keys are needed"),
        (["model", "--host", "shop.example"], "keys are needed"),
        (["model", "--port", "70000"], "port must be from 0 to 65535"),
        (["model", "--max-reviews", "0"], "max_reviews must be above 0"),
        (["model", "--reviews-per-minute", "9"], "limits each key, but no keys are needed"),
        (["model", "--requests-per-minute", "0", "--keys", "k.toml"], "requests_per_minute must be above 0"),
        (["model", "--wait-ms", "-1"], "wait_ms must be 0 or more"),
        (["nowhere"], "there is no model folder nowhere"),
        ([], "there is nothing to serve: name a model folder"),
        (["shop=a", "shop=b@2"], "expected a weight from 0 to 1, such as 0.1 or 10%, or shadow after the @ of 'shop=b@2'"),
        (["model", "--watch-seconds", "0"], "watch_seconds must be above 0"),
        (["a/model", "b/model"], "two models are called 'model'"),
        (["model", "--keys", "nowhere.toml"], "cannot read the keys"),
        (["model", "--host", "127.0.0.1", "--port", "1", "--config", "nowhere.toml"], "cannot read the settings"),
    ],
)
def test_mistakes_are_told_before_anything_is_served(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratecast.serve.start_logging", lambda: None)  # it would outlive the test
    assert run(["serve", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_port_in_use_is_told(linear_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratecast.serve.start_logging", lambda: None)
    with serving(linear_model) as running:
        assert run(["serve", str(linear_model), "--port", running.url.rpartition(":")[2]]) == 2
    assert "cannot listen on 127.0.0.1 port" in capsys.readouterr().err


def test_requests_that_were_taken_are_answered_after_sigterm(linear_model: Path) -> None:
    reviews = [{"text": f"the movie was good {number} " * 60} for number in range(1000)]
    with serving(linear_model, "--leave-seconds", "4", "--deadline-ms", "60000") as running:
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(f"{running.url}/v1/predict", json={"reviews": reviews}, timeout=SECONDS))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        running.logged("stopping")
        assert httpx.get(f"{running.url}/readyz").status_code == 503
        late = httpx.post(f"{running.url}/v1/predict", json={"reviews": reviews[:1]}, timeout=SECONDS)
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        for thread in threads:
            thread.join(SECONDS)
        assert [answer.status_code for answer in answers] == [200] * 4
        assert all(len(answer.json()["predictions"]) == 1000 for answer in answers)
        assert running.process.wait(SECONDS) == 0
        running.logged("stopped")


def test_in_overload_a_request_is_refused_before_its_body_comes(linear_model: Path) -> None:
    reviews = [{"text": f"the movie was good {number} " * 60} for number in range(1000)]
    with serving(linear_model, "--max-queue-bytes", "1000", "--deadline-ms", "60000") as running:
        first = threading.Thread(target=running.client.post, args=("/v1/predict",), kwargs={"json": {"reviews": reviews}})
        first.start()
        paths = ("/v1/predict", "/v2/models/tiny/infer", "/v2/models/tiny/versions/tiny/infer")
        with contextlib.closing(http.client.HTTPConnection(running.url[len("http://") :], timeout=SECONDS)) as connection:
            while "ratecast_queue_requests 1.0" not in httpx.get(f"{running.url}/metrics").text:
                assert first.is_alive()
            for path in paths:
                connection.putrequest("POST", path)
                connection.putheader("Content-Length", "100")
                connection.endheaders()
                answer = connection.getresponse()
                assert (answer.status, answer.read()[:9]) == (503, b'{"error":')
                assert int(answer.headers["Retry-After"]) >= 1
                connection.send(b" " * 100)  # the connection can be used on
            assert first.is_alive()
        first.join(SECONDS)
        counts = running.client.get("/metrics").text
        for route in (paths[0], "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"):
            assert f'ratecast_requests_total{{route="{route}",status="503"}} 1.0' in counts


def test_sighup_while_it_starts_does_not_end_it_and_is_followed(linear_model: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ratecast", "serve", str(linear_model), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(ratecast.__file__).parents[1])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        end = threading.Timer(SECONDS, process.kill)
        end.start()
        assert process.stderr is not None
        is_starting, missing = False, {'"serving"', '"models loaded anew"'}
        while missing and (line := process.stderr.readline()):
            is_starting |= "cyclopts" in line  # what is imported first
            is_starting &= "ratecast.serve.app" not in line  # the last before the server is put together
            missing -= {words for words in missing if words in line}
            if is_starting:
                process.send_signal(signal.SIGHUP)
        end.cancel()
        process.kill()
    assert not missing


def test_it_stops_at_once_when_nothing_is_left(linear_model: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(linear_model) as running:
            assert running.client.get("/readyz").status_code == 200
            started = time.monotonic()
            assert running.stop(number) == 0
            assert time.monotonic() - started < 10


def test_a_client_that_goes_away_is_noticed(linear_model: Path) -> None:
    reviews = [{"text": f"the movie was good {number} " * 100} for number in range(1000)]
    with serving(linear_model) as running:
        with pytest.raises(httpx.ReadTimeout):
            running.client.post("/v1/predict", json={"reviews": reviews}, timeout=httpx.Timeout(30, read=0.05))
        end = time.monotonic() + SECONDS
        while not [entry for entry in running.log if entry.get("status") == 499]:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert running.client.post("/v1/predict", json={"reviews": reviews[:1]}).status_code == 200
