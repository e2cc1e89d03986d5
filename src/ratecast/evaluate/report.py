"""The report of a fitted model: one HTML file that says who won, by how much, and where the model errs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ratecast.evaluate import plots
from ratecast.evaluate.calibration import check_probabilities, confidence_and_correctness, reliability
from ratecast.evaluate.contest import Contest, Entry, Outcome, format_seconds
from ratecast.evaluate.metrics import METRICS, expected_ratings
from ratecast.evaluate.page import page, write_page
from ratecast.scale import FloatArray, IntArray, RatingScale

_HEADLINES: Final[dict[Outcome, str]] = {
    "better": "Beats every baseline",
    "unclear": "Ahead, but not proven",
    "worse": "Does not beat the baselines",
    "alone": "No baseline to compare with",
}
_TILES: Final = ("rmse", "mae", "accuracy", "within_one", "qwk", "spearman", "rps")
_MANY_LEVELS: Final = 10  # a wider confusion matrix does not fit half of the page
_AXIS_END: Final = 1.5  # times the median RMSE
_STRONG_SHARE: Final = 0.78  # from here on light text has more contrast with the cell than dark text


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Where training stood when the validation reviews were scored.

    Attributes:
        step: optimiser steps done.
        seconds: since the start of training.
        training_loss: mean since the last point.
        validation_rmse: in rating units.
        learning_rate: of the backbone.
    """

    step: int
    seconds: float
    training_loss: float
    validation_rmse: float
    learning_rate: float


def write_report(
    path: str | Path,
    *,
    title: str,
    contest: Contest,
    ratings: ArrayLike,
    probabilities: ArrayLike,
    learning_curve: Sequence[CurvePoint] | None = None,
    data_report_lines: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the report as one self-contained HTML file: no scripts, nothing loaded from elsewhere.

    Args:
        path: the file to write; replaced as a whole or not at all.
        title: what the page is called, plain text.
        contest: the model and its baselines.
        ratings: true ratings that the contest was held on, shape ``(review,)``.
        probabilities: the model's, shape ``(review, level)``.
        learning_curve: the course of training; its plot is left out if None or empty.
        data_report_lines: the data report as plain text.
        notes: what else a reader should know, plain text.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        OutputError: if the file cannot be written.
        ShapeError: if the shapes do not fit each other or the scale, or there is no review.
        DataError: if a rating is not finite, or a row is not a probability distribution.
    """
    truth, checked = check_probabilities(ratings, probabilities, contest.scale)
    sections = [
        _header(title, contest),
        _tiles(contest),
        _contest_table(contest),
        _laid_out([*_figures(contest, truth, checked, learning_curve or ()), *_data(data_report_lines)]),
        _notes(notes),
    ]
    write_page(Path(path), page(title, "\n".join(section for section in sections if section)))


# -- sections, each HTML ----------------------------------------------------------------------------------------------


def _header(title: str, contest: Contest) -> str:
    outcome = contest.outcome
    reviews = contest.model.metrics.reviews
    judged = f"{reviews:,} {contest.judged_on} {'review' if reviews == 1 else 'reviews'}"
    return (
        f'<header><p class="eyebrow">ratecast report · {judged}'
        f" · ratings {escape(contest.scale.describe())}</p>\n<h1>{escape(title)}</h1></header>\n"
        f'<section class="card verdict {outcome}" aria-label="Verdict"><strong>{_HEADLINES[outcome]}</strong>'
        f"<p>{escape(contest.verdict())}</p></section>"
    )


def _tiles(contest: Contest) -> str:
    shown = [name for name in _TILES if name in contest.columns()][:6]
    tiles = [
        f"<div><dt>{METRICS[name].label}</dt><dd>{_value(contest, contest.model, name)}"
        f"<small>{contest.interval_text(contest.model, name)}</small></dd></div>"
        for name in shown
    ]
    return f'<dl class="tiles" aria-label="{escape(contest.model.name)}, with 95 % intervals">{"".join(tiles)}</dl>'


def _contest_table(contest: Contest) -> str:
    timed = any(entry.seconds is not None for entry in contest.entries)
    names = contest.columns()
    head = ['<th scope="col">Model</th>']
    for name in names:
        info = METRICS[name]
        title = f"{info.explanation}; {info.better} is better"
        head.append(f'<th scope="col"><abbr title="{escape(title)}" style="text-decoration:none">{info.label}</abbr></th>')
        if name == "rmse":
            head.append('<th scope="col"><span class="hidden">RMSE with its interval, drawn</span></th>')
    head.extend(['<th scope="col">Seconds</th>'] if timed else [])
    rows = "\n".join(_contest_row(contest, entry, names, timed) for entry in contest.entries)
    terms = "".join(f"<dt>{METRICS[name].label}</dt><dd>{_sentence(name)}</dd>" for name in names)
    return (
        '<section class="card" aria-labelledby="contest"><h2 id="contest">The model beside its baselines</h2>\n'
        f"<p>All on the same {contest.judged_on} reviews. The best of each column is bold; small numbers are 95 % bootstrap"
        " intervals (copies of a text count as one review in them).</p>\n"
        '<div class="scroll" role="region" aria-label="Metrics of every model, scrolls sideways" tabindex="0">\n'
        '<table class="contest"><caption class="hidden">Metrics of every model with 95 % intervals</caption>\n'
        f"<thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n"
        f"<details><summary>What the columns mean</summary><dl>{terms}</dl></details></section>"
    )


def _contest_row(contest: Contest, entry: Entry, names: Sequence[str], timed: bool) -> str:
    best = contest.best()
    cells = [f'<th scope="row">{escape(entry.name)}</th>']
    for name in names:
        value = _value(contest, entry, name)
        value = f"<b>{value}</b>" if entry.name in best[name] else value
        interval = "" if name == "mse" else contest.interval_text(entry, name)  # the square of the RMSE's
        cells.append(f"<td>{value}<small>{interval}</small></td>")
        if name == "rmse":
            cells.append(f'<td class="whisker">{_whisker(contest, entry)}</td>')
    cells.extend([f"<td>{format_seconds(entry.seconds)}</td>"] if timed else [])
    mark = ' class="model"' if entry is contest.model else ""
    return f"<tr{mark}>{''.join(cells)}</tr>"


def _whisker(contest: Contest, entry: Entry) -> str:
    """The RMSE and its interval on an axis that all rows share, with a hairline at the model's RMSE.

    The axis leaves out entries that are half as bad again as the middle one, mostly the constant one: they would squeeze the
    others into a corner. An arrow stands for them.
    """
    end = _AXIS_END * float(np.median([each.metrics.rmse for each in contest.entries]))
    ends = [(each.metrics.rmse, *each.intervals.get("rmse", ())) for each in contest.entries if each.metrics.rmse <= end]
    finite = [value for row in ends for value in row if not math.isnan(value)]
    low, span = min(finite), max(max(finite) - min(finite), 1e-9)

    def place(value: float) -> float:
        return round(float(6 + 84 * (value - low) / span), 1)

    colour = "var(--accent)" if entry is contest.model else "var(--muted)"
    drawn = f'<path d="M84 19l6 4l-6 4" fill="none" stroke="{colour}" stroke-width="2"/>'
    if entry.metrics.rmse <= end:
        left, right = entry.intervals.get("rmse", (math.nan, math.nan))
        line = "" if math.isnan(left) else f'<path d="M{place(left)} 23H{place(right)}" stroke="{colour}" stroke-width="2"/>'
        drawn = f'{line}<circle cx="{place(entry.metrics.rmse)}" cy="23" r="4" fill="{colour}"/>'
    model = min(place(contest.model.metrics.rmse), 95)
    hairline = f'<path d="M{model} 0V46" stroke="var(--line)"/>'
    return f'<svg viewBox="0 0 96 46" aria-hidden="true" focusable="false">{hairline}{drawn}</svg>'


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A card: its caption is plain text, its content HTML; ``alone`` is its layout where it has a row to itself."""

    heading: str
    caption: str
    content: str
    alone: str = "beside"
    is_wide: bool = False

    def card(self, layout: str) -> str:
        return (
            f'<figure class="card {layout}"><div><h2>{self.heading}</h2><figcaption>{escape(self.caption)}</figcaption></div>'
            f"{self.content}</figure>"
        )


def _figures(
    contest: Contest, ratings: FloatArray, probabilities: FloatArray, curve: Sequence[CurvePoint]
) -> Iterator[_Figure]:
    scale = contest.scale
    mean = expected_ratings(probabilities, scale)
    yield _Figure(
        heading="Predicted against true",
        caption=_against_caption(scale, len(ratings)),
        content=plots.predicted_against_true(ratings, mean, scale),
    )
    if not scale.is_continuous:
        yield _confusion_figure(confusion_counts(ratings, scale.mode(probabilities), scale), scale)
    yield _Figure(
        heading="Reliability",
        caption=_reliability_caption(ratings, probabilities, scale),
        content=plots.reliability_diagram(reliability(ratings, probabilities, scale)),
    )
    points = [point for point in curve if math.isfinite(point.validation_rmse)]
    if points:
        yield _curve_figure(points)


def _data(lines: Sequence[str]) -> Iterator[_Figure]:
    if lines:
        text = escape("\n".join(lines))
        pre = f'<pre role="region" aria-label="Data report" tabindex="0">{text}</pre>'
        yield _Figure(heading="The data", caption="What was read, kept and dropped.", content=pre, alone="whole")


def _laid_out(figures: Sequence[_Figure]) -> str:
    """Cards in two columns, wide ones after the narrow ones; the last narrow one takes a whole row where it is alone."""
    narrow = [figure for figure in figures if not figure.is_wide]
    layouts = ["half"] * len(narrow)
    if len(narrow) % 2:
        layouts[-1] = narrow[-1].alone
    cards = [figure.card(layout) for figure, layout in zip(narrow, layouts, strict=True)]
    return f'<div class="grid">{"".join(cards + [figure.card("whole") for figure in figures if figure.is_wide])}</div>'


def _confusion_figure(counts: IntArray, scale: RatingScale) -> _Figure:
    many = len(scale) > _MANY_LEVELS
    where = "hover over a cell for its share" if many else "the number of reviews stands below"
    return _Figure(
        heading="Confusion matrix",
        caption=(
            f"The most probable level is right for {100 * np.trace(counts) / counts.sum():.0f} % of the reviews. "
            f"Shades are shares of each row; {where}."
        ),
        content=_confusion(counts, scale),
        is_wide=many,
    )


def _curve_figure(points: Sequence[CurvePoint]) -> _Figure:
    best = min(points, key=lambda point: point.validation_rmse)
    return _Figure(
        heading="Learning curve",
        caption=f"The weights are those of step {best.step:,}, with the lowest validation RMSE: {best.validation_rmse:.3f}.",
        content=plots.learning_curve(
            [point.seconds for point in points],
            [point.training_loss for point in points],
            [point.validation_rmse for point in points],
        ),
    )


def confusion_counts(ratings: ArrayLike, predictions: ArrayLike, scale: RatingScale) -> IntArray:
    """Reviews by true and by predicted level, shape ``(level, level)``."""
    counts = np.zeros((len(scale), len(scale)), dtype=np.int64)
    np.add.at(counts, (scale.level_index(ratings), scale.level_index(predictions)), 1)
    return counts


def _confusion(counts: IntArray, scale: RatingScale) -> str:
    many = len(scale) > _MANY_LEVELS
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    head = "".join(f'<th scope="col">{label}</th>' for label in scale.labels)
    rows = [
        f'<tr><th scope="row">{label}</th>'
        + "".join(_confusion_cell(int(count), float(share), many) for count, share in zip(row, row_shares, strict=True))
        + "</tr>"
        for label, row, row_shares in zip(scale.labels, counts, shares, strict=True)
    ]
    kind = "confusion many" if many else "confusion"
    sizes = f"--cell:{_cell_height(len(scale))}px;min-width:{58 + (30 if many else 44) * len(scale)}px"
    return (
        '<div class="scroll" role="region" aria-label="Confusion matrix" tabindex="0">'
        f'<table class="{kind}" style="{sizes}">'
        '<caption class="hidden">Reviews by true level (rows) and most probable level (columns)</caption>\n'
        '<thead><tr><th rowspan="2" class="corner" scope="col">True</th>'
        f'<th colspan="{len(scale)}" scope="colgroup">Most probable level</th></tr>\n<tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell_height(levels: int) -> int:
    return min(72, max(34, 370 // levels))


def _confusion_cell(count: int, share: float, many: bool) -> str:
    if not count:
        return '<td class="none" style="--share:0">0</td>' if not many else '<td class="none" style="--share:0"></td>'
    strong = ' class="strong"' if share > _STRONG_SHARE else ""
    percent = f"{share:.0%}".replace("%", " %")
    inner = f"{count}" if many else f"{percent}<small>{count}</small>"
    return f'<td{strong} style="--share:{share:.2f}" title="{count} reviews, {percent} of the row">{inner}</td>'


def _against_caption(scale: RatingScale, reviews: int) -> str:
    if scale.is_continuous:
        drawn = "Each point is a review" if reviews <= plots.SCATTER_REVIEWS else "The darker a cell, the more reviews"
        return f"{drawn}; a perfect model would put all on the dashed line."
    return "For each true rating, the spread of the expected ratings with median and middle half; dashed is perfect."


def _reliability_caption(ratings: FloatArray, probabilities: FloatArray, scale: RatingScale) -> str:
    confidence, correct = confidence_and_correctness(ratings, probabilities, scale)
    gap = float(confidence.mean() - correct.mean())
    tendency = "too sure of itself" if gap > 0 else "too modest"
    if abs(gap) < 0.02:
        tendency = "about as sure as it should be"
    return (
        f"The model says {100 * confidence.mean():.0f} % on average and is right in {100 * correct.mean():.0f} %: {tendency}. "
        "On the dashed line, stated probability and outcome agree; bars are 95 % intervals."
    )


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="card" aria-labelledby="notes"><h2 id="notes">Notes</h2><ul class="notes">{items}</ul></section>'


def _value(contest: Contest, entry: Entry, name: str) -> str:
    return METRICS[name].format(getattr(entry.metrics, name), contest.scale)


def _sentence(name: str) -> str:
    info = METRICS[name]
    return f"{info.explanation[0].upper()}{info.explanation[1:]}; {info.better} is better."
