import inspect
from pathlib import Path
from typing import Any

import pytest

from ratecast.cli import run
from ratecast.cli.pretrain import pretrain
from ratecast.config import PretrainConfig, setting_names


class StoppedError(Exception):
    """Ends a command where the library would begin."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``ratecast pretrain`` calls the library with."""
    found: dict[str, Any] = {}

    def stop(source: object, **settings: Any) -> None:
        found.update(settings, source=source)
        raise StoppedError

    monkeypatch.setattr("ratecast.pretraining.pretrain", stop)
    return found


def test_flags_reach_the_library_only_where_given(call: dict[str, Any]) -> None:
    with pytest.raises(StoppedError):
        run(
            [
                "pretrain",
                "a.csv",
                "b.csv",
                "--out",
                "backbone",
                "--objective",
                "contrastive",
                "--text-column",
                "body",
                "--steps",
                "3",
            ]
        )
    assert call.pop("reporter") is not None
    assert call == {
        "source": ["a.csv", "b.csv"],
        "out": Path("backbone"),
        "config": None,
        "resume": False,
        "objective": "contrastive",
        "text_column": "body",
        "steps": 3,
    }


def test_every_setting_but_those_of_ratings_has_a_flag_with_a_help_text() -> None:
    parameters = inspect.signature(pretrain).parameters
    for stage, name in setting_names(PretrainConfig):
        if stage != "columns":
            assert parameters[name].annotation.__metadata__[0].help, name
    assert parameters["learning_rate"].default is None
    assert "rating_column" not in parameters


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", str(tmp_path / "absent.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert run(["pretrain", "a.csv", "--out", str(tmp_path / "out"), "--objective", "guess"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_run_tells_what_it_learnt(tmp_path: Path, tiny_backbone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "reviews.csv"
    lines = [f"the room was very {grade} and the food was fine {row}" for row in range(40) for grade in ("great", "poor")]
    table.write_text("text\n" + "\n".join(lines), encoding="utf-8")
    small = ["--block-tokens", "32", "--batch-tokens", "128", "--steps", "8", "--threads", "1"]
    assert run(["pretrain", str(table), "--out", str(tmp_path / "out"), "--backbone", str(tiny_backbone), *small]) == 0
    shown = capsys.readouterr()
    assert "held-out perplexity: " in shown.out
    assert "before: held-out perplexity" in shown.err
    assert f"{table}: text from 'text'" in shown.err
