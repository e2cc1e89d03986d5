"""Tables in the browser: dropped, of other formats, long, too long, and given up."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ratecast.data import read_table
from ratecast.data.table import build_table
from ratecast.data.write import write_table

DROP = """([content, name]) => {
  const moved = new DataTransfer();
  moved.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
  return moved;
}"""


@pytest.fixture
def page(served: Callable[[Path], str], opened: Callable[..., Page], linear_model: Path) -> Page:
    page = opened(served(linear_model))
    expect(page.get_by_role("heading", name="Rate reviews")).to_be_visible()
    return page


def write_reviews(file: Path, count: int, words: str = "the room was") -> Path:
    texts = [f"{words} {'great' if row % 2 else 'awful'} {row}" for row in range(count)]
    write_table(build_table({"review": texts, "city": ["Bern"] * count}), file)
    return file


def drop(page: Page, file: Path) -> None:
    """Drop a file on the page, as a hand does that drags it there."""
    content = base64.b64encode(file.read_bytes()).decode()
    moved = page.evaluate_handle(DROP, [content, file.name])
    page.locator("#rate-form").dispatch_event("dragover", {"dataTransfer": moved})
    expect(page.locator("#rate-form")).to_have_class("card dropping")
    page.locator("#rate-form").dispatch_event("drop", {"dataTransfer": moved})
    expect(page.locator("#rate-form")).to_have_class("card")


def test_a_dropped_parquet_file_is_rated_and_comes_back_with_all_its_columns(page: Page, tmp_path: Path) -> None:
    drop(page, write_reviews(tmp_path / "hotels.parquet", 620))
    expect(page.get_by_role("heading", name="620 reviews rated")).to_be_visible()
    expect(page.locator("#notes")).to_contain_text("The text is read from the column 'review'.")
    expect(page.locator("#notes")).to_contain_text("The first 500 are shown; the download has all.")
    expect(page.locator("#reviews > li")).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#reviews > li")).to_have_count(100)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "hotels-rated.parquet"
    download.value.save_as(tmp_path / "rated.parquet")
    table = read_table(tmp_path / "rated.parquet").table
    assert table.num_rows == 620
    assert table.column_names[:3] == ["review", "city", "predicted_rating"]
    assert table["review"].to_pylist()[619] == "the room was great 619"


def test_a_table_that_is_too_long_is_refused_and_the_next_is_rated(page: Page, tmp_path: Path) -> None:
    page.locator("#file").set_input_files(write_reviews(tmp_path / "many.csv", 20_001))
    expect(page.get_by_role("alert")).to_contain_text("found 20,001 reviews; the page rates up to 20,000 at once")
    page.locator("#file").set_input_files(write_reviews(tmp_path / "few.csv", 3))
    expect(page.get_by_role("heading", name="3 reviews rated")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_rating_can_be_given_up(page: Page, tmp_path: Path) -> None:
    page.locator("#file").set_input_files(write_reviews(tmp_path / "long.csv", 20_000, "slowly it became"))
    expect(page.locator("#progress-text")).to_contain_text("of 20,000 reviews rated")
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#said")).to_have_text("Stopped.")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    page.get_by_label("Reviews", exact=True).fill("the room was great")
    page.get_by_role("button", name="Rate", exact=True).click()
    expect(page.get_by_role("heading", name="1 review rated")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_ratings_that_cannot_be_on_the_scale_are_told(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "stars.csv"
    file.write_text("review,rating\nthe room was great,5\nthe room was awful,77\n")
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("review 2 has the rating 77; expected one from 1 to 5")
