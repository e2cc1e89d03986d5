"""A real browser, and the page of a service that runs."""

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

import ratecast
from ratecast.records import Prediction, Review
from ratecast.serve.page import Served, create_page
from ratecast.store import Store

SLOW = "slowly"
"""Texts with this word are predicted slowly, so that there is time to press a button meanwhile."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail("there is no Chromium. On Debian: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as store:
        yield store


@pytest.fixture
def served(store: Store) -> Iterator[Callable[[Path], str]]:
    """Serves the page of a model folder, and gives its address."""
    with contextlib.ExitStack() as ended:

        def serve(folder: Path) -> str:
            predictor = ratecast.load(folder, threads=1)
            app = FastAPI()

            async def predict(reviews: Sequence[Review]) -> Sequence[Prediction]:
                if SLOW in reviews[0].text:
                    await asyncio.sleep(0.5)
                return await asyncio.to_thread(predictor.predict, reviews)

            shown = Served(name="tiny", version="1", predictor=predictor, predict=predict)
            app.include_router(create_page(lambda: [shown], store=store))
            server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
            thread = threading.Thread(target=server.run)
            thread.start()
            ended.callback(thread.join)
            ended.callback(setattr, server, "should_exit", True)
            while not server.started:
                time.sleep(0.02)
            return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

        yield serve


def _note(message: ConsoleMessage, problems: list[str]) -> None:
    """Keep what the browser finds wrong, such as what the page's security policy forbids; not that a request was refused."""
    expected = ("the server responded with a status", "net::ERR_INTERNET_DISCONNECTED")
    if message.type == "error" and not any(words in message.text for words in expected):
        problems.append(message.text)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens addresses; a problem in the browser's console fails the test."""
    problems: list[str] = []
    pages: list[Page] = []

    def open_page(url: str, **options: object) -> Page:
        page = browser.new_page(**options)  # type: ignore[arg-type]  # a TypedDict would say the same again
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: _note(message, problems))
        page.goto(url)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert problems == []


@pytest.fixture
def page(served: Callable[[Path], str], opened: Callable[..., Page], tiny_model: Path) -> Page:
    """The page of a model of five levels."""
    page = opened(served(tiny_model))
    expect(page.get_by_role("heading", name="Rate reviews")).to_be_visible()
    return page
