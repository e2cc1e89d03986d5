"""The page by keyboard alone, with keys, on a phone, in the dark, and for a scale without levels."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from ratecast.cli import run
from ratecast.store import Store
from served import serving, write_linear_model


@pytest.fixture
def page(served: Callable[[Path], str], opened: Callable[..., Page], linear_model: Path) -> Page:
    return opened(served(linear_model))


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press a key until an element has the focus, as somebody without a mouse does."""
    expect(wanted).to_be_visible()
    for _ in range(60):
        page.keyboard.press(key)
        if wanted.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{wanted} cannot be reached with {key}")


def rate_and_keep(page: Page, file: Path) -> None:
    file.write_text("text,product\n" + "".join(f"the room was great {row},Hotel\n" for row in range(3)), encoding="utf-8")
    page.get_by_label("Keep them").check()
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("heading", name="3 reviews rated")).to_be_visible()


def test_reviews_are_rated_flagged_and_decided_by_keyboard(page: Page, store: Store, tmp_path: Path) -> None:
    expect(page.get_by_role("heading", name="Rate reviews")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Reviews", exact=True))
    page.keyboard.type("the room was great\nthe staff was awful")
    tab_to(page, page.get_by_label("Keep them"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Rate", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 reviews rated")).to_be_focused()
    for number in range(2):
        tab_to(page, page.locator("#reviews summary").nth(number))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("button", name="Flag").first)
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("waits in the queue")
        page.evaluate("document.getElementById('said').textContent = ''")
    assert store.flush()
    tab_to(page, page.get_by_role("link", name="Queue"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Reviews that a person should read")).to_be_visible()
    tab_to(page, page.get_by_label("Your name"))
    page.keyboard.type("Ann")
    tab_to(page, page.get_by_role("radio", name="All"))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Flagged")).to_be_checked()
    expect(page.locator("#waiting-reviews > li")).to_have_count(2)
    tab_to(page, page.get_by_role("button", name="Accept").first)
    page.keyboard.press("Enter")
    expect(page.locator("#waiting-reviews > li")).to_have_count(1)
    expect(page.get_by_role("button", name="Accept")).to_be_focused()  # the next review, without a way back to it
    tab_to(page, page.get_by_label("Right rating"))
    page.keyboard.press("Home")
    tab_to(page, page.get_by_role("button", name="Correct", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator("#queue-hint")).to_contain_text("Nothing waits here")
    assert sorted(found.decision.verdict for found in store.decided()) == ["accept", "correct"]


def test_a_file_is_chosen_by_keyboard(page: Page, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text\nthe room was great\n", encoding="utf-8")
    expect(page.get_by_role("heading", name="Rate reviews")).to_be_visible()
    with page.expect_file_chooser() as chooser:  # which the browser is told first, and takes a moment to heed
        tab_to(page, page.locator("#file"))
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "reviews.csv")
    expect(page.get_by_role("heading", name="1 review rated")).to_be_focused()


def test_an_order_whose_answer_comes_late_is_not_shown(page: Page, store: Store, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(
        "text,product\nthe room was great,Good\nthe room was awful,Bad\nthe staff was awful,Bad\n", encoding="utf-8"
    )
    page.get_by_label("Keep them").check()
    page.locator("#file").set_input_files(tmp_path / "reviews.csv")
    expect(page.get_by_role("heading", name="3 reviews rated")).to_be_visible()
    assert store.flush()
    page.get_by_role("link", name="Products").click()
    first = page.locator("#products-table tbody button").first
    expect(first).to_have_text("Bad")  # of which there are most
    late: list[Route] = []
    page.route("**/products?*order=worst*", lambda route: late.append(route))  # noqa: PLW0108 - it is given an attribute
    with page.expect_request("**/products?*order=worst*"):
        page.get_by_label("Order").select_option("worst")
    page.get_by_label("Order").select_option("best")
    expect(first).to_have_text("Good")
    for route in late:
        route.continue_()
    page.wait_for_timeout(500)  # in which the late answer would come
    expect(first).to_have_text("Good")


def test_a_service_with_keys_asks_for_one(
    linear_model: Path, opened: Callable[..., Page], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {}
    for name, scopes in (("page", ("predict", "feedback")), ("scraper", ("metrics",))):
        flags = [word for scope in scopes for word in ("--scope", scope)]
        assert run(["new-key", str(tmp_path / "keys.toml"), name, *flags]) == 0
        keys[name] = capsys.readouterr().out.strip()
    with serving(linear_model, "--keys", tmp_path / "keys.toml", "--store", tmp_path / "store") as running:
        page = opened(running.url)
        for wrong in ("nonsense", keys["scraper"]):
            page.get_by_label("Key", exact=True).fill(wrong)
            page.get_by_role("button", name="Use it").click()
            expect(page.get_by_role("alert")).to_contain_text("needs a valid API key")
        page.get_by_label("Key", exact=True).fill(keys["page"])
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator("#key")).to_be_hidden()
        page.get_by_label("Reviews", exact=True).fill("the room was great")
        page.get_by_role("button", name="Rate", exact=True).click()
        expect(page.get_by_role("heading", name="1 review rated")).to_be_visible()
        page.reload()  # the key is kept for the tab
        expect(page.get_by_role("link", name="Queue")).to_be_visible()
        expect(page.locator("#key")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(
    served: Callable[[Path], str], opened: Callable[..., Page], linear_model: Path, store: Store, tmp_path: Path, scheme: str
) -> None:
    page = opened(served(linear_model), viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    rate_and_keep(page, tmp_path / "reviews.csv")
    assert store.flush()
    for view in ("Rate", "Products", "Queue", "Model"):
        page.get_by_role("link", name=view).tap()
        expect(page.get_by_role("link", name=view)).to_have_attribute("aria-current", "page")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
    light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((part) => part > 127)")
    assert light == (scheme == "light")


def test_a_scale_without_levels(
    served: Callable[[Path], str],
    opened: Callable[..., Page],
    tiny_reviews: tuple[list[str], list[float]],
    store: Store,
    tmp_path: Path,
) -> None:
    texts, ratings = tiny_reviews
    values = [20 * rating + number % 7 / 2 for number, rating in enumerate(ratings)]
    page = opened(served(write_linear_model(tmp_path / "model", texts, values, written="0..110")))
    rate_and_keep(page, tmp_path / "reviews.csv")
    assert store.flush()
    page.locator("#reviews summary").first.click()
    page.get_by_role("button", name="Flag").first.click()
    expect(page.locator("#said")).to_contain_text("waits in the queue")
    page.get_by_role("link", name="Queue").click()
    page.get_by_label("Your name").fill("Ann")
    right = page.get_by_label("Right rating").first
    right.fill("111")  # beyond the scale: the browser says so, and nothing is sent
    page.get_by_role("button", name="Correct", exact=True).first.click()
    assert not right.evaluate("(input) => input.checkValidity()")
    right.fill("87.25")
    page.get_by_role("button", name="Correct", exact=True).first.click()
    expect(page.locator("#said")).to_contain_text("Corrected to 87.25")
    assert [found.decision.rating for found in store.decided()] == [87.25]
