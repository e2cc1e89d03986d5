"""Plots as SVG to be set into an HTML page, whose colours and fonts they take, in light and in dark.

Everything is drawn with matplotlib's object-oriented interface: no pyplot, no backend chosen, no settings left behind.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike

from ratecast.errors import require
from ratecast.evaluate.calibration import Reliability
from ratecast.scale import FloatArray, IntArray, RatingScale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, ACCENT, SECOND = "#1d2733", "#5d6b7c", "#dfe4ea", "#2a66c8", "#c2571a"
_VARIABLES: Final = {INK: "--ink", MUTED: "--muted", LINE: "--line", ACCENT: "--accent", SECOND: "--second"}

SCATTER_REVIEWS: Final = 400
"""Up to this many reviews of a continuous scale are drawn as points, more as counts in hexagons."""

_SIZE: Final = (360, 310)  # points: text stays readable when the plot shrinks to a telephone's width
_WIDE: Final = (760, 330)
_DENSE_LEVELS: Final = 12  # with more levels there is no room for counts below their names
_DENSITY_REVIEWS: Final = 8  # fewer are drawn as the points that they are
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
}


def predicted_against_true(ratings: FloatArray, predictions: FloatArray, scale: RatingScale) -> str:
    """Expected ratings against true ones: a density for each level, points or hexagons on a continuous scale.

    Args:
        ratings: true ratings, shape ``(review,)``.
        predictions: expected ratings, same shape.
        scale: the scale of both.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        if scale.is_continuous:
            _paint_cloud(axes, ratings, predictions, scale)
        else:
            _paint_densities(axes, ratings, predictions, scale)
        axes.set_ylabel("Expected rating")

    label = f"Expected ratings against true ratings of {len(ratings)} reviews"
    return _draw("against", label, _SIZE, paint)


def reliability_diagram(found: Reliability) -> str:
    """Accuracy against confidence with 95 % Wilson intervals, above the number of reviews in each bin.

    Args:
        found: confidence and accuracy by bin.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    used = found.reviews > 0
    reviews, confidence, accuracy = found.reviews[used], found.confidence[used], found.accuracy[used]
    centre, half = _wilson(accuracy, reviews)
    end = min(1.0, np.ceil(5 * max(confidence.max(), (centre + half).max())) / 5)

    def paint(figure: "Figure") -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        above.plot([0, end], [0, end], color=MUTED, linewidth=1, dashes=(4, 3))
        faded = _shades(np.clip(np.sqrt(reviews / 30), 0.3, 1))  # few reviews say little
        above.vlines(confidence, centre - half, centre + half, colors=faded, linewidth=1.4)
        above.scatter(confidence, accuracy, s=26, color=faded, linewidths=0, zorder=3, clip_on=False)
        above.set(ylabel="Share that was right", xlim=(0, end), ylim=(0, end * 1.02))
        width = found.edges[1] - found.edges[0]
        below.bar(found.edges[:-1][used] + width / 2, reviews, width=width * 0.86, color=ACCENT, alpha=0.35)
        for left, count in zip(found.edges[:-1][used], reviews, strict=True):
            below.annotate(
                f"{count}", (left + width / 2, count), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=8
            )
        below.set(xlabel="Probability of the most probable level", ylabel="Reviews", ylim=(0, reviews.max() * 1.35), yticks=[])
        below.grid(visible=False)
        _percent(above, "xy")

    label = f"Reliability diagram: share of right predictions against their probability, {reviews.sum()} reviews"
    return _draw("reliability", label, _SIZE, paint)


def learning_curve(
    seconds: Sequence[float],
    training_loss: Sequence[float],
    scores: Sequence[float],
    *,
    measure: str = "validation RMSE",
    is_logarithmic: bool = False,
) -> str:
    """Training loss and the score of evaluations against time, the lowest score marked.

    Args:
        seconds: since the start of training, shape ``(point,)``.
        training_loss: same shape.
        scores: same shape.
        measure: what they are.
        is_logarithmic: whether they are drawn on a logarithmic scale.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    in_minutes = max(seconds) > 180
    time = np.asarray(seconds, dtype=np.float64) / (60 if in_minutes else 1)
    best = int(np.nanargmin(scores))
    lowest = f"{scores[best]:.3f}" if scores[best] < 1000 else f"{scores[best]:,.0f}"

    def paint(figure: "Figure") -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(time, training_loss, color=SECOND, linewidth=1.8, marker="o", markersize=3)
        above.set_ylabel("Training loss")
        below.plot(time, scores, color=ACCENT, linewidth=1.8, marker="o", markersize=3)
        below.plot(time[best], scores[best], color=ACCENT, marker="o", markersize=7)
        below.annotate(
            lowest,
            (time[best], scores[best]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
        below.margins(y=0.25)
        if is_logarithmic:
            below.set_yscale("log")
        below.set(ylabel=measure[:1].upper() + measure[1:], xlabel="Minutes" if in_minutes else "Seconds")
        below.set_xlim(left=0)
        figure.align_ylabels()

    label = f"Learning curve: training loss and {measure}; the best is {lowest}"
    return _draw("learning", label, _SIZE, paint)


def search_course(seconds: ArrayLike, rmse: ArrayLike, *, first_is_given: bool) -> str:
    """Validation RMSE of the trials of a search against time, and the best so far.

    Args:
        seconds: when each trial ended, shape ``(trial,)``.
        rmse: same shape.
        first_is_given: whether the first trial had the settings that the search began with, whose RMSE is then drawn too.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ends, values = np.asarray(seconds, dtype=np.float64), np.asarray(rmse, dtype=np.float64)
    in_minutes = ends.max() > 180
    times = ends / (60 if in_minutes else 1)
    best = int(values.argmin())

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        if first_is_given:
            axes.axhline(values[0], color=MUTED, linewidth=1, dashes=(4, 3))
        axes.step(times, np.minimum.accumulate(values), where="post", color=ACCENT, linewidth=1.8)
        axes.scatter(times, values, s=16, color=SECOND, linewidths=0, zorder=3)
        axes.annotate(
            f"{values[best]:.3f}",
            (times[best], values[best]),
            xytext=(0, -13),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
        axes.margins(y=0.2)
        axes.set(ylabel="Validation RMSE", xlabel="Minutes" if in_minutes else "Seconds")
        axes.set_xlim(left=0)

    label = f"Validation RMSE of {len(values)} trials over time; the best is {values[best]:.3f}"
    return _draw("search", label, _SIZE, paint)


def frontier(
    milliseconds: ArrayLike,
    rmse: ArrayLike,
    *,
    best: Sequence[tuple[float, float]],
    whole: tuple[float, float],
    chosen: tuple[float, float] | None,
    most_rmse: float | None,
) -> str:
    """RMSE of reduced models against the time that a review takes, on a logarithmic axis.

    Args:
        milliseconds: for one of many reviews, shape ``(model,)``.
        rmse: same shape.
        best: time and RMSE of the models that no other one beats in both, the quickest first.
        whole: those of the model that was reduced.
        chosen: those of the one that was taken; None if none was.
        most_rmse: the limit that was asked for; None without one.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    line = np.asarray(best, dtype=np.float64)

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.scatter(milliseconds, rmse, s=9, color=MUTED, alpha=0.35, linewidths=0)
        axes.step(line[:, 0], line[:, 1], where="post", color=ACCENT, linewidth=1.8)
        axes.scatter(line[:, 0], line[:, 1], s=14, color=ACCENT, linewidths=0, zorder=3)
        if most_rmse is not None:
            axes.axhline(most_rmse, color=MUTED, linewidth=1, dashes=(4, 3))
        for name, place in (("whole model", whole), ("chosen", chosen)):
            if place is None or (place == whole and name == "chosen"):
                continue
            axes.scatter(*place, s=44, color=SECOND, linewidths=0, zorder=4)
            axes.annotate(
                name, place, xytext=(0, -15), textcoords="offset points", ha="center", color=SECOND, fontweight="bold"
            )
        low, high = float(np.min(line[:, 1])), float(np.max(line[:, 1]))
        axes.set_ylim(low - 0.15 * (high - low + 1e-3), high + 0.1 * (high - low + 1e-3))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(ylabel="Validation RMSE", xlabel="Milliseconds for one of many reviews")

    label = f"RMSE against time of {len(np.asarray(rmse))} reduced models; {len(best)} of them are beaten by none in both"
    return _draw("frontier", label, _WIDE, paint)


def importances(shares: Mapping[str, float]) -> str:
    """How much each setting matters, as bars, the greatest on top.

    Args:
        shares: of the variance, by the name of the setting; they add up to 1.

    Returns:
        An ``<svg>`` element.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    names = sorted(shares, key=lambda name: shares[name])

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        bars = axes.barh(names, [shares[name] for name in names], color=ACCENT, height=0.62)
        axes.bar_label(bars, [f"{shares[name]:.0%}".replace("%", " %") for name in names], padding=3, fontsize=8.5)
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Share of the differences in RMSE")
        _percent(axes, "x")

    first = f"; most by {names[-1]}" if names else ""
    return _draw("importances", f"How much each of {len(names)} settings matters{first}", _SIZE, paint)


def _paint_densities(axes: "Axes", ratings: FloatArray, predictions: FloatArray, scale: RatingScale) -> None:
    index = scale.level_index(ratings)
    pad = 0.03 * (scale.high - scale.low)
    for position, level in enumerate(scale.levels):
        values = predictions[index == position]
        axes.hlines(level, position - 0.46, position + 0.46, color=MUTED, linewidth=1, linestyles=(0, (4, 3)))
        if len(values) < _DENSITY_REVIEWS:
            axes.scatter(np.full(len(values), position), values, s=10, color=ACCENT, alpha=0.7, linewidths=0)
            continue
        height, width = _density(values, scale.low - pad, scale.high + pad)
        shown = width > 0.01
        axes.fill_betweenx(
            height, position - 0.42 * width, position + 0.42 * width, where=shown, color=ACCENT, alpha=0.35, linewidth=0
        )
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.vlines(position, low, high, color=INK, linewidth=2.4)
        axes.plot(position, middle, "o", color=INK, markersize=4.6)
    counts = np.bincount(index, minlength=len(scale))
    dense = len(scale) > _DENSE_LEVELS
    names = scale.labels if dense else [f"{name}\n{count}" for name, count in zip(scale.labels, counts, strict=True)]
    axes.set_xticks(range(len(scale)), names)
    axes.set(xlim=(-0.6, len(scale) - 0.4), ylim=(scale.low - 2 * pad, scale.high + 2 * pad))
    axes.set_xlabel("True rating" if dense else "True rating, and number of reviews")
    every = -(-len(scale) // _DENSE_LEVELS)
    axes.set_yticks(scale.levels[::every], scale.labels[::every])
    axes.grid(visible=False)


def _paint_cloud(axes: "Axes", ratings: FloatArray, predictions: FloatArray, scale: RatingScale) -> None:
    span = scale.low, scale.high
    if len(ratings) <= SCATTER_REVIEWS:
        axes.scatter(ratings, predictions, s=12, color=ACCENT, alpha=0.45, linewidths=0)
    else:
        cells = axes.hexbin(ratings, predictions, gridsize=(28, 16), extent=(*span, *span), mincnt=1, linewidths=0)
        counts = np.asarray(cells.get_array())
        cells.set_array(None)  # opacity in place of a colour map: it reads on a light and on a dark page
        opacity = 0.12 + 0.88 * np.log(counts) / max(np.log(counts.max()), 1e-9)
        cells.set_facecolor(_shades(opacity))
    axes.plot(span, span, color=MUTED, linewidth=1, dashes=(4, 3))
    axes.set(xlim=span, ylim=span, xlabel="True rating")


def _density(values: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Gaussian kernel density at 120 heights, the highest being 1; the bandwidth is Silverman's (1986, equation 3.31)."""
    counts, edges = np.histogram(values, bins=120, range=(low, high))
    height = (edges[1:] + edges[:-1]) / 2
    bandwidth = max(0.9 * float(values.std()) * len(values) ** -0.2, 0.012 * (high - low))
    density = np.exp(-0.5 * ((height[:, None] - height) / bandwidth) ** 2) @ counts
    return height, np.asarray(density / density.max(), dtype=np.float64)


def _wilson(share: FloatArray, reviews: IntArray, z: float = 1.96) -> tuple[FloatArray, FloatArray]:
    """Centre and half width of the interval of a share (Wilson 1927), which stays within 0..1 for few reviews too."""
    scale = 1 + z**2 / reviews
    half = z * np.sqrt(share * (1 - share) / reviews + z**2 / (4 * reviews**2)) / scale
    return (share + z**2 / (2 * reviews)) / scale, half


def _shades(opacity: FloatArray) -> list[tuple[float, float, float, float]]:
    """The accent colour in each opacity, as red, green, blue and alpha."""
    from matplotlib.colors import to_rgba

    return [to_rgba(ACCENT, share) for share in opacity.tolist()]


def _percent(axes: "Axes", which: str) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if axis.axis_name in which:
            axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


# -- from a figure to an element of a page ----------------------------------------------------------------------------


def _draw(name: str, label: str, size: tuple[int, int], paint: Callable[["Figure"], None]) -> str:
    """Paint a figure of ``size`` points and return it as an ``<svg>`` element that fits the page."""
    require("matplotlib", "train", "the report")
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    written = io.StringIO()
    # "default" first, so that a user's own matplotlibrc does not show; the salt makes equal runs give equal files.
    with style.context(["default", _STYLE | {"svg.hashsalt": name}]):
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        figure.savefig(written, format="svg", transparent=True)
    return _for_page(written.getvalue(), name, label)


def _for_page(svg: str, name: str, label: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' font-family: [^;"]*;', "", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg class="plot" role="img" aria-label="{escape(label)}" {box[0] if box else ""}>'
    svg = re.sub(r"<svg[^>]*>", head, svg, count=1)
    # Ids are shared by all elements of a page: the unused ones go, the others get the plot's name.
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'((?:href="|url\()#)', rf"\g<1>{name}-", svg).replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    return re.sub(r"\s*\n\s*", " ", svg)
