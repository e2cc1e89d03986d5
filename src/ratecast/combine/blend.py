"""Blending: several models' probabilities and a calibration of every level become one distribution.

A linear model of words and a fine-tuned backbone err in different places, so that their product is better than either.
"""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ratecast.combine.folds import FOLDS, stratified_folds
from ratecast.errors import ModelFolderError, require
from ratecast.evaluate.calibration import check_probabilities
from ratecast.scale import FloatArray, IntArray, RatingScale

FEW_REVIEWS: Final = 10
"""With fewer held-out reviews nothing is fitted: all members have equal weights."""

ENOUGH_TO_CHOOSE: Final = 100
"""With fewer held-out reviews all members are pooled: the loss of so few is too uncertain to leave one out by."""

WEIGHT_PENALTY: Final = 1.0
BIAS_PENALTY: Final = 2.0
"""Penalties on the squared distance from plain equal weights and from no bias, in units of one held-out review's loss."""

OPTIMISM: Final = 5.0
"""A blend that is fitted to n held-out reviews is flattened to the power n / (n + 5): its members were chosen by the same
reviews (a backbone's best step, a linear model's penalty), and the fewer these are, the surer they look than they are."""

_LEAST_WEIGHT: Final = 1e-6  # a smaller weight changes nothing, and its member would be computed for nothing
_FLOOR: Final = 1e-4  # a smaller probability of one member must not decide the product


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A log-linear pool of the members' probabilities: ``p_k ∝ exp(b_k) Π_m p_mk ^ w_m``.

    With one member this is temperature scaling (w is the inverse temperature) with a bias for every level, the "vector
    scaling" of Guo et al. 2017 with one scale; with several it is the logarithmic opinion pool (Genest and Zidek 1986,
    "Combining Probability Distributions") whose weights need not sum to one.

    Attributes:
        members: names of the components whose probabilities are pooled.
        weights: exponent of each member, at least 0, shape ``(member,)``.
        bias: shape ``(level,)``.
    """

    members: tuple[str, ...]
    weights: FloatArray
    bias: FloatArray

    def apply(self, probabilities: Mapping[str, FloatArray]) -> FloatArray:
        """The pooled distribution, shape ``(review, level)``, from the members' by name, each of that shape."""
        return _softmax(_logarithms([probabilities[name] for name in self.members]) @ self.weights + self.bias)

    def describe(self) -> str:
        """The members with their weights, for people."""
        return " + ".join(f"{weight:.2f} × {name}" for name, weight in zip(self.members, self.weights, strict=True))

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the blend into a folder and return the names of the files written."""
        content = {"members": list(self.members), "weights": self.weights.tolist(), "bias": self.bias.tolist()}
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return [f"{name}.json"]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str], scale: RatingScale) -> "Blend":
        """The blend that `save` wrote.

        Raises:
            ModelFolderError: if it cannot be read or was made for another scale.
        """
        try:
            (file,) = files
            content = json.loads((folder / file).read_text(encoding="utf-8"))
            weights, bias = (np.asarray(content[name], dtype=np.float64) for name in ("weights", "bias"))
            blend = cls(members=tuple(map(str, content["members"])), weights=weights, bias=bias)
            if not blend.members or weights.shape != (len(blend.members),) or bias.shape != (len(scale),):
                raise ValueError(f"{len(blend.members)} members, weights {weights.shape}, bias {bias.shape}")
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ModelFolderError(f"cannot read the blend in {folder} ({error}); fit the model again") from None
        return blend


@dataclass(frozen=True, kw_only=True)
class BlendFit:
    """A fitted blend and the evidence for it.

    Attributes:
        blend: fitted to all held-out reviews.
        out_of_fold: for each held-out review the probabilities of a blend that was fitted without it, ``(review, level)``.
            What is calibrated or measured after the blend has to use these.
        losses: cross-validated loss of the best calibrated single member, of the chosen blend, and of every other choice, by
            the members joined with " + ".
    """

    blend: Blend
    out_of_fold: FloatArray
    losses: Mapping[str, float]


def fit_blend(
    members: Mapping[str, ArrayLike],
    ratings: ArrayLike,
    scale: RatingScale,
    *,
    weights: FloatArray | None = None,
    choose: bool = True,
    seed: int = 0,
) -> BlendFit:
    """Choose which members to pool, and fit their weights and the levels' calibration, on held-out reviews.

    Every choice of members is cross-validated, and the one with the least loss is taken: a member that does not help on
    reviews that its weight was not fitted on is left out, which fewer than 100 reviews cannot tell. The loss is that of the
    mixed head, negative log-likelihood plus squared error of the expected rating in units of the ratings' standard deviation,
    so that both the distribution and its mean are right. Penalties keep few reviews from moving the weights far from equal
    ones.

    Args:
        members: probabilities of each model by name, shape ``(review, level)``, on reviews that none of them learned from.
        ratings: their true ratings, shape ``(review,)``.
        scale: the ratings' scale.
        weights: how much each review counts, shape ``(review,)``; all the same by default.
        choose: whether members may be left out; if not, all are pooled.
        seed: decides the folds.

    Raises:
        ShapeError, DataError: as `check_probabilities` does.
        MissingExtraError: if SciPy is not installed.
    """
    truth = np.asarray(ratings, dtype=np.float64)
    logarithms = {name: _logarithms([check_probabilities(truth, value, scale)[1]]) for name, value in members.items()}
    names = list(members)
    if len(truth) < FEW_REVIEWS:
        equal = Blend(members=tuple(names), weights=np.full(len(names), 1 / len(names)), bias=np.zeros(len(scale)))
        pooled = _softmax(np.concatenate(list(logarithms.values()), axis=2) @ equal.weights)
        return BlendFit(blend=equal, out_of_fold=pooled, losses={})
    counts = np.ones(len(truth)) if weights is None or not weights.any() else weights / weights.mean()
    folds = stratified_folds(scale.level_index(truth), np.random.default_rng(seed).permutation(len(truth)))
    sizes = range(1 if choose else len(names), len(names) + 1)
    subsets = [chosen for size in sizes for chosen in itertools.combinations(names, size)]
    losses: dict[str, float] = {}
    best: tuple[float, tuple[str, ...], FloatArray] | None = None
    for chosen in subsets:
        task = _Task.of(np.concatenate([logarithms[name] for name in chosen], axis=2), truth, scale, counts)
        held_out = np.empty((len(truth), len(scale)))
        for fold in range(FOLDS):
            held_out[folds == fold] = _softmax(task.take(folds == fold).logits(task.take(folds != fold).solve()))
        loss = float(counts @ task.losses(held_out) / len(truth))
        losses[" + ".join(chosen)] = loss
        if best is None or loss < best[0] or len(truth) < ENOUGH_TO_CHOOSE:  # the last choice is all members
            best = (loss, chosen, held_out)
    if best is None:
        raise ValueError("nothing to blend")
    _, chosen, held_out = best
    solution = _Task.of(np.concatenate([logarithms[name] for name in chosen], axis=2), truth, scale, counts).solve()
    weights, bias = solution[: len(chosen)], solution[len(chosen) :]
    kept = np.flatnonzero(weights > _LEAST_WEIGHT) if (weights > _LEAST_WEIGHT).any() else np.arange(len(chosen))
    blend = Blend(members=tuple(chosen[index] for index in kept), weights=weights[kept], bias=bias)
    return BlendFit(blend=blend, out_of_fold=held_out, losses=losses)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A penalised fit: log-probabilities ``(review, level, member)``, level indices, ratings and weights ``(review,)``."""

    logarithms: FloatArray
    index: IntArray
    ratings: FloatArray
    weights: FloatArray
    levels: FloatArray
    deviation: float

    @classmethod
    def of(cls, logarithms: FloatArray, ratings: FloatArray, scale: RatingScale, weights: FloatArray) -> "_Task":
        deviation = float(ratings.std()) or 1.0
        index = scale.level_index(ratings)
        return cls(
            logarithms=logarithms,
            index=index,
            ratings=ratings,
            weights=weights,
            levels=np.asarray(scale.levels),
            deviation=deviation,
        )

    def take(self, chosen: ArrayLike) -> "_Task":
        rows = np.flatnonzero(chosen)
        return _Task(
            logarithms=self.logarithms[rows],
            index=self.index[rows],
            ratings=self.ratings[rows],
            weights=self.weights[rows],
            levels=self.levels,
            deviation=self.deviation,
        )

    def logits(self, solution: FloatArray) -> FloatArray:
        members = self.logarithms.shape[2]
        return np.asarray(self.logarithms @ solution[:members] + solution[members:])

    def losses(self, probabilities: FloatArray) -> FloatArray:
        """Loss of each review, shape ``(review,)``."""
        chosen = probabilities[np.arange(len(self.index)), self.index]
        gaps = (probabilities @ self.levels - self.ratings) / self.deviation
        return np.asarray(-np.log(np.maximum(chosen, 1e-12)) + gaps**2)

    def solve(self) -> FloatArray:
        """Weights and biases of the least penalised loss, a little flatter (`OPTIMISM`), shape ``(member + level,)``."""
        optimize = require("scipy.optimize", "train", "blending models")
        members = self.logarithms.shape[2]
        start = np.concatenate([np.full(members, 1 / members), np.zeros(len(self.levels))])
        bounds = [(0, None)] * members + [(None, None)] * len(self.levels)
        found = optimize.minimize(self._objective(start), start, jac=True, method="L-BFGS-B", bounds=bounds)
        return np.asarray(found.x, dtype=np.float64) * len(self.index) / (len(self.index) + OPTIMISM)

    def _objective(self, start: FloatArray) -> Callable[[FloatArray], tuple[float, FloatArray]]:
        members = self.logarithms.shape[2]
        penalties = np.repeat([WEIGHT_PENALTY, BIAS_PENALTY], [members, len(self.levels)]) / len(self.index)
        rows = np.arange(len(self.index))

        def objective(solution: FloatArray) -> tuple[float, FloatArray]:
            probabilities = _softmax(self.logits(solution))
            means = probabilities @ self.levels
            slope = probabilities.copy()
            slope[rows, self.index] -= 1
            gaps = (means - self.ratings) / self.deviation**2
            slope += 2 * gaps[:, None] * probabilities * (self.levels - means[:, None])
            slope *= self.weights[:, None] / len(rows)
            gradient = np.concatenate([np.einsum("rk,rkm->m", slope, self.logarithms), slope.sum(axis=0)])
            distance = solution - start
            loss = float(self.weights @ self.losses(probabilities) / len(rows) + penalties @ distance**2)
            return loss, gradient + 2 * penalties * distance

        return objective


def _logarithms(probabilities: Sequence[FloatArray]) -> FloatArray:
    """Log-probabilities of the members, shape ``(review, level, member)``."""
    return np.log(np.maximum(np.stack(probabilities, axis=2), _FLOOR))


def _softmax(logits: FloatArray) -> FloatArray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
