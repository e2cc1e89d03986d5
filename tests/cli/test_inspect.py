from pathlib import Path

import pytest

from ratecast.cli import run


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("review,stars\n" + "".join(f"a fine phone {n},{n % 5 + 1}\n" for n in range(50)), encoding="utf-8")
    assert run(["inspect", str(path)]) == 0
    captured = capsys.readouterr()
    assert "50 read, 50 kept" in captured.out
    assert "1..5" in captured.out
    assert captured.err == ""
    assert "refuse" not in captured.out


def test_a_table_without_ratings_is_shown_with_why_it_cannot_be_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("id,text\n1,a fine phone\n2,a poor phone\n", encoding="utf-8")
    assert run(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "2 read, 2 kept" in lines[1]
    assert lines[-1].startswith("Fitting would refuse this table: found no rating column")


def test_a_named_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("a,b\nfine phone,1\npoor phone,2\n", encoding="utf-8")
    assert run(["inspect", str(path), "--text-column", "c"]) == 2
    assert "there is no column 'c' for the text" in capsys.readouterr().err


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path / "missing.csv")]) == 2
    assert "missing.csv" in capsys.readouterr().err


def test_a_model(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tiny_model)]) == 0
    shown = capsys.readouterr().out
    assert "1..5" in shown
    assert "\nmodel " in shown
    assert run(["inspect", str(tiny_model), "--text-column", "body"]) == 2
