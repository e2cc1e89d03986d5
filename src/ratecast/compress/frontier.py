"""The frontier of what a model can be reduced to: its error against the time that a review takes."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ratecast.combine.blend import Blend, fit_blend
from ratecast.combine.cascade import Cascade, fit_threshold
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale

LOSSES: Final = (-0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.03, 0.05)
"""Losses that cascades are made for, besides the one asked for."""
_QUICKER: Final = 0.5
"""The first blend of a cascade takes at most this share of the time of the full one; else there is little to gain."""
_LEAST_SAVED: Final = 0.1
"""Share of the full blend's time that a cascade has to save; one that passes nearly every review on is two models for one."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A member that a reduced model may have, measured.

    Attributes:
        name: what tables call it.
        probabilities: of the held-out reviews by a model that did not learn from them, shape ``(review, level)``.
        batch_ms: milliseconds for one of many reviews.
        single_ms: median milliseconds for one review by itself.
        megabytes: size of its files, in 10^6 bytes.
        is_neural: whether it is an exported network; a reduced model has one of these at most in each of its blends.
    """

    name: str
    probabilities: FloatArray
    batch_ms: float
    single_ms: float
    megabytes: float
    is_neural: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """A reduced model.

    Attributes:
        answer: the blend, or the cascade of two.
        probabilities: of the held-out reviews, by blends fitted without the review, shape ``(review, level)``.
        squared_errors: of the expected ratings, in squared rating units, shape ``(review,)``.
        batch_ms: milliseconds for one of many reviews, on average.
        single_ms: median milliseconds for one review by itself.
        slowest_ms: the same for a review that takes all of the model.
        megabytes: size of its members, in 10^6 bytes.
    """

    answer: Blend | Cascade
    probabilities: FloatArray
    squared_errors: FloatArray
    batch_ms: float
    single_ms: float
    slowest_ms: float
    megabytes: float

    @property
    def rmse(self) -> float:
        """On the held-out reviews, in rating units."""
        return math.sqrt(float(self.squared_errors.mean()))

    def loss(self, whole: "Point") -> float:
        """How much higher its RMSE is than that of the whole model, as a share of that."""
        return self.rmse / whole.rmse - 1

    def loss_error(self, whole: "Point") -> float:
        """Standard error of `loss`, from the squared errors of the same reviews (delta method for the ratio of two means)."""
        shares = self.squared_errors / self.squared_errors.mean() - whole.squared_errors / whole.squared_errors.mean()
        return float(self.rmse / whole.rmse / 2 * shares.std() / math.sqrt(len(shares)))

    @property
    def name(self) -> str:
        """What tables call it."""
        if isinstance(self.answer, Blend):
            return " + ".join(self.answer.members)
        first, full = " + ".join(self.answer.first.members), " + ".join(self.answer.full.members)
        return f"{first}, {self.answer.passed_fraction:.0%} passed on to {full}"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a reduced model has to keep to.

    Attributes:
        max_loss: how much higher than the whole model's its RMSE may be, as a share of that; None for any. The loss and its
            standard error together have to keep to it (the one-standard-error rule, Breiman et al. 1984), since the lowest
            of many measured losses is too low by chance.
        target_ms: how long it may take for one review by itself, in the median; None for any.
    """

    max_loss: float | None = None
    target_ms: float | None = None

    def describe(self) -> list[str]:
        """The limits in words, for people."""
        found = [] if self.max_loss is None else [f"at most {100 * self.max_loss:g} % more RMSE"]
        return found + ([] if self.target_ms is None else [f"at most {self.target_ms:g} ms for one review"])

    def keeps(self, point: Point, whole: Point) -> bool:
        """Whether a reduced model keeps to them."""
        return (self.max_loss is None or point.loss(whole) + point.loss_error(whole) <= self.max_loss) and (
            self.target_ms is None or point.single_ms <= self.target_ms
        )


def blended(parts: Mapping[str, Part], names: Sequence[str], held_out: Reviews, scale: RatingScale, *, seed: int = 0) -> Point:
    """The model that pools some parts; what gets no weight is not in it.

    Args:
        parts: all parts by name.
        names: those that are pooled.
        held_out: rated reviews that the parts' probabilities are of.
        scale: the ratings' scale.
        seed: decides the folds that the blend is cross-validated in.
    """
    ratings = held_out.rated()
    members = {name: parts[name].probabilities for name in names}
    fitted = fit_blend(members, ratings, scale, weights=held_out.weight, choose=False, seed=seed)
    used = [parts[name] for name in fitted.blend.members]
    single = sum(part.single_ms for part in used)
    return Point(
        answer=fitted.blend,
        probabilities=fitted.out_of_fold,
        squared_errors=_squared_errors(fitted.out_of_fold, ratings, scale),
        batch_ms=sum(part.batch_ms for part in used),
        single_ms=single,
        slowest_ms=single,
        megabytes=sum(part.megabytes for part in used),
    )


def choices(parts: Mapping[str, Part], *, is_blended: bool = True) -> Iterator[tuple[str, ...]]:
    """Every set of parts with at most one network, the small sets first; each part by itself where nothing is to be blended."""
    if not is_blended:
        yield from ((name,) for name in parts)
        return
    networks = [None, *(name for name, part in parts.items() if part.is_neural)]
    others = [name for name, part in parts.items() if not part.is_neural]
    for size in range(len(others) + 1):
        for network, chosen in itertools.product(networks, itertools.combinations(others, size)):
            if network is not None or chosen:
                yield (*(() if network is None else (network,)), *chosen)


def cascades(
    points: Sequence[Point],
    parts: Mapping[str, Part],
    held_out: Reviews,
    scale: RatingScale,
    *,
    most_rmse: Sequence[float],
) -> Iterator[Point]:
    """Cascades of two of the models on the frontier, each passing on as few reviews as a limit of its RMSE allows.

    Those that save little of the full model's time are left out.

    Args:
        points: blends.
        parts: all parts by name.
        held_out: rated reviews that the points' probabilities are of.
        scale: the ratings' scale.
        most_rmse: limits, in rating units.
    """
    ratings = held_out.rated()
    best = frontier([point for point in points if isinstance(point.answer, Blend)])
    for first, full in itertools.permutations(best, 2):
        if (
            first.batch_ms > _QUICKER * full.batch_ms
            or not isinstance(first.answer, Blend)
            or not isinstance(full.answer, Blend)
        ):
            continue
        for limit in most_rmse:
            passing = fit_threshold(first.probabilities, full.probabilities, ratings, scale, most_rmse=limit)
            if passing is None or passing.fraction == 0:
                continue
            later = [parts[name] for name in full.answer.members if name not in first.answer.members]
            cascade = Cascade(
                first=first.answer,
                full=full.answer,
                threshold=passing.threshold,
                passed_fraction=passing.fraction,
                first_ms=first.batch_ms,
                full_ms=sum(part.batch_ms for part in later),
            )
            if cascade.mean_ms > (1 - _LEAST_SAVED) * full.batch_ms:
                continue
            slowest = first.single_ms + sum(part.single_ms for part in later)
            passed = cascade.passed_on(first.probabilities, scale)
            yield Point(
                answer=cascade,
                probabilities=np.where(passed[:, None], full.probabilities, first.probabilities),
                squared_errors=np.where(passed, full.squared_errors, first.squared_errors),
                batch_ms=cascade.mean_ms,
                single_ms=slowest if passing.fraction >= 0.5 else first.single_ms,
                slowest_ms=slowest,
                megabytes=first.megabytes + sum(part.megabytes for part in later),
            )


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both error and time for one of many reviews, the quickest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.batch_ms, point.rmse)):
        if not found or point.rmse < found[-1].rmse:
            found.append(point)
    return found


def choose(points: Sequence[Point], whole: Point, limits: Limits) -> Point | None:
    """The point that a user means: of those within the limits the quickest, or the best where only the time is limited.

    Args:
        points: reduced models.
        whole: the model as it was.
        limits: what has to be kept to.

    Returns:
        None if nothing keeps to the limits.
    """
    kept = [point for point in points if limits.keeps(point, whole)]
    if limits.max_loss is None:
        return min(kept, key=lambda point: (point.rmse, point.batch_ms), default=None)
    return min(kept, key=lambda point: (point.batch_ms, point.rmse), default=None)


def closest(points: Sequence[Point], whole: Point, limits: Limits) -> Point:
    """The point that misses the limits by the least: by the sum of its relative excesses over them."""

    def excess(point: Point) -> float:
        over = 0.0
        if limits.max_loss is not None:
            over += max(0.0, point.loss(whole) + point.loss_error(whole) - limits.max_loss)
        if limits.target_ms is not None:
            over += max(0.0, point.single_ms / limits.target_ms - 1)
        return over

    return min(points, key=lambda point: (excess(point), point.rmse))


def _squared_errors(probabilities: FloatArray, ratings: FloatArray, scale: RatingScale) -> FloatArray:
    return np.asarray((scale.mean(probabilities) - ratings) ** 2)
