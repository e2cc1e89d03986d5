"""Plots: SVG that fits a page, whatever the numbers."""

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest

from ratecast.errors import MissingExtraError
from ratecast.evaluate import plots
from ratecast.evaluate.calibration import reliability
from ratecast.scale import RatingScale

matplotlib = pytest.importorskip("matplotlib")

STARS = RatingScale.parse("1..5")
GENERATOR = np.random.default_rng(0)
RATINGS = GENERATOR.choice(STARS.levels, 200)
PROBABILITIES = GENERATOR.dirichlet(np.ones(5), 200)
CONTINUOUS = RatingScale.continuous(np.linspace(0, 100, 200), 0, 100)


def against() -> str:
    return plots.predicted_against_true(RATINGS, STARS.mean(PROBABILITIES), STARS)


def diagram() -> str:
    return plots.reliability_diagram(reliability(RATINGS, PROBABILITIES, STARS))


def curve() -> str:
    return plots.learning_curve([1, 2, 3], [1.5, 1.0, 0.8], [1.2, 0.9, 1.0])


def course() -> str:
    return plots.search_course([60, 120, 200], [1.5, 1.25, 1.4], first_is_given=True)


def bars() -> str:
    return plots.importances({"learning_rate": 0.75, "head": 0.25})


ALL = [against, diagram, curve, course, bars]


@pytest.mark.parametrize("draw", ALL)
def test_a_plot_is_well_formed_named_and_takes_the_colours_of_the_page(draw: Callable[[], str]) -> None:
    svg = draw()
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.get("viewBox")
    assert "var(--accent, " in svg
    assert "<text" in svg  # text stays text
    colours = set(re.findall(r"#[0-9a-f]{6}", svg)) - {plots.INK, plots.MUTED, plots.LINE, plots.ACCENT, plots.SECOND}
    assert not colours  # anything else would not follow the page into the dark
    assert "http" not in svg
    assert "<style" not in svg
    assert "font-family" not in svg


def test_ids_of_plots_on_one_page_differ() -> None:
    ids = [name for draw in ALL for name in re.findall(r' id="([^"]+)"', draw())]
    assert ids
    assert len(ids) == len(set(ids))
    for draw in ALL:
        svg = draw()
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used <= set(re.findall(r' id="([^"]+)"', svg))


@pytest.mark.parametrize("draw", ALL)
def test_equal_numbers_give_equal_plots(draw: Callable[[], str]) -> None:
    assert draw() == draw()


def test_settings_of_matplotlib_are_left_alone() -> None:
    matplotlib.rcParams["axes.linewidth"] = 31
    try:
        loud = against()
        assert matplotlib.rcParams["axes.linewidth"] == 31
        assert "pyplot" not in {name.rpartition(".")[2] for name in sys.modules if name.startswith("matplotlib.")}
    finally:
        matplotlib.rcdefaults()
    assert loud == against()


def test_the_curve_marks_its_best_point() -> None:
    assert ">0.900</text>" in curve()
    assert "Seconds" in curve()
    assert "Minutes" in plots.learning_curve([100, 200], [1, 1], [1, 1])


@pytest.mark.parametrize("reviews", [plots.SCATTER_REVIEWS, plots.SCATTER_REVIEWS + 1])
def test_a_continuous_scale_has_points_or_hexagons(reviews: int) -> None:
    ratings = GENERATOR.uniform(0, 100, reviews)
    svg = plots.predicted_against_true(ratings, ratings, CONTINUOUS)
    assert len(svg) < 200_000
    ET.fromstring(svg)


@pytest.mark.parametrize("levels", [2, 5, 21])
@pytest.mark.parametrize("reviews", [1, 12])
def test_few_reviews_and_equal_predictions(levels: int, reviews: int) -> None:
    scale = RatingScale.discrete(np.arange(levels))
    ratings = np.full(reviews, 1.0)
    ET.fromstring(plots.predicted_against_true(ratings, np.full(reviews, 0.5), scale))
    certain = np.eye(levels)[np.ones(reviews, dtype=int)]
    ET.fromstring(plots.reliability_diagram(reliability(ratings, certain, scale)))
    ET.fromstring(plots.reliability_diagram(reliability(ratings, np.full((reviews, levels), 1 / levels), scale)))


def test_a_curve_of_one_point_or_without_a_loss() -> None:
    ET.fromstring(plots.learning_curve([0.0], [float("nan")], [1.0]))
    ET.fromstring(plots.learning_curve([5.0], [1.0], [1.0]))


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("ratecast.errors.importlib.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"ratecast\[train\]"):
        curve()


def test_the_density_is_highest_where_most_values_are() -> None:
    values = np.concatenate([np.full(90, 2.0), np.full(10, 4.0)])
    height, width = plots._density(values, 1, 5)
    assert height[np.argmax(width)] == pytest.approx(2, abs=0.05)
    assert width.max() == 1
    assert width[np.argmin(np.abs(height - 4))] == pytest.approx(1 / 9, abs=0.02)


def test_wilson_interval_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for right, reviews in ((0, 4), (7, 9), (30, 30)):
        centre, half = plots._wilson(np.array([right / reviews]), np.array([reviews]))
        expected = stats.binomtest(right, reviews).proportion_ci(method="wilson")
        assert (centre - half)[0] == pytest.approx(expected.low, abs=1e-4)
        assert (centre + half)[0] == pytest.approx(expected.high, abs=1e-4)


def test_a_search_shows_its_best_value_and_the_greatest_importance_is_named() -> None:
    assert "<text" in course()
    assert re.findall(r">\s*(1\.250)\s*<", course()) == ["1.250"]
    assert "Minutes" in course()  # more than three minutes
    assert "most by learning_rate" in bars()
    assert re.findall(r">\s*(\d+ %)\s*</text>", bars())[-2:] == ["25 %", "75 %"]


def test_the_given_settings_are_a_dashed_line_only_where_they_were_completed() -> None:
    without = plots.search_course([60, 120], [1.5, 1.25], first_is_given=False)
    assert plots.search_course([60, 120], [1.5, 1.25], first_is_given=True).count("stroke-dasharray") == 1
    assert "stroke-dasharray" not in without
