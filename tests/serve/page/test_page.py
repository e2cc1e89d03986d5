"""The page in a real browser, used as a person would."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from ratecast.data import read_table
from ratecast.store import Store


def test_pasted_reviews_are_rated_and_can_be_downloaded(page: Page, tmp_path: Path) -> None:
    rate = page.get_by_role("button", name="Rate", exact=True)
    rate.click()
    expect(page.get_by_role("alert")).to_contain_text("Paste at least one review")
    page.get_by_label("Reviews", exact=True).fill("the room was great\n\n<b>the staff was awful</b>")
    rate.click()
    expect(page.get_by_role("heading", name="2 reviews rated")).to_be_visible()
    expect(page.get_by_text("<b>the staff was awful</b>", exact=True).last).to_be_visible()  # never read as HTML
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "ratings.csv")
    table = read_table(tmp_path / "ratings.csv").table
    assert table["text"].to_pylist() == ["the room was great", "<b>the staff was awful</b>"]
    assert "predicted_rating" in table.column_names


def test_a_file_goes_to_products_and_queue_and_a_person_decides(page: Page, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    rows = "".join(f"the room was great {row},{row % 5 + 1},Hotel {row % 2},2026-0{row % 3 + 1}-05\n" for row in range(40))
    file.write_text(f"text,stars,product,date\n{rows}", encoding="utf-8")
    page.get_by_label("Keep them").check()
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("heading", name="40 reviews rated")).to_be_visible()
    assert store.flush()
    store.flag(store.queue().reviews[0].id if store.queue().reviews else _any_id(page, store), "please read")
    page.get_by_role("link", name="Products").click()
    page.get_by_role("button", name="Hotel 1").click()
    expect(page.get_by_role("heading", name="Hotel 1")).to_be_visible()
    page.get_by_role("link", name="Queue").click()
    page.get_by_role("button", name="Accept").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Enter your name first")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Correct", exact=True).first.click()
    expect(page.locator("#said")).to_contain_text("Corrected to")
    page.get_by_text("Decided").click()
    expect(page.locator("#waiting-reviews")).to_contain_text("Ann corrected it to")
    assert [found.decision.reviewer for found in store.decided()] == ["Ann"]


def _any_id(page: Page, store: Store) -> str:
    page.locator("#reviews summary").first.click()
    page.locator("#reviews form button").first.click()
    expect(page.locator("#said")).to_contain_text("waits in the queue")
    return store.queue().reviews[0].id


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"a", "expected a file of reviews"),
        ("empty.csv", b"", "empty.csv is empty"),
        ("broken.parquet", b"no parquet", "broken.parquet"),
    ],
)
def test_files_that_cannot_be_rated(page: Page, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    page.locator("#file").set_input_files(tmp_path / name)
    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_a_problem_stays_when_something_slow_in_the_background_ends(page: Page, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    held: list[Route] = []
    page.route("**/page/queue*", lambda route: held.append(route))  # noqa: PLW0108 - it marks its handlers, and no built-in can be
    page.reload()
    expect(page.get_by_role("heading", name="Rate reviews")).to_be_visible()
    page.locator("#file").set_input_files(tmp_path / "empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")
    with page.expect_response("**/page/queue*") as answer:
        held[0].continue_()
    answer.value.finished()
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")


def test_the_model_has_its_card_and_report(page: Page) -> None:
    page.get_by_role("link", name="Model").click()
    expect(page.locator("#card h1")).to_have_text("Rating model")
    expect(page.frame_locator("#report").locator("svg").first).to_be_visible()
