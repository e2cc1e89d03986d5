"""The contest against other libraries: real runs of two models on a small table, and what the tables say of them."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
from sklearn.metrics import cohen_kappa_score, log_loss

import ratecast
from ratecast.scale import RatingScale

ROOT = Path(__file__).parents[2]
CONTEST = ROOT / "benchmarks" / "accuracy" / "contest.py"
STARS = RatingScale.parse("1..5")


def hold(folder: Path, *flags: str) -> str:
    """Hold a contest, and what it says."""
    command = [sys.executable, str(CONTEST), "--data-dir", str(folder / "data"), "--results", str(folder / "results")]
    command += ["--cache", str(folder / "cache"), "--minutes", "0.5", *flags]
    environment = os.environ | {"PYTHONPATH": str(Path(ratecast.__file__).parents[1])}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def cells(line: str) -> list[str]:
    return [cell.strip().strip("*") for cell in line.strip("|").split("|")]


@pytest.mark.slow
def test_a_contest_is_held_once_and_its_tables_say_what_was_predicted(
    tiny_reviews: tuple[list[str], list[float]], tmp_path: Path
) -> None:
    texts, ratings = (column * 4 for column in tiny_reviews)
    rows = len(texts)
    table = pl.DataFrame({"text": [f"{text} {row}" for row, text in enumerate(texts)], "rating": ratings})
    (tmp_path / "data").mkdir()
    split = ["train" if row < 360 else "test" for row in range(rows)]
    table.with_columns(split=pl.Series(split)).write_parquet(tmp_path / "data" / "shop.parquet")
    said = hold(tmp_path, "--peers", "constant,ratecast")
    assert said.count("finished: after") == 2
    assert "1 contests in" in said
    (runs,) = (tmp_path / "results" / "runs").glob("shop-*/0.5m")
    truth = np.array(ratings[360:])
    with np.load(runs / "ratecast-seed0.npz") as kept:
        predicted, levels = kept["probabilities"].astype(np.float64), kept["levels"]
    mean, mode = predicted @ levels, levels[predicted.argmax(axis=1)]
    median = levels[(predicted.cumsum(axis=1) < 0.5 - 1e-6).sum(axis=1)]
    lines = (tmp_path / "results" / "shop-0.5m.md").read_text(encoding="utf-8").splitlines()
    (ours,) = (cells(line) for line in lines if line.startswith("| **ratecast**"))
    shown = dict(zip(cells(lines[2]), ours, strict=True))
    expected = {
        "RMSE": float(np.sqrt(np.mean((mean - truth) ** 2))),
        "MAE": float(np.mean(np.abs(median - truth))),
        "Accuracy": float(np.mean(mode == truth)),
        "QWK": cohen_kappa_score(truth, STARS.snap(mean), weights="quadratic"),
        "NLL": log_loss(truth, predicted / predicted.sum(axis=1, keepdims=True), labels=levels),
    }
    for metric, value in expected.items():
        assert float(shown[metric].split()[0]) == pytest.approx(value, abs=6e-4), metric
    assert any(line.startswith("| constant |") and "ratecast is better" in line for line in lines)
    assert "- reviews: 360 training, 120 test" in lines
    again = hold(tmp_path, "--peers", "constant,ratecast")
    assert "finished" not in again
    assert (tmp_path / "results" / "shop-0.5m.md").read_text(encoding="utf-8").splitlines() == lines


def test_bare_ratings_are_judged_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "accuracy")
    from record import on_scale

    ratings = np.array([0.5, 1.0, 3.25, 4.6, 7.0])
    found, are_bare = on_scale({"ratings": ratings, "levels": np.arange(1.0, 6.0)}, STARS, 5)
    assert are_bare
    np.testing.assert_allclose(STARS.mean(found), [1.0, 1.0, 3.25, 4.6, 5.0])
    np.testing.assert_array_equal(STARS.mode(found), [1, 1, 3, 5, 5])
    for wrong in (ratings[:4], np.array([1, 2, 3, 4, np.nan])):
        with pytest.raises(ValueError, match="expected finite probabilities or ratings of 5 reviews"):
            on_scale({"ratings": wrong, "levels": np.arange(1.0, 6.0)}, STARS, 5)
    with pytest.raises(ValueError, match="expected levels of the scale"):
        on_scale({"ratings": ratings, "levels": np.arange(6.0)}, STARS, 5)


def test_a_model_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "accuracy")
    from supervise import run_limited

    child = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    outcome = run_limited([sys.executable, "-c", code], 2.0, environment={}, folder=tmp_path, log=tmp_path / "log")
    assert outcome.status is None
    assert 2.0 <= outcome.seconds < 20
    assert outcome.peak_mb > 1
    with contextlib.suppress(psutil.NoSuchProcess):  # it may wait for somebody to ask how it ended
        assert psutil.Process(int((tmp_path / "pid").read_text())).status() == psutil.STATUS_ZOMBIE
