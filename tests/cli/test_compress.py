from pathlib import Path

import polars as pl
import pytest

import ratecast
from ratecast.cli import run


@pytest.fixture
def table(tiny_reviews: tuple[list[str], list[float]], tmp_path: Path) -> Path:
    texts, ratings = tiny_reviews
    path = tmp_path / "reviews.csv"
    pl.DataFrame({"review": texts, "stars": ratings}).write_csv(path)
    return path


def test_a_smaller_model_is_written_and_a_limit_that_nothing_meets_is_told(
    tiny_model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"
    flags = ["compress", str(tiny_model), str(table), "--out", str(out), "--threads", "1", "--steps", "6"]
    assert run([*flags, "--target-ms", "0.000001"]) == 2
    shown = capsys.readouterr()
    assert "ratecast: error: " in shown.err
    assert "closest" in shown.err.splitlines()[-1]
    assert not out.exists()
    assert run([*flags, "--target-ms", "1000000", "--resume"]) == 0
    shown = capsys.readouterr()
    assert f"The model is in {out}, the plot of what was tried in {out / 'frontier.html'}." in shown.out
    assert "combinations of" in shown.err
    assert ratecast.load(out).predict(["the movie was great"])[0].rating
    assert (out / "frontier.html").is_file()


def test_misuse_is_one_line(tiny_model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["compress", str(tiny_model), str(table), "--out", str(tmp_path / "small")]
    for *wrong, message in (
        ("--max-loss", "lots", "cannot read the share 'lots'"),
        ("--target-ms", "-1", "target_ms"),
        ("--data", "a", "--data"),
    ):
        assert run([*flags, *wrong]) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith("ratecast: error: ")
        assert shown.err.count("\n") == 1
        assert message in shown.err
    assert run(["compress", str(tmp_path / "none"), str(table), "--out", str(tmp_path / "small")]) == 2
    assert "there is no model folder" in capsys.readouterr().err
