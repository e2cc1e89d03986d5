"""New versions take the place of old ones while requests are answered; mostly with a real process."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import ratecast
from ratecast.config import ServeConfig
from ratecast.errors import ConfigError
from ratecast.records import Review
from ratecast.serve.batching import Batcher
from ratecast.serve.keys import add_key
from ratecast.serve.models import folder_version, load_models
from ratecast.serve.reload import Reloader
from ratecast.serve.service import Service
from ratecast.serve.versions import wanted_versions
from served import SECONDS, Running, serving

TEXT = "the movie was great"
RELOADED = "models loaded anew"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def point(link: Path, folder: Path) -> None:
    """Let a link name another folder, at once."""
    (link.parent / "next").symlink_to(folder)
    os.replace(link.parent / "next", link)


def predict(running: Running) -> dict[str, Any]:
    answer = running.client.post("/v1/predict", json={"reviews": [{"text": TEXT}]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def damage(folder: Path) -> None:
    """Leave the manifest as it is and cut off another file."""
    file = next(path for path in sorted(folder.iterdir()) if "linear" in path.name)
    file.write_bytes(file.read_bytes()[:-1])


def test_no_request_fails_while_versions_are_swapped(linear_model: Path, contrary_model: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    point(link, linear_model)
    folders = {folder_version(folder): folder for folder in (linear_model, contrary_model)}
    expected = {version: ratecast.load(folder).predict([TEXT])[0].rating for version, folder in folders.items()}
    wrong: list[object] = []
    seen: list[str] = []
    enough = threading.Event()

    def hammer(url: str) -> None:
        with httpx.Client(base_url=url, timeout=SECONDS) as client:
            while not enough.is_set():
                try:
                    answer = client.post("/v1/predict", json={"reviews": [{"text": TEXT}]})
                    content = answer.json()
                    seen.append(content["version"])
                    rating = content["predictions"][0]["rating"]
                    if rating != pytest.approx(expected[content["version"]]) or client.get("/readyz").status_code != 200:
                        wrong.append(content)
                except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                    wrong.append(error)

    with serving(f"shop={link}") as running:
        threads = [threading.Thread(target=hammer, args=(running.url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(6):
            folder = (contrary_model, linear_model)[number % 2]
            point(link, folder)
            if number % 3:
                assert running.client.post("/v1/models/reload", json={}).json()["added"] == [f"shop@{folder_version(folder)}"]
            else:
                running.process.send_signal(signal.SIGHUP)
            until(lambda: len([entry for entry in running.log if entry["message"] == RELOADED]) > number)  # noqa: B023
            before = len(seen)
            until(lambda: len(seen) > before + 12)  # noqa: B023 - those after the swap are of the new version
            assert set(seen[before + 4 :]) == {folder_version(folder)}
        enough.set()
        for thread in threads:
            thread.join(SECONDS)
        assert wrong == []
        assert set(seen) == set(folders)
        assert running.stop() == 0


def test_what_cannot_be_loaded_changes_nothing(linear_model: Path, contrary_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "1"
    shutil.copytree(linear_model, folder)
    with serving(f"shop={folder}") as running:
        version = predict(running)["version"]
        shutil.copytree(contrary_model, folder, dirs_exist_ok=True)
        damage(folder)
        answer = running.client.post("/v1/models/reload", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_loaded")
        running.process.send_signal(signal.SIGHUP)
        until(lambda: len([entry for entry in running.log if entry["level"] == "warning"]) == 2)
        (first, second) = (entry["message"] for entry in running.log if entry["level"] == "warning")
        assert first == second
        assert first.startswith("the models stay as they are: ")
        assert str(folder) in first
        assert "traceback" not in "".join(running.lines)
        assert running.client.get("/readyz").status_code == 200
        assert predict(running)["version"] == version
        assert 'ratecast_reloads_total{result="failed"} 2.0' in running.client.get("/metrics").text
        shutil.copytree(contrary_model, folder, dirs_exist_ok=True)
        changes = running.client.post("/v1/models/reload", json={}).json()
        assert changes == {"added": [f"shop@{folder_version(contrary_model)}"], "removed": [f"shop@{version}"], "changed": []}
        assert predict(running)["version"] == folder_version(contrary_model)


def test_changes_are_found_by_looking(linear_model: Path, contrary_model: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "serve.toml", tmp_path / "2"

    def want(*models: str) -> None:
        written = ", ".join(f"'{model}'" for model in models)
        file.write_text(f"[routing]\nwatch_seconds = 0.05\nmodels = [{written}]\n", encoding="utf-8")

    def served() -> dict[str, float]:
        return {one["folder"]: one["weight"] for one in running.client.get("/v1/models").json()["models"]}

    want(f"shop={linear_model}")
    with serving("--config", file) as running:
        want(f"shop={linear_model}", f"shop={folder}@0.25")  # which is not there yet
        running.logged(f"the models stay as they are: there is no model folder {folder}")
        assert served() == {"tiny": 1.0}
        shutil.copytree(contrary_model, folder)
        until(lambda: served() == {"tiny": 0.75, "2": 0.25})
        want(f"shop={linear_model}", f"shop={folder}@0.5")
        until(lambda: served() == {"tiny": 0.5, "2": 0.5})
        file.write_text("[routing", encoding="utf-8")
        until(lambda: any("cannot read the settings" in entry["message"] for entry in running.log))
        want(f"shop={folder}")
        until(lambda: served() == {"2": 1.0})
        changes = [entry for entry in running.log if entry["message"] == RELOADED]
        assert [(len(entry["added"]), len(entry["removed"]), len(entry["changed"])) for entry in changes] == [
            (1, 0, 1),
            (0, 0, 2),
            (0, 1, 1),
        ]
        time.sleep(0.3)  # several looks, none of which finds anything
        assert len([entry for entry in running.log if entry["message"] == RELOADED]) == 3


def test_only_keys_of_administrators_reload(linear_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    keys = {name: {"authorization": f"Bearer {add_key(file, name, (name,))}"} for name in ("predict", "admin")}
    with serving(linear_model, "--keys", file) as running:
        assert running.client.post("/v1/models/reload", json={}).status_code == 401
        assert running.client.post("/v1/models/reload", json={}, headers=keys["predict"]).status_code == 403
        plain = {**keys["admin"], "content-type": "text/plain"}
        assert running.client.post("/v1/models/reload", content=b"{}", headers=plain).status_code == 415
        answer = running.client.post("/v1/models/reload", json={}, headers=keys["admin"])
        assert (answer.status_code, answer.json()) == (200, {"added": [], "removed": [], "changed": []})


def test_old_versions_are_freed(linear_model: Path, contrary_model: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    point(link, linear_model)
    config = ServeConfig().with_values(models=(f"shop={link}",), threads=1)

    async def work() -> None:
        batcher = Batcher(config.batching, config.limits)
        service = Service(config=config, models=load_models(wanted_versions(config.routing.models), 1), batcher=batcher)
        old = weakref.ref(service.models.principal()[0].predictor)
        await batcher.submit(service.models.principal()[0], [Review(text=TEXT)]).answer
        job = batcher.submit(service.models.principal()[0], [Review(text=TEXT)])
        point(link, contrary_model)
        await Reloader(service, lambda: config).reload()
        assert service.models.principal()[0].version == folder_version(contrary_model)
        assert len(await job.answer) == 1  # by the version that it began with
        del job
        end = time.monotonic() + 10
        while old() is not None:  # without waiting for the garbage collector
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        same = service.models.principal()[0]
        await Reloader(service, lambda: config).reload()
        assert service.models.principal()[0] is same
        service.close()

    asyncio.run(work())


WATCHED = """
import gc, sys, weakref
from ratecast.config import ServeConfig
from ratecast.serve import serve, start_logging
from ratecast.serve.models import Served

watched = []

def read(calls=[]):
    calls.append(1)
    if len(calls) == 3:  # the service answers, and what it was started with can be found
        gc.unfreeze()
        tell = lambda _: print("freed", flush=True)
        watched.extend(weakref.ref(one, tell) for one in gc.get_objects() if isinstance(one, Served))
        print(len(watched), flush=True)
    return ServeConfig().with_values(models=("shop=" + sys.argv[1],), port=0, threads=1)

start_logging()
serve(read)
"""


def test_what_a_process_was_started_with_is_freed(linear_model: Path, contrary_model: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    point(link, linear_model)
    command = [sys.executable, "-c", WATCHED, str(link)]
    environment = {**os.environ, "PYTHONPATH": str(Path(ratecast.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        end = threading.Timer(SECONDS, process.kill)
        end.start()
        running = Running(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        point(link, contrary_model)
        assert running.client.post("/v1/models/reload", json={}).json()["added"] == [f"shop@{folder_version(contrary_model)}"]
        assert process.stdout.readline() == "freed\n"
        running.client.close()
        end.cancel()
        assert running.stop() == 0


def test_two_versions_of_the_same_content_are_refused(linear_model: Path, tmp_path: Path) -> None:
    shutil.copytree(linear_model, tmp_path / "again")
    with pytest.raises(ConfigError, match=r"two versions of 'shop' have the same content: .*tiny and .*again; leave one"):
        load_models(wanted_versions([f"shop={linear_model}", f"shop={tmp_path / 'again'}@0.5"]), 1)
    assert len(list(load_models(wanted_versions([f"shop={linear_model}", f"films={tmp_path / 'again'}"]), 1))) == 2
