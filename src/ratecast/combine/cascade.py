"""A cascade: a quick blend answers where it is sure, and the full one answers the rest."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ratecast.combine.blend import Blend
from ratecast.errors import ConfigError, ModelFolderError, ShapeError
from ratecast.scale import FloatArray, RatingScale

_FILE: Final = "cascade.json"


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """Two blends, and the doubt up to which the answer of the first one stands.

    The doubt about a review is the variance of the predicted distribution: if it is calibrated, the squared error to be
    expected of its mean. Sources: Viola and Jones 2001, "Rapid Object Detection using a Boosted Cascade of Simple Features",
    for the idea; Wang et al. 2018, "IDK Cascades", for passing on by the model's own doubt.

    Attributes:
        first: the quick blend, which reads every review.
        full: the blend that reads those passed on; its members may be among the first one's, which are not computed twice.
        threshold: the doubt above which a review is passed on, in squared rating units.
        passed_fraction: share of reviews that were passed on when it was fitted.
        first_ms: milliseconds that the first blend took for one of many reviews, on the machine that it was fitted on.
        full_ms: what the full one took besides, for one that is passed on.
    """

    first: Blend
    full: Blend
    threshold: float
    passed_fraction: float
    first_ms: float
    full_ms: float

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members, those of the first blend before the others."""
        return tuple(dict.fromkeys((*self.first.members, *self.full.members)))

    @property
    def later_members(self) -> tuple[str, ...]:
        """Names of the members that only reviews that are passed on are read by."""
        return tuple(name for name in self.full.members if name not in self.first.members)

    @property
    def mean_ms(self) -> float:
        """Milliseconds for one of many reviews, on average."""
        return self.first_ms + self.passed_fraction * self.full_ms

    def passed_on(self, first: FloatArray, scale: RatingScale) -> NDArray[np.bool_]:
        """Which reviews the full blend has to answer, shape ``(review,)``.

        Args:
            first: probabilities of the first blend, shape ``(review, level)``.
            scale: the ratings' scale.
        """
        return np.asarray(doubt(first, scale) > self.threshold)

    def apply(self, members: Mapping[str, FloatArray], scale: RatingScale) -> FloatArray:
        """Probabilities, shape ``(review, level)``, from those of all members for all reviews, by name."""
        first = self.first.apply(members)
        return np.where(self.passed_on(first, scale)[:, None], self.full.apply(members), first)

    def describe(self) -> str:
        """The cascade with its costs, for people."""
        return (
            f"{self.first.describe()} for every review ({self.first_ms:.3g} ms each); where its variance exceeds "
            f"{self.threshold:.3g} ({self.passed_fraction:.0%} of the reviews it was fitted on) {self.full.describe()} "
            f"({self.full_ms:.3g} ms more); {self.mean_ms:.3g} ms on average"
        )

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the cascade into a folder and return the names of the files written."""
        numbers = {key: getattr(self, key) for key in _NUMBERS}
        (folder / f"{name}.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        return [f"{name}.json", *self.first.save(folder, f"{name}-first"), *self.full.save(folder, f"{name}-full")]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str], scale: RatingScale) -> "Cascade":
        """The cascade that `save` wrote.

        Raises:
            ModelFolderError: if it cannot be read or was made for another scale.
        """
        try:
            own, first, full = files
            content = json.loads((folder / own).read_text(encoding="utf-8"))
            numbers = {key: float(content[key]) for key in _NUMBERS}
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ModelFolderError(f"cannot read the cascade in {folder} ({error}); compress the model again") from None
        return cls(first=Blend.load(folder, [first], scale), full=Blend.load(folder, [full], scale), **numbers)


_NUMBERS: Final = ("threshold", "passed_fraction", "first_ms", "full_ms")


def doubt(probabilities: FloatArray, scale: RatingScale) -> FloatArray:
    """Variance of each predicted distribution in squared rating units, shape ``(review,)``.

    Args:
        probabilities: shape ``(review, level)``.
        scale: the ratings' scale.
    """
    levels = np.asarray(scale.levels)
    mean = probabilities @ levels
    return np.asarray(np.maximum(probabilities @ levels**2 - mean**2, 0.0))


@dataclass(frozen=True, kw_only=True)
class Passing:
    """How many reviews have to be passed on.

    Attributes:
        threshold: the doubt above which a review is passed on, in squared rating units.
        fraction: share of the reviews that are.
        rmse: of the cascade, in rating units.
    """

    threshold: float
    fraction: float
    rmse: float


def fit_threshold(
    first: FloatArray, full: FloatArray, ratings: FloatArray, scale: RatingScale, *, most_rmse: float
) -> Passing | None:
    """The least share of reviews that has to be passed on for an RMSE, those with the most doubt first.

    The share is taken from which on the limit is kept by every larger one too, so that it does not rest on a chance dip.

    Args:
        first: probabilities of the quick blend for reviews that it was not fitted to, shape ``(review, level)``.
        full: those of the full blend.
        ratings: true ratings, shape ``(review,)``.
        scale: the ratings' scale.
        most_rmse: what the cascade's RMSE may be, in rating units.

    Returns:
        None if even passing on every review but one does not keep the limit.

    Raises:
        ShapeError: if the three do not have as many reviews.
        ConfigError: if the limit is not above 0.
    """
    if not len(first) == len(full) == len(ratings):
        raise ShapeError(f"expected as many reviews in each, found {len(first)}, {len(full)} and {len(ratings)}")
    if not most_rmse > 0:
        raise ConfigError(f"expected an RMSE above 0 as the limit, found {most_rmse}")
    doubts = doubt(first, scale)
    order = np.argsort(-doubts, kind="stable")
    gains = (scale.mean(full) - ratings)[order] ** 2 - (scale.mean(first) - ratings)[order] ** 2
    total = float(((scale.mean(first) - ratings) ** 2).sum())
    rmse = np.sqrt(np.maximum(total + np.concatenate([[0.0], np.cumsum(gains)]), 0.0) / len(ratings))
    kept = rmse <= most_rmse
    counts = np.flatnonzero(kept & np.append(np.logical_and.accumulate(kept[::-1])[::-1][1:], True))
    # Reviews with equal doubt are passed on together, so only counts at which the doubt falls can be had.
    ordered = np.append(doubts[order], -math.inf)
    for count in counts:
        if count == 0 or ordered[count] < ordered[count - 1]:
            if count == len(ratings):
                return None
            threshold = ordered[count] if count == 0 else (ordered[count] + ordered[count - 1]) / 2
            return Passing(threshold=float(threshold), fraction=count / len(ratings), rmse=float(rmse[count]))
    return None
