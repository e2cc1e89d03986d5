import re
from pathlib import Path

import pytest

from ratecast.cli import run
from ratecast.data import read_table

POSTS = """number,title,body
0,Hello,Nothing about points
1,10/10 would buy again,Great phone.
2,Nope,"Bad. 2 out of 5 stars, avoid."
3,Open 24/7,Nice place
4,Meh,"7/10 at first, now 4/10"
"""


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.csv"
    path.write_text(POSTS, encoding="utf-8")
    return path


def test_columns_are_kept_and_the_rating_is_in_a_column_of_its_own(
    posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rated.parquet"
    assert run(["harvest", str(posts), "--out", str(out)]) == 0
    table = read_table(out).table
    assert table.column_names == ["number", "title", "body", "rating"]
    assert table["number"].to_pylist() == [1, 2]
    assert table["rating"].to_pylist() == [10.0, 4.0]
    shown = capsys.readouterr().err
    assert "2 of 5 reviews written" in shown
    assert "2 states no rating, 1 states different ratings" in shown


def test_the_rating_is_masked_out_of_text_and_title(posts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rated.csv"
    assert run(["harvest", str(posts), "--out", str(out)]) == 0
    table = read_table(out).table
    assert not any("10" in title for title in table["title"].to_pylist())
    assert not any("stars" in text or "5" in text for text in table["body"].to_pylist())
    assert table["body"].to_pylist()[0] == "Great phone."


def test_another_scale(posts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rated.csv"
    assert run(["harvest", str(posts), "--out", str(out), "--scale", "1..5/0.5"]) == 0
    assert read_table(out).table["rating"].to_pylist() == [5.0, 2.0]


def test_a_rating_column_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("text,rating\nFine. 7/10,3\nNothing,2\n", encoding="utf-8")
    assert run(["harvest", str(path), "--out", str(path)]) == 0
    table = read_table(path).table
    assert table["rating"].to_pylist() == [3]
    assert table["stated_rating"].to_pylist() == [7.0]
    path.write_text("text,rating,stated_rating\nFine. 7/10,3,4\nNothing,2,1\n", encoding="utf-8")
    assert run(["harvest", str(path), "--out", str(path)]) == 0
    assert "rated in the column 'stated_rating_2'" in capsys.readouterr().err
    table = read_table(path).table
    assert table["stated_rating"].to_pylist() == [4]
    assert table["stated_rating_2"].to_pylist() == [7.0]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (POSTS, ["--scale", "0..100"], "is continuous"),
        (POSTS, ["--scale", "ten"], "cannot read the scale"),
        ("text\ngood\nbad\n", [], "no review in .* states one rating .2 states no rating.; nothing was written"),
        (POSTS, ["--text-column", "post"], "there is no column 'post'"),
    ],
)
def test_what_cannot_be_harvested(
    content: str, arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(content, encoding="utf-8")
    out = tmp_path / "rated.csv"
    assert run(["harvest", str(path), "--out", str(out), *arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("ratecast: error: ")
    assert re.search(message, shown)
    assert not out.exists()
