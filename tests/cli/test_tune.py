import json
from pathlib import Path
from typing import Any

import pytest

from ratecast.cli import run
from ratecast.config import FitConfig
from ratecast.data.table import build_table
from ratecast.data.write import write_table


class StoppedError(Exception):
    """Ends a command where the library would begin."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``ratecast tune`` calls the library with."""
    found: dict[str, Any] = {}

    def tune(source: object, **settings: Any) -> None:
        found.update(settings, source=source)
        raise StoppedError

    monkeypatch.setattr("ratecast.tuning.tune", tune)
    return found


def start(*arguments: str) -> None:
    with pytest.raises(StoppedError):
        run(["tune", *arguments])


def test_only_flags_that_were_given_are_settings(call: dict[str, Any]) -> None:
    start("a.csv", "b.csv", "--out", "model", "--time-budget", "1h", "--dropout", "0.1")
    assert call.pop("reporter") is not None
    assert call == {
        "source": ["a.csv", "b.csv"],
        "out": Path("model"),
        "config": None,
        "trials": None,
        "resume": False,
        "time_budget": "1h",
        "dropout": 0.1,
    }


def test_trials_resume_and_a_file(call: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[backbone]\nhead = "corn"\n', encoding="utf-8")
    start("a.csv", "--out", "model", "--trials", "7", "--resume", "--config", str(file))
    assert (call["trials"], call["resume"]) == (7, True)
    assert call["config"] == FitConfig().with_values(head="corn")


def test_a_search_without_an_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "a.csv", "--out", "model"]) == 2
    assert "a search has to end" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_the_contest_and_where_the_search_is(
    tiny_backbone: Path, tiny_reviews: tuple[list[str], list[float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, ratings = tiny_reviews
    write_table(build_table({"text": texts, "rating": ratings}), tmp_path / "reviews.csv")
    out = tmp_path / "model"
    flags = ["--backbone", str(tiny_backbone), "--trials", "2", "--steps", "3", "--threads", "1"]
    assert run(["tune", str(tmp_path / "reviews.csv"), "--out", str(out), *flags]) == 0
    captured = capsys.readouterr()
    assert "Best" in captured.err or "No trial was better" in captured.err
    assert f"the search in {out / 'tuning.html'}" in " ".join(captured.out.split())
    assert len(json.loads((out / "tuning.json").read_text(encoding="utf-8"))["trials"]) == 2
