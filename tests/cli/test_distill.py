from pathlib import Path

import polars as pl
import pytest

from ratecast.cli import run


def test_a_smaller_model_is_written_and_judged_beside_its_teacher(
    tiny_model: Path, tiny_reviews: tuple[list[str], list[float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "reviews.csv", tmp_path / "small"
    pl.DataFrame({"text": tiny_reviews[0], "rating": tiny_reviews[1]}).write_csv(table)
    arguments = ["distill", str(tiny_model), str(table), "--out", str(out), "--steps", "4", "--threads", "1"]
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert "teacher" in shown.out
    assert f"Distilled from {tiny_model}" in shown.out
    assert "divided as the teacher's reviews were: 78 train" in shown.err
    assert run(["predict", str(out), "--text", "the movie was great"]) == 0
    assert run(["evaluate", str(out), str(table)]) == 0
    assert run(["inspect", str(out)]) == 0


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["distill", str(tmp_path), "a.csv", "--out", str(tmp_path / "out")]) == 2
    found = capsys.readouterr().err
    assert found.startswith(f"ratecast: error: {tmp_path} is no model folder")
    assert found.count("\n") == 1
    assert run(["distill", "a", "b.csv", "--out", str(tmp_path / "out"), "--kept-layers", "2"]) == 2
    assert "kept_layers is for the students layers and width" in capsys.readouterr().err
