"""What was tried to make a model smaller, as lines, as an HTML page and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ratecast.combine.cascade import Cascade
from ratecast.compress.frontier import Limits, Part, Point, frontier
from ratecast.evaluate import plots
from ratecast.evaluate.page import page

HEADER = ("Model", "RMSE", "Loss", "Reviews/s", "One review, ms", "MB")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was tried, and what of it was chosen.

    Attributes:
        parts: members, each by itself.
        points: all combinations that were tried.
        whole: the model as it was.
        limits: what had to be kept to.
        chosen: the point that is written; None if none keeps to the limits.
        closest: the one that misses them by the least, where none keeps to them.
        reviews: number of validation reviews that all were measured on.
    """

    parts: Sequence[Part]
    points: Sequence[Point]
    whole: Point
    limits: Limits
    chosen: Point | None
    closest: Point | None
    reviews: int

    @property
    def best(self) -> list[Point]:
        """The points that no other one beats in both error and time, the quickest first."""
        return frontier(self.points)

    def lines(self) -> list[str]:
        """The frontier as a table of plain text, with the whole model and what was chosen."""
        rows = [HEADER, *(self._cells(point) for point in self._shown())]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
        found = [f"{len(self.points):,} combinations of {len(self.parts)} members, on {self.reviews:,} validation reviews:"]
        for row in rows:
            numbers = "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            found.append(f"  {numbers}  {row[0]}")
        return found

    def verdict(self) -> str:
        """What was chosen, in a sentence or two of plain text."""
        if self.chosen is None:
            return self.unmet()
        faster, loss = self.whole.batch_ms / self.chosen.batch_ms, self._loss(self.chosen)
        return (
            f"{_sentence(self.chosen.name)}: {faster:.1f} times as many reviews a second as the whole model, {loss} RMSE on "
            f"the validation reviews, {self.chosen.single_ms:.3g} ms for one review."
        )

    def unmet(self) -> str:
        """What comes closest, where nothing keeps to the limits."""
        best = self.closest or self.whole
        asked = " and ".join(self.limits.describe())
        return (
            f"nothing keeps to {asked}; closest is {best.name}, with {self._loss(best)} RMSE on the validation reviews and "
            f"{best.single_ms:.3g} ms for one review"
        )

    def to_json(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        return {
            "limits": {"max_loss": self.limits.max_loss, "target_ms": self.limits.target_ms},
            "validation_reviews": self.reviews,
            "combinations": len(self.points),
            "whole": self._values(self.whole),
            "chosen": None if self.chosen is None else self._values(self.chosen),
            "frontier": [self._values(point) for point in self.best],
            "members": [
                {"name": part.name, "batch_ms": part.batch_ms, "single_ms": part.single_ms, "megabytes": part.megabytes}
                for part in self.parts
            ],
        }

    def to_html(self) -> str:
        """The findings as a self-contained page: no scripts, nothing loaded from elsewhere.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        outcome = "unclear" if self.chosen is None else "better"
        limits = f"Asked for: {' and '.join(self.limits.describe())}."
        figure = plots.frontier(
            [point.batch_ms for point in self.points],
            [point.rmse for point in self.points],
            best=[(point.batch_ms, point.rmse) for point in self.best],
            whole=(self.whole.batch_ms, self.whole.rmse),
            chosen=None if self.chosen is None else (self.chosen.batch_ms, self.chosen.rmse),
            most_rmse=None if self.limits.max_loss is None else (1 + self.limits.max_loss) * self.whole.rmse,
        )
        body = (
            f'<header><p class="eyebrow">ratecast compression · {len(self.points):,} combinations</p>\n'
            "<h1>Error against time</h1></header>\n"
            f'<section class="card verdict {outcome}" aria-label="Verdict"><strong>{escape(limits)}</strong>'
            f"<p>{escape(self.verdict())}</p></section>\n"
            f'<section class="card"><h2>The frontier</h2><p>Each point is a combination of members, on {self.reviews:,} '
            "validation reviews: its RMSE, and the time that one of many reviews takes on this machine. The line joins those "
            f"that no other one beats in both.</p>{figure}</section>\n{self._table()}"
        )
        return page("Error against time", body)

    def _table(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in HEADER)
        rows = "\n".join(self._row(point) for point in self._shown())
        return (
            '<section class="card"><h2>The frontier in numbers</h2>\n'
            "<p>The quickest first; what was chosen is marked. A loss and its standard error "
            "together have to keep to the limit. The time for one review is that of its median; a review that a "
            "cascade passes on takes that of the second blend besides.</p>\n"
            '<div class="scroll" role="region" aria-label="The frontier, scrolls sideways" tabindex="0">\n'
            f'<table class="contest"><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>'
        )

    def _row(self, point: Point) -> str:
        name, *cells = map(escape, self._cells(point))
        mark = ' class="model"' if point is self.chosen else ""
        return f'<tr{mark}><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'

    def _shown(self) -> list[Point]:
        """The frontier with the whole model and what was chosen, the quickest first."""
        found = [point for point in self.best if point.name != self.whole.name]
        found += [point for point in (self.chosen,) if point is not None and point is not self.whole and point not in found]
        return sorted([*found, self.whole], key=lambda point: point.batch_ms)

    def _cells(self, point: Point) -> tuple[str, ...]:
        marks = [mark for mark, other in (("the whole model", self.whole), ("chosen", self.chosen)) if point is other]
        return (
            f"{point.name} ({', '.join(marks)})" if marks else point.name,
            f"{point.rmse:.3f}",
            self._loss(point),
            f"{1000 / point.batch_ms:,.0f}",
            f"{point.single_ms:.3g}",
            f"{point.megabytes:,.1f}",
        )

    def _values(self, point: Point) -> dict[str, Any]:
        return {
            "name": point.name,
            "is_cascade": isinstance(point.answer, Cascade),
            "rmse": point.rmse,
            "loss": point.loss(self.whole),
            "loss_error": point.loss_error(self.whole),
            "batch_ms": point.batch_ms,
            "single_ms": point.single_ms,
            "slowest_ms": point.slowest_ms,
            "megabytes": point.megabytes,
        }

    def _loss(self, point: Point) -> str:
        loss, error = 100 * point.loss(self.whole), 100 * point.loss_error(self.whole)
        return f"{loss:+.1f} ± {error:.1f} %" if error > 0 else f"{loss:+.1f} %"


def _sentence(name: str) -> str:
    return name[:1].upper() + name[1:]
