"""What other columns than the text say about the rating: who wrote a review, of what kind the item is, how helpful it was.

Each value of a column has an effect, which moves the distribution that the text gave up or down (see `tilt`). Effects are
shrunken towards zero like random effects, the more the fewer reviews they rest on (Robinson 1991, "That BLUP is a good thing:
the estimation of random effects"), so that a user with one review moves little and an unknown one not at all.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ratecast.baseline.linear import relative_weights
from ratecast.combine.encoding import NO_EFFECT, Encoding, find_encoding
from ratecast.combine.tilt import TiltTask, fit_tilt, tilted
from ratecast.data.used import Kind
from ratecast.errors import ModelFolderError, require
from ratecast.records import Reviews
from ratecast.scale import FloatArray, IntArray, RatingScale

PENALTIES: Final = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""Penalties that are tried for each column, strong ones first: reciprocals of the variance that its effects have."""

RIDGE: Final = 0.1
"""Effects of neighbouring ranges are drawn to each other, and by this share of the penalty to zero."""

STANDARD_ERRORS: Final = 1.64
"""A column stays if it lowers the validation loss by more than so many standard errors: useless ones do in 5 of 100 cases."""

_START: Final = 10.0
_PASSES: Final = 2
_LEAST_GAIN: Final = 1e-4
"""Share of the loss that a column must lower it by: a column of one value lowers it by what rounding leaves."""
_LEAST: Final = 1e-12  # probabilities below it are taken for it, so that logarithms are finite


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects of columns on the rating; SciPy is needed to fit them and not to use them.

    Saved as ``<name>.json``.

    Attributes:
        scale: the scale whose levels have probabilities.
        values: levels standardised by the training ratings (mean 0, standard deviation 1), shape ``(level,)``.
        intercept: the shift that all reviews share.
        encodings: which effect belongs to a review, for each column.
        effects: of each column, shape ``(len(encoding),)``.
        penalties: of each column, as chosen on the validation reviews.
        rating_per_shift: how far a small shift of 1 moves the expected rating on average, in units of the scale.
    """

    scale: RatingScale
    values: FloatArray
    intercept: float
    encodings: tuple[Encoding, ...]
    effects: tuple[FloatArray, ...]
    penalties: tuple[float, ...]
    rating_per_shift: float

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each used column holds; `load_reviews` takes it as ``used``."""
        return {encoding.name: encoding.kind for encoding in self.encodings}

    def apply(self, probabilities: FloatArray, reviews: Reviews) -> FloatArray:
        """What the text and the columns say together.

        Args:
            probabilities: what the text says, shape ``(review, level)``.
            reviews: whose columns are read; a column that they lack counts as missing.

        Returns:
            Shape ``(review, level)``, each row summing to one.
        """
        return self.moved(probabilities, [encoding.positions(reviews) for encoding in self.encodings])

    def moved(self, probabilities: FloatArray, positions: Sequence[IntArray]) -> FloatArray:
        """As `apply`, with the position of each review's effect given for each column, shape ``(review,)`` each."""
        shifts = np.full(len(probabilities), self.intercept)
        for effects, found in zip(self.effects, positions, strict=True):
            shifts += np.append(effects, 0.0)[found]  # `NO_EFFECT` is the last position
        return tilted(probabilities, self.values, shifts)

    def describe(self) -> list[str]:
        """A line for each column: how many values it has, and how far they move the expected rating."""
        return [self._line(*column) for column in zip(self.encodings, self.effects, self.penalties, strict=True)]

    def _line(self, encoding: Encoding, effects: FloatArray, penalty: float) -> str:
        kind = f"{len(encoding):,} values" if encoding.kind == "label" else f"number in {len(encoding) - 1} ranges"
        harsh, lenient = int(effects.argmin()), int(effects.argmax())
        ends = [f"{effects[end] * self.rating_per_shift:+.2f} ({encoding.describe(end)})" for end in (harsh, lenient)]
        return f"{encoding.name}: {kind}, penalty {penalty:g}, moves the rating by {ends[0]} to {ends[1]}"

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the effects into a folder and return the names of the files written."""
        file = f"{name}.json"
        columns = [
            {"name": one.name, "kind": one.kind, "labels": one.labels, "cuts": one.cuts, "penalty": penalty, "effects": found}
            for one, penalty, found in zip(self.encodings, self.penalties, map(np.ndarray.tolist, self.effects), strict=True)
        ]
        numbers = {"intercept": self.intercept, "rating_per_shift": self.rating_per_shift, "values": self.values.tolist()}
        (folder / file).write_text(json.dumps(numbers | {"columns": columns}, ensure_ascii=False), encoding="utf-8")
        return [file]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str], scale: RatingScale) -> "Effects":
        """The effects that `save` wrote.

        Raises:
            ModelFolderError: if their file is missing, damaged or made for another scale.
        """
        try:
            content = json.loads((folder / files[0]).read_text(encoding="utf-8"))
            columns = content["columns"]
            loaded = cls(
                scale=scale,
                values=np.array(content["values"], dtype=np.float64),
                intercept=float(content["intercept"]),
                encodings=tuple(_encoding(column) for column in columns),
                effects=tuple(np.array(column["effects"], dtype=np.float64) for column in columns),
                penalties=tuple(float(column["penalty"]) for column in columns),
                rating_per_shift=float(content["rating_per_shift"]),
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ModelFolderError(f"cannot read the effects of columns in {folder} ({error}); fit the model again") from None
        sizes = [(len(encoding),) for encoding in loaded.encodings]
        numbers = np.concatenate([loaded.values.ravel(), [loaded.intercept], *map(np.ravel, loaded.effects)])
        if loaded.values.shape != (len(scale),) or [found.shape for found in loaded.effects] != sizes:
            raise ModelFolderError(
                f"the effects of columns in {folder} do not fit the scale or their values; fit the model again"
            )
        if not np.isfinite(numbers).all():
            raise ModelFolderError(f"the effects of columns in {folder} are damaged: not all are finite; fit the model again")
        return loaded


def _encoding(column: Mapping[str, Any]) -> Encoding:
    kind = column["kind"]
    if kind not in {"label", "number"}:
        raise ValueError(f"a column of the kind {kind!r}")
    return Encoding(
        name=str(column["name"]), kind=kind, labels=tuple(map(str, column["labels"])), cuts=tuple(map(float, column["cuts"]))
    )


def fit_effects(
    train: Reviews,
    train_base: FloatArray,
    validation: Reviews,
    validation_base: FloatArray,
    scale: RatingScale,
    *,
    used: Sequence[str],
) -> Effects | None:
    """Fit the effects of columns on top of what the text says.

    Training reviews count as their weights say. Penalties are chosen on the validation reviews, which all count the same, by
    the sum of the negative log-likelihood and the squared error of the standardised rating. Columns that do not clearly lower
    it are dropped one by one.

    Args:
        train: rated reviews that the effects are estimated from; values that only others have get none.
        train_base: probabilities for them by models that did not see the same review, shape ``(review, level)``; otherwise
            the ratings are known already, and nothing is left for the columns to say.
        validation: rated reviews that decide penalties and columns.
        validation_base: probabilities for them, shape ``(review, level)``.
        scale: the ratings' scale.
        used: columns: "user", "item", "category", or names in the reviews' labels or numbers.

    Returns:
        The effects, None if no column helps.

    Raises:
        DataError: if the training reviews lack a column, or all have the weight 0.
        MissingExtraError: if SciPy is not installed.
    """
    encodings = {name: find_encoding(name, train) for name in used}
    search = _Search(encodings, (train, train_base), (validation, validation_base), scale)
    if not search.spread:
        return None
    chosen = search.tuned(dict.fromkeys(encodings, _START))
    while chosen:
        without = {name: search.losses(_without(chosen, name)) for name in chosen}
        weakest = min(without, key=lambda name: without[name].mean())
        if _is_clearly_lower(search.losses(chosen), without[weakest]):
            break
        chosen = _without(chosen, weakest)
    if not chosen:
        return None
    chosen = search.tuned(chosen)
    helps = search.losses(chosen).mean() < search.losses_of(search.validation_base).mean()
    return search.fitted(chosen) if helps else None


class _Search:
    """Fits effects with given penalties and judges them on the validation reviews."""

    def __init__(
        self,
        encodings: Mapping[str, Encoding],
        train: tuple[Reviews, FloatArray],
        validation: tuple[Reviews, FloatArray],
        scale: RatingScale,
    ) -> None:
        self.encodings, self.scale = encodings, scale
        levels = scale.level_index(train[0].rated())
        given = np.asarray(scale.levels)[levels]
        weights = None if train[0].weight is None else relative_weights(train[0].weight)
        centre = float(np.average(given, weights=weights))
        self.spread = float(np.sqrt(np.average((given - centre) ** 2, weights=weights)))
        values = (np.asarray(scale.levels) - centre) / (self.spread or 1.0)
        self.task = TiltTask(probabilities=np.maximum(train[1], _LEAST), levels=levels, values=values, weights=weights)
        self.blocks = {name: _one_hot(one.positions(train[0]), len(one)) for name, one in encodings.items()}
        self.positions = {name: one.positions(validation[0]) for name, one in encodings.items()}
        self.validation_base, self.ratings = validation[1], validation[0].rated()
        self._known: dict[tuple[tuple[str, float], ...], FloatArray] = {}

    def tuned(self, penalties: Mapping[str, float]) -> dict[str, float]:
        """The penalties with the least mean loss, found column by column."""
        best = dict(penalties)
        for _ in range(_PASSES):
            for name in best:
                least = math.inf
                for penalty in PENALTIES:
                    loss = float(self.losses(best | {name: penalty}).mean())
                    if loss >= least:
                        break
                    least, chosen = loss, penalty
                best[name] = chosen
        return best

    def losses(self, penalties: Mapping[str, float]) -> FloatArray:
        """Loss of each validation review with effects of these penalties, shape ``(review,)``."""
        key = tuple(penalties.items())
        if key not in self._known:
            positions = [self.positions[name] for name in penalties]
            self._known[key] = self.losses_of(self.fitted(penalties).moved(self.validation_base, positions))
        return self._known[key]

    def losses_of(self, probabilities: FloatArray) -> FloatArray:
        """Negative log-likelihood plus squared error in standard deviations, shape ``(review,)``."""
        given = probabilities[np.arange(len(self.ratings)), self.scale.level_index(self.ratings)]
        errors = (self.scale.mean(probabilities) - self.ratings) / self.spread
        losses: FloatArray = errors**2 - np.log(np.maximum(given, _LEAST))
        return losses

    def fitted(self, penalties: Mapping[str, float]) -> Effects:
        """Effects of the columns that have a penalty."""
        sparse = require("scipy.sparse", "train", "fitting the effects of columns")
        chosen = tuple(self.encodings[name] for name in penalties)
        everyone = sparse.csr_matrix(np.ones((len(self.task.levels), 1)))
        design = sparse.hstack([everyone, *(self.blocks[name] for name in penalties)], format="csr")
        matrices = [penalty * _penalty(one) for one, penalty in zip(chosen, penalties.values(), strict=True)]
        penalty = sparse.block_diag([sparse.csr_matrix((1, 1)), *matrices], format="csr")
        coefficients = fit_tilt(self.task, design, penalty)
        _, variances = self.task.moments(design @ coefficients)
        parts = np.split(coefficients, np.cumsum([1, *map(len, chosen)])[:-1])
        return Effects(
            scale=self.scale,
            values=self.task.values,
            intercept=float(coefficients[0]),
            encodings=chosen,
            effects=tuple(parts[1:]),
            penalties=tuple(penalties.values()),
            rating_per_shift=float(variances.mean()) * self.spread,
        )


def _one_hot(positions: IntArray, size: int) -> Any:
    """SciPy matrix of shape ``(review, size)`` with a 1 where a review has an effect."""
    sparse = require("scipy.sparse", "train", "fitting the effects of columns")
    rows = np.flatnonzero(positions != NO_EFFECT)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, positions[rows])), shape=(len(positions), size))


def _penalty(encoding: Encoding) -> Any:
    """SciPy matrix of the quadratic penalty 1: the sum of squares; for ranges of a number mostly of neighbours' differences."""
    sparse = require("scipy.sparse", "train", "fitting the effects of columns")
    if encoding.kind == "label":
        return sparse.identity(len(encoding), format="csr")
    ranges = len(encoding) - 1
    differences = np.diff(np.eye(ranges), axis=0)
    smooth = differences.T @ differences + RIDGE * np.eye(ranges)
    return sparse.block_diag([smooth, sparse.identity(1)], format="csr")


def _without(penalties: Mapping[str, float], name: str) -> dict[str, float]:
    return {other: penalty for other, penalty in penalties.items() if other != name}


def _is_clearly_lower(losses: FloatArray, others: FloatArray) -> bool:
    """Whether the mean loss is lower by more than chance among the reviews, or rounding, explains."""
    gains = others - losses
    if len(gains) < 2:
        return False
    chance = STANDARD_ERRORS * gains.std(ddof=1) / math.sqrt(len(gains))
    return bool(gains.mean() > max(chance, _LEAST_GAIN * abs(others.mean())))
