import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratecast.serve.logs import JsonFormatter
from served import Running, serving, write_linear_model


@pytest.fixture(autouse=True)
def _no_log_left() -> Iterator[None]:
    """Takes away what a command that was run here writes its log with: to a stream that is closed by then."""
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, JsonFormatter):
            root.removeHandler(handler)
            logging.captureWarnings(capture=False)


@pytest.fixture(scope="session")
def linear_model(tiny_reviews: tuple[list[str], list[float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model folder; tests must leave it as it is."""
    return write_linear_model(tmp_path_factory.mktemp("served") / "tiny", *tiny_reviews)


@pytest.fixture(scope="session")
def contrary_model(tiny_reviews: tuple[list[str], list[float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that thinks the opposite; its folder has another name."""
    texts, ratings = tiny_reviews
    return write_linear_model(tmp_path_factory.mktemp("served") / "contrary", texts, [6.0 - rating for rating in ratings])


@pytest.fixture(scope="module")
def service(linear_model: Path) -> Iterator[Running]:
    """A service with low limits."""
    limits = ("--max-body-bytes", "20000", "--max-reviews", "50", "--max-text-bytes", "5000")
    times = ("--max-head-seconds", "1", "--max-body-seconds", "1")
    with serving(linear_model, *limits, *times) as running:
        yield running
