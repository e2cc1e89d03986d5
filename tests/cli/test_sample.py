from pathlib import Path

import pytest

from ratecast.cli import run
from ratecast.data import load_reviews, load_sample


def test_the_sample_is_a_table_that_fit_takes(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    assert run(["sample", str(path)]) == 0
    loaded = load_reviews(path, need_rating=True, drop_duplicates=False)
    sample = load_sample()
    assert list(loaded.reviews.id) == list(sample.id)
    assert list(loaded.reviews.text) == list(sample.text)
    assert list(loaded.reviews.rated()) == list(sample.rated())


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sample", str(tmp_path / "nowhere" / "reviews.csv")]) == 2
    assert "nowhere" in capsys.readouterr().err
