"""What the page draws, and how one goes through what is too long for one view."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import ratecast
from ratecast.model.store import REPORT_FILE
from ratecast.store import Store


@pytest.fixture
def page(served: Callable[[Path], str], opened: Callable[..., Page], linear_model: Path) -> Page:
    return opened(served(linear_model))


def keep(page: Page, store: Store, file: Path, rows: int) -> None:
    """Rate and keep a table of so many products, each with a review a week that came with one star."""
    lines = [f"the room was great {row},1,Hotel {row:02d},2026-01-{row % 4 * 7 + 1:02d}" for row in range(rows)]
    file.write_text("text,stars,product,date\n" + "\n".join(lines), encoding="utf-8")
    page.get_by_label("Keep them").check()
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("heading", name=f"{rows} reviews rated")).to_be_visible()
    assert store.flush()


def test_bars_and_trends_show_what_was_predicted(page: Page, store: Store, linear_model: Path, tmp_path: Path) -> None:
    keep(page, store, tmp_path / "reviews.csv", 8)
    predictions = ratecast.load(linear_model).predict([f"the room was great {row}" for row in range(8)])
    shares = [f"{level}: {100 * share:.0f} %" for level, share in enumerate(predictions.probabilities.mean(axis=0), 1)]
    expect(page.locator("#distribution ul")).to_have_attribute("aria-label", ", ".join(shares))
    heights = [bar.bounding_box() for bar in page.locator("#distribution i").all()]
    drawn = [0.0 if box is None else box["height"] for box in heights]
    assert drawn.index(max(drawn)) == int(predictions.probabilities.mean(axis=0).argmax())
    expect(page.locator("#reviews > li").first.locator(".bars li")).to_have_count(5)
    expect(page.locator("#reviews > li").first).to_contain_text("came with 1")
    page.get_by_role("link", name="Products").click()
    chart, mean = page.locator("#trend svg"), f"{predictions.rating.mean():.2f}"  # of every week, since the words are the same
    expect(chart).to_have_attribute("aria-label", f"Mean rating, 2025-12-29 to 2026-01-19: from {mean} to {mean}")
    expect(chart.locator("circle")).to_have_count(4)
    expect(chart.locator("polygon.band")).to_have_count(1)
    page.get_by_label("Point for each").select_option("day")
    expect(chart).to_have_attribute("aria-label", f"Mean rating, 2026-01-01 to 2026-01-22: from {mean} to {mean}")
    first = page.locator("#products-table tbody tr").first
    expect(first.locator(".span")).to_have_attribute("title", page.locator("#products-table small").first.inner_text())


def test_products_and_the_queue_go_on_beyond_the_first_view(page: Page, store: Store, tmp_path: Path) -> None:
    keep(page, store, tmp_path / "reviews.csv", 60)
    page.get_by_role("link", name="Products").click()
    expect(page.locator("#products-total")).to_have_text("1 to 25 of 60 products")
    page.locator("#products-after").click()
    expect(page.locator("#products-total")).to_have_text("26 to 50 of 60 products")
    page.locator("#products-after").click()
    expect(page.locator("#products-table tbody tr")).to_have_count(10)
    expect(page.locator("#products-after")).to_be_disabled()
    page.get_by_role("link", name="Queue").click()
    waiting = page.locator("#waiting-reviews > li")
    expect(waiting).to_have_count(20)
    page.get_by_role("button", name="Show more").last.click()
    expect(waiting).to_have_count(40)
    page.get_by_text("Flagged", exact=False).first.click()
    expect(page.locator("#queue-hint")).to_contain_text("Nothing waits here")


def test_a_model_without_a_report_has_its_card(
    served: Callable[[Path], str], opened: Callable[..., Page], linear_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(linear_model, tmp_path / "model"))
    (folder / "README.md").write_text("# A model of nobody's\n", encoding="utf-8")
    (folder / REPORT_FILE).unlink(missing_ok=True)
    page = opened(served(folder))
    page.get_by_role("link", name="Model").click()
    expect(page.locator("#card h1")).to_have_text("A model of nobody's")
    expect(page.locator("#report")).to_be_hidden()
    expect(page.locator("#report-hint")).to_contain_text("has no readable report.html")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_service_that_does_not_answer_is_told(page: Page) -> None:
    expect(page.get_by_role("heading", name="Rate reviews")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_label("Reviews", exact=True).fill("the room was great")
    page.get_by_role("button", name="Rate", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.context.set_offline(False)
    page.get_by_role("button", name="Rate", exact=True).click()
    expect(page.get_by_role("heading", name="1 review rated")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
