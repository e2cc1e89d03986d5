"""What goes into the store."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from ratecast.errors import DataError
from ratecast.records import Prediction, Review, whole_text


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class _Entry:
    """Makes texts storable: PostgreSQL takes no zero character, and no encoding half of a surrogate pair."""

    def __post_init__(self) -> None:
        plain: Any = self
        for part in fields(plain):
            value = getattr(self, part.name)
            if isinstance(value, str):
                object.__setattr__(self, part.name, storable(value))


def storable(text: str) -> str:
    """The text with U+FFFD in place of what databases cannot hold."""
    return whole_text(text).replace("\0", "\ufffd")


@dataclass(frozen=True, kw_only=True)
class StoredPrediction(_Entry):
    """A prediction with the review that it is of.

    Attributes:
        id: names the prediction; feedback refers to it.
        model, version: what predicted.
        rating: the predicted rating.
        probabilities: probability of each level by the level's value.
        interval: lowest and highest rating, if the model has intervals.
        stars: the rating that the review came with, if any.
        user: who wrote the review, as given; deletion finds it by the same text.
        flag: why a person should read it whatever the model says, in words ("harmful").
        shadow: whether it was made beside the one that was answered; its id is then that one's with ``~`` and its version.
        time: that of the review, or of the prediction where the review has none.
        kept: that of the prediction, by which it is deleted when it has been kept long enough.
    """

    id: str
    model: str
    version: str
    rating: float
    probabilities: Mapping[float, float]
    interval: tuple[float, float] | None = None
    text: str | None = None
    title: str | None = None
    item: str | None = None
    user: str | None = None
    stars: float | None = None
    flag: str | None = None
    shadow: bool = False
    time: datetime = field(default_factory=now)
    kept: datetime = field(default_factory=now)

    @property
    def answered_id(self) -> str:
        """Its id, or that of the answered prediction beside which it was made."""
        return self.id.partition("~")[0] if self.shadow else self.id

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        review: Review,
        *,
        id: str,  # noqa: A002 - the field's name
        model: str,
        version: str,
        flag: str | None = None,
        shadow: bool = False,
    ) -> "StoredPrediction":
        """What a model said of a review; its time is the review's, or now."""
        return cls(
            id=id,
            model=model,
            version=version,
            rating=prediction.rating,
            probabilities=prediction.probabilities,
            interval=prediction.interval,
            text=review.text,
            title=review.title,
            item=review.item,
            user=review.user,
            stars=review.rating,
            flag=flag,
            shadow=shadow,
            time=review.time or now(),
        )


@dataclass(frozen=True, kw_only=True)
class Feedback(_Entry):
    """The rating that turned out to be right for a prediction.

    Attributes:
        source: where it comes from ("shop", the name of an API key).

    Raises:
        DataError: if the rating is not finite.
    """

    prediction_id: str
    rating: float
    source: str = ""
    time: datetime = field(default_factory=now)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.rating):
            raise DataError(f"the rating of feedback must be a finite number, found {self.rating}")


@dataclass(frozen=True, kw_only=True)
class Decision(_Entry):
    """What a person decided about a prediction in the queue.

    Attributes:
        reviewer: who decided.
        verdict: "accept" for a prediction that is right, "correct" for one that is not.
        rating: the right rating, of a correction.

    Raises:
        DataError: if a correction has no finite rating, an acceptance has one, or nobody is named.
    """

    prediction_id: str
    reviewer: str
    verdict: Literal["accept", "correct"]
    rating: float | None = None
    note: str = ""
    time: datetime = field(default_factory=now)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.verdict not in {"accept", "correct"}:
            raise DataError(f"a decision is accept or correct, found {self.verdict!r}")
        if self.verdict == "correct" and (self.rating is None or not math.isfinite(self.rating)):
            raise DataError(f"a correction needs a finite rating, found {self.rating}")
        if self.verdict == "accept" and self.rating is not None:
            raise DataError(f"an accepted prediction keeps its rating, found the rating {self.rating}; decide to correct it")
        if not self.reviewer.strip():
            raise DataError("a decision needs the name of who decided, found none")
