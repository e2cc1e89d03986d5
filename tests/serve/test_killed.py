"""Acknowledged feedback is there after kills at random moments; `benchmarks/serving/killed.py` has a hundred of them."""

import os
from pathlib import Path

import pytest

import ratecast

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_acknowledged_feedback_outlives_kills_under_load(
    linear_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "serving")
    from killed import hold

    environment = {**os.environ, "PYTHONPATH": str(Path(ratecast.__file__).parents[1])}
    held = hold(linear_model, tmp_path, 3, workers=2, clients=3, longest_seconds=1.0, environment=environment)
    assert min(held.rounds) >= 5
    assert held.missing == []
    assert held.integrity == "ok"
