from pathlib import Path
from typing import Any

import pytest

from ratecast.cli import run
from ratecast.config import FitConfig


class StoppedError(Exception):
    """Ends a command where the library would begin."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``ratecast fit`` calls the library with."""
    found: dict[str, Any] = {}

    def fit(source: object, **settings: Any) -> None:
        found.update(settings, source=source)
        raise StoppedError

    monkeypatch.setattr("ratecast.fitting.fit", fit)
    return found


def start(*arguments: str) -> None:
    with pytest.raises(StoppedError):
        run(["fit", *arguments])


def test_defaults(call: dict[str, Any]) -> None:
    start("reviews.csv", "--out", "model")
    assert call.pop("reporter") is not None
    assert call == {"source": "reviews.csv", "out": Path("model"), "config": FitConfig(), "resume": False}


def test_several_sources_and_resume(call: dict[str, Any]) -> None:
    start("a.csv", "b.csv", "--out", "model", "--resume")
    assert call["source"] == ["a.csv", "b.csv"]
    assert call["resume"] is True


def test_flags_override_the_file_and_only_where_given(call: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('seed = 7\n[train]\nlearning_rate = 1e-4\nepochs = 9\n[columns]\ntext_column = "body"\n', encoding="utf-8")
    start("a.csv", "--out", "model", "--config", str(file), "--learning-rate", "5e-5", "--by", "user", "--time-budget", "10m")
    config = call["config"]
    assert (config.train.learning_rate, config.train.epochs, config.seed) == (5e-5, 9.0, 7)
    assert (config.columns.text_column, config.split.by, config.time_budget_seconds) == ("body", "user", 600.0)


def test_a_faulty_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[train]\nlearning_rat = 1e-4\n", encoding="utf-8")
    assert run(["fit", "a.csv", "--out", "model", "--config", str(file)]) == 2
    assert "unknown setting 'train.learning_rat'; did you mean 'learning_rate'?" in capsys.readouterr().err
