"""What flows through ratecast: reviews in, predictions out, each as a batch of columns."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ratecast.errors import DataError, ShapeError
from ratecast.scale import QUANTILES, FloatArray, RatingScale

StringArray = NDArray[np.object_]
"""Strings (or None where absent) as a NumPy array of objects."""

TimeArray = NDArray[np.datetime64]

_GROUPS: Final = ("numbers", "labels")  # fields of `Reviews` that hold several columns by name
_WHOLE: Final = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")


@dataclass(frozen=True, kw_only=True)
class Review:
    """One review to be rated; only the text is needed.

    Attributes:
        rating: the rating that it came with, if any; no prediction depends on it, but people are shown where the two disagree.
        time: when it was written; without a zone in UTC.
        columns: values of further columns that the model uses, by name.
    """

    text: str
    id: str | None = None
    title: str | None = None
    item: str | None = None
    user: str | None = None
    category: str | None = None
    rating: float | None = None
    time: datetime | None = None
    columns: Mapping[str, str | float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """A batch of reviews, one array for each column, all of shape ``(review,)``.

    Attributes:
        text: the review's own words, without the title.
        id: what names the review in the user's table; row numbers by default.
        rating: ratings in units of the scale, NaN where a review has none; None if no review has one.
        title, item, user, category: strings, None where absent.
        time: when the review was written, NaT where unknown.
        weight: how much each review counts in training, 0 or more; None if all count the same.
        numbers: further numeric columns by name, NaN where a review has no value.
        labels: further columns of categories by name, None where a review has no value.
        split: the part ("train", "validation" or "test") that the user assigned each review to.

    Raises:
        ShapeError: if two columns differ in length.
    """

    text: StringArray
    id: StringArray = field(default_factory=lambda: np.empty(0, dtype=object))
    rating: FloatArray | None = None
    title: StringArray | None = None
    item: StringArray | None = None
    user: StringArray | None = None
    category: StringArray | None = None
    time: TimeArray | None = None
    weight: FloatArray | None = None
    numbers: Mapping[str, FloatArray] = field(default_factory=dict)
    labels: Mapping[str, StringArray] = field(default_factory=dict)
    split: StringArray | None = None

    def __post_init__(self) -> None:
        if not len(self.id):
            object.__setattr__(self, "id", strings(str(row) for row in range(len(self.text))))
        for name, column in self._columns():
            if column.shape != (len(self.text),):
                raise ShapeError(f"the column {name!r} has the shape {column.shape}, the texts have ({len(self.text)},)")

    @classmethod
    def from_texts(cls, texts: Sequence[str], ratings: ArrayLike | None = None, weights: ArrayLike | None = None) -> "Reviews":
        """Reviews of bare texts, with their ratings and sample weights if there are any.

        Raises:
            DataError: if a text is not a string.
            ShapeError: if there are not as many ratings or weights as texts.
        """
        if isinstance(texts, str):
            raise DataError("expected a list of texts, found one string; put it into a list")
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"text {row} is of type {type(text).__name__}; expected a string")
        rating = None if ratings is None else np.asarray(ratings, dtype=np.float64)
        weight = None if weights is None else np.asarray(weights, dtype=np.float64)
        return cls(text=strings(map(whole_text, texts)), rating=rating, weight=weight)

    @classmethod
    def from_reviews(cls, reviews: Sequence[Review]) -> "Reviews":
        """Batch of single reviews; a column that no review fills stays None."""
        columns: dict[str, Any] = {"text": strings(whole_text(review.text) for review in reviews)}
        for name in ("title", "item", "user", "category"):
            cells = (getattr(review, name) for review in reviews)
            column = strings(cell and whole_text(cell) for cell in cells)
            if any(value is not None for value in column):
                columns[name] = column
        if any(review.rating is not None for review in reviews):
            columns["rating"] = np.array([review.rating for review in reviews], dtype=np.float64)
        if any(review.time is not None for review in reviews):
            columns["time"] = np.array([_as_utc(review.time) for review in reviews], dtype="datetime64[us]")
        ids = strings(str(row) if review.id is None else review.id for row, review in enumerate(reviews))
        names = dict.fromkeys(name for review in reviews for name in review.columns)
        labels = {name: strings(as_label(review.columns.get(name)) for review in reviews) for name in names}
        # Only the model knows whether it reads a column as categories or as numbers, so it finds both.
        numbers = {name: np.array([_as_number(label) for label in column]) for name, column in labels.items()}
        return cls(id=ids, labels=labels, numbers=numbers, **columns)

    def __len__(self) -> int:
        return len(self.text)

    def single(self) -> list[Review]:
        """The reviews one by one, of which `from_reviews` makes a batch again."""
        given: dict[str, list[Any]] = {"text": list(self.text), "id": list(self.id)}
        for name in ("title", "item", "user", "category"):
            if (column := getattr(self, name)) is not None:
                given[name] = list(column)
        if self.rating is not None:
            given["rating"] = [None if np.isnan(rating) else float(rating) for rating in self.rating]
        if self.time is not None:
            times = self.time.astype("datetime64[us]").tolist()
            given["time"] = [time if isinstance(time, datetime) else None for time in times]  # none of the year 12000
        further = {name: column.tolist() for name, column in (*self.numbers.items(), *self.labels.items())}
        given["columns"] = [{name: cells[row] for name, cells in further.items()} for row in range(len(self))]
        return [Review(**dict(zip(given, values, strict=True))) for values in zip(*given.values(), strict=True)]

    def take(self, rows: ArrayLike) -> "Reviews":
        """The reviews at the given row numbers (or where a boolean mask is true), in that order."""
        chosen = np.asarray(rows)
        if chosen.dtype != np.bool_:
            chosen = chosen.astype(np.int64)
        columns: dict[str, Any] = {name: column[chosen] for name, column in self._columns() if "." not in name}
        for group in _GROUPS:
            columns[group] = {name: column[chosen] for name, column in getattr(self, group).items()}
        return Reviews(**columns)

    def rated(self) -> FloatArray:
        """The ratings.

        Raises:
            DataError: if a review has none.
        """
        if self.rating is None or np.isnan(self.rating).any():
            raise DataError("expected a rating for every review, found reviews without one")
        return self.rating

    def joined(self) -> list[str]:
        """What the model reads of each review: the title, if there is one, on a line before the text."""
        if self.title is None:
            return list(self.text)
        return [f"{title}\n{text}" if title else text for title, text in zip(self.title, self.text, strict=True)]

    def _columns(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for part in fields(self):
            value = getattr(self, part.name)
            if part.name in _GROUPS:
                yield from ((f"{part.name}.{name}", column) for name, column in value.items())
            elif value is not None:
                yield part.name, value


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one review.

    Attributes:
        rating: the rating for the metric that counts; by default the expected rating, which minimises squared error.
        median: median rating, which minimises absolute error.
        mode: most probable level.
        probabilities: probability of each level by the level's value; they sum to one.
        id: the review's id, if it had one.
        interval: lowest and highest rating of a prediction interval, if the model has intervals.
        warnings: what to know before trusting this prediction ("the middle of the text was left out").
        passed_on: whether the first model of a cascade was in doubt, so that the full one answered; None without a cascade.
    """

    rating: float
    median: float
    mode: float
    probabilities: Mapping[float, float]
    id: str | None = None
    interval: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    passed_on: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Predictions(Sequence[Prediction]):
    """A batch of predictions; behaves like a list of `Prediction` and gives each quantity as an array.

    Attributes:
        probabilities: shape ``(review, level)``, each row summing to one.
        scale: the scale whose levels they belong to.
        id: the reviews' ids, shape ``(review,)``.
        interval: shape ``(review, 2)``, if the model has intervals.
        warnings: for each review what to know before trusting its prediction.
        decided: ratings for the metric that counts, shape ``(review,)``; the expected ratings if None.
        passed_on: whether the full model of a cascade answered each review, shape ``(review,)``; None without a cascade.
    """

    probabilities: FloatArray
    scale: RatingScale
    id: StringArray | None = None
    interval: FloatArray | None = None
    warnings: tuple[tuple[str, ...], ...] | None = None
    decided: FloatArray | None = None
    passed_on: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 2 or self.probabilities.shape[1] != len(self.scale):
            raise ShapeError(f"expected probabilities of shape (review, {len(self.scale)}), found {self.probabilities.shape}")
        if self.interval is not None and self.interval.shape != (len(self.probabilities), 2):
            raise ShapeError(f"expected intervals of shape ({len(self.probabilities)}, 2), found {self.interval.shape}")

    @property
    def rating(self) -> FloatArray:
        """Ratings for the metric that counts, by default the expected ratings; shape ``(review,)``."""
        return self.scale.mean(self.probabilities) if self.decided is None else self.decided

    @property
    def median(self) -> FloatArray:
        """Median ratings, shape ``(review,)``."""
        return self.scale.median(self.probabilities)

    @property
    def mode(self) -> FloatArray:
        """Most probable levels, shape ``(review,)``."""
        return self.scale.mode(self.probabilities)

    @classmethod
    def from_predictions(cls, predictions: Sequence[Prediction], scale: RatingScale) -> "Predictions":
        """Batch of one model's single predictions, which keep their order.

        Args:
            predictions: at least one; either all or none of them have an interval, and are of a cascade.
            scale: the model's scale.
        """
        first = predictions[0]
        return cls(
            probabilities=np.array([[one.probabilities[level] for level in scale.levels] for one in predictions]),
            scale=scale,
            id=None if first.id is None else strings(one.id for one in predictions),
            interval=None if first.interval is None else np.array([one.interval for one in predictions], dtype=np.float64),
            warnings=tuple(one.warnings for one in predictions),
            decided=np.array([one.rating for one in predictions]),
            passed_on=None if first.passed_on is None else np.array([one.passed_on for one in predictions], dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            rows = range(len(self))[index]
            return [self[row] for row in rows]
        row = range(len(self))[index]
        probabilities = self.probabilities[row : row + 1]
        return Prediction(
            rating=float(self.rating[row]) if self.decided is not None else float(self.scale.mean(probabilities)[0]),
            median=float(self.scale.median(probabilities)[0]),
            mode=float(self.scale.mode(probabilities)[0]),
            probabilities=dict(zip(self.scale.levels, map(float, probabilities[0]), strict=True)),
            id=None if self.id is None else self.id[row],
            interval=None if self.interval is None else (float(self.interval[row, 0]), float(self.interval[row, 1])),
            warnings=() if self.warnings is None else self.warnings[row],
            passed_on=None if self.passed_on is None else bool(self.passed_on[row]),
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns that prediction adds to a table, by name, each of shape ``(review,)``.

        ``predicted_rating``, ``predicted_median``, ``predicted_mode``; ``predicted_low`` and ``predicted_high`` if the model
        has intervals; ``passed_on`` (true or false) if it is a cascade; and, for each level, ``p_<level>``; on a continuous
        scale quantile columns ``q_<percent>`` in place of the levels' probabilities.
        """
        found: dict[str, NDArray[Any]] = {
            "predicted_rating": self.rating,
            "predicted_median": self.median,
            "predicted_mode": self.mode,
        }
        if self.interval is not None:
            found |= {"predicted_low": self.interval[:, 0], "predicted_high": self.interval[:, 1]}
        if self.passed_on is not None:
            found["passed_on"] = self.passed_on
        if self.scale.is_continuous:
            quantiles = self.scale.quantiles(self.probabilities, QUANTILES)
            return found | {f"q_{fraction * 100:g}": quantiles[:, index] for index, fraction in enumerate(QUANTILES)}
        return found | {f"p_{label}": self.probabilities[:, index] for index, label in enumerate(self.scale.labels)}


def as_label(value: object) -> str | None:
    """The category that a value names, whether it was stored as a text, a number or a boolean; None if there is none.

    Example:
        >>> as_label(" Books "), as_label(2.0), as_label("2.0"), as_label(True), as_label(float("nan"))
        ('Books', '2', '2', 'true', None)
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return None
    text = str(value).strip()
    if text.lower() in {"true", "false"}:
        return text.lower()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text or None


def _as_utc(time: datetime | None) -> datetime | None:
    """The time in UTC, without its zone, as arrays hold it."""
    return time if time is None or time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)


def _as_number(label: str | None) -> float:
    try:
        return float(label or "nan")
    except ValueError:
        return float("nan")


def whole_text(text: str) -> str:
    """The text with U+FFFD in place of half a surrogate pair, which no encoding can hold; two halves become their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def strings(values: Any) -> StringArray:
    """Array of Python strings (or None), shape ``(review,)``, from any iterable of them."""
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
