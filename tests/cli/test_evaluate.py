import re
from pathlib import Path

import numpy as np
import pytest

import ratecast
from ratecast.cli import run
from ratecast.data.table import build_table
from ratecast.data.write import write_table


@pytest.fixture
def rated(tiny_reviews: tuple[list[str], list[float]], tmp_path: Path) -> Path:
    """A table of the tiny reviews, ten of them twice."""
    texts, ratings = tiny_reviews
    path = tmp_path / "held_out.csv"
    write_table(build_table({"body": texts + texts[:10], "stars": ratings + ratings[:10]}), path)
    return path


def test_the_contest_and_its_verdict_are_printed(tiny_model: Path, rated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(tiny_model), str(rated)]) == 0
    captured = capsys.readouterr()
    table, verdict = captured.out.split("\n\n")
    header, *rows, _ = table.splitlines()
    assert header.split()[:3] == ["Model", "RMSE", "MSE"]
    names = [row.split("  ")[0] for row in rows]
    assert names == ["constant", "tfidf-logistic", "tfidf-ridge", "model"]
    assert verdict.startswith("The model ")
    assert re.search(r"^Note: the model learned from 1\d\d of these 130 reviews", verdict, re.MULTILINE)
    assert "130 read, 130 kept" in captured.err


def test_the_report_is_written(tiny_model: Path, rated: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert run(["evaluate", str(tiny_model), str(rated), "--out", str(report)]) == 0
    content = report.read_text(encoding="utf-8")
    assert "<svg" in content
    assert "tiny on" in content


def test_intervals_are_measured_at_the_coverage_asked(
    tiny_model: Path, rated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(tiny_model), str(rated), "--coverage", "0.6"]) == 0
    assert "Prediction intervals: 60 % intervals hold" in capsys.readouterr().out
    found = ratecast.assess(ratecast.load(tiny_model), rated, coverage=0.6)
    intervals = ratecast.load(tiny_model).intervals
    assert intervals is not None
    ends = intervals.intervals(found.probabilities, ratecast.RatingScale.parse("1..5"), 0.6)
    held = np.mean((ends[:, 0] <= found.ratings) & (found.ratings <= ends[:, 1]))
    assert found.coverage is not None
    assert found.coverage.covered_fraction == pytest.approx(held)
    assert run(["evaluate", str(tiny_model), str(rated), "--coverage", "1.5"]) == 2
    assert "coverage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("report.json", "use a name that ends in .html"),
        ("nowhere/report.html", "create it first"),
        (".html", "use a name that ends in .html"),
    ],
)
def test_where_no_report_can_be_written_is_told_before_reading(
    tiny_model: Path, out: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(tiny_model), str(tmp_path / "missing.csv"), "--out", str(tmp_path / out)]) == 2
    assert message in capsys.readouterr().err


def test_reviews_without_ratings_are_refused(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.csv"
    path.write_text("text\ngood\nbad\n", encoding="utf-8")
    assert run(["evaluate", str(tiny_model), str(path)]) == 2
    assert "rating" in capsys.readouterr().err
