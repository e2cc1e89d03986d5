"""Tilting a distribution over the levels towards high or low ratings, and fitting by how much.

The tilted distribution is p'_k ∝ p_k · exp(s_k · θ), with s_k the standardised level. For a given p this is an exponential
family with the natural parameter θ (Efron 1981, "Nonparametric standard errors and confidence intervals", section 7), and with
θ linear in the columns it is a generalised linear model with the offset log p: the loss is convex, its slope in θ is the
expected level minus the given one, and its curvature the variance of the level.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ratecast.errors import require
from ratecast.scale import FloatArray, IntArray

_MOST_STEPS: Final = 50
_MOST_HALVINGS: Final = 30
_TOLERANCE: Final = 1e-9
"""The steps end when no slope of the loss is larger than this times the number of reviews."""


def tilted(probabilities: FloatArray, values: FloatArray, shifts: FloatArray) -> FloatArray:
    """The tilted distributions.

    Args:
        probabilities: shape ``(review, level)``.
        values: standardised levels s, shape ``(level,)``.
        shifts: θ of each review, shape ``(review,)``.

    Returns:
        Shape ``(review, level)``, each row summing to one.
    """
    exponents = shifts[:, np.newaxis] * values
    weights: FloatArray = probabilities * np.exp(exponents - exponents.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


@dataclass(frozen=True, kw_only=True)
class TiltTask:
    """What the coefficients of θ are fitted to.

    Attributes:
        probabilities: what the text says, shape ``(review, level)``, all above 0.
        levels: index of the level that each review has, shape ``(review,)``.
        values: standardised levels, shape ``(level,)``.
        weights: how much each review counts, shape ``(review,)``; None if all count the same, 1.
    """

    probabilities: FloatArray
    levels: IntArray
    values: FloatArray
    weights: FloatArray | None = None

    def loss(self, shifts: FloatArray) -> float:
        """Weighted negative log-likelihood of all reviews, without the constant part."""
        exponents = shifts[:, np.newaxis] * self.values
        largest = exponents.max(axis=1)
        sums = (self.probabilities * np.exp(exponents - largest[:, np.newaxis])).sum(axis=1)
        return float(self.weighted(np.log(sums) + largest - shifts * self.values[self.levels]).sum())

    def weighted(self, terms: FloatArray) -> FloatArray:
        """A number of each review times its weight, shape ``(review,)``."""
        return terms if self.weights is None else self.weights * terms

    def moments(self, shifts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of each review's tilted distribution, in units of the values, shape ``(review,)`` each."""
        found = tilted(self.probabilities, self.values, shifts)
        means: FloatArray = found @ self.values
        variances: FloatArray = found @ self.values**2 - means**2
        return means, np.maximum(variances, 0)


def fit_tilt(task: TiltTask, design: Any, penalty: Any) -> FloatArray:
    """Coefficients that minimise the loss plus half of the quadratic penalty, by Newton's method.

    Each step is solved by conjugate gradients, so that the matrices stay sparse however many values a column has.

    Args:
        task: the reviews.
        design: SciPy sparse matrix of shape ``(review, coefficient)``; θ is its product with the coefficients.
        penalty: symmetric SciPy sparse matrix, shape ``(coefficient, coefficient)``.

    Returns:
        Shape ``(coefficient,)``.

    Raises:
        MissingExtraError: if SciPy is not installed.
    """
    coefficients = np.zeros(design.shape[1])
    loss = task.loss(design @ coefficients)
    for _ in range(_MOST_STEPS):
        means, variances = task.moments(design @ coefficients)
        slope = design.T @ task.weighted(means - task.values[task.levels]) + penalty @ coefficients
        if np.abs(slope).max() <= _TOLERANCE * len(means):
            break
        step = _newton_step(design, penalty, task.weighted(variances), slope)
        for _ in range(_MOST_HALVINGS):
            moved = coefficients - step
            lower = task.loss(design @ moved) + 0.5 * float(moved @ (penalty @ moved))
            if lower <= loss:
                break
            step /= 2
        else:
            break  # no shorter step lowers the loss any more: only rounding is left
        coefficients, loss = moved, lower
    return coefficients


def _newton_step(design: Any, penalty: Any, variances: FloatArray, slope: FloatArray) -> FloatArray:
    """The slope divided by the curvature, which is X' diag(variances) X plus the penalty; shape ``(coefficient,)``."""
    linalg = require("scipy.sparse.linalg", "train", "fitting the effects of columns")
    shape = (len(slope), len(slope))
    diagonal = np.maximum(design.multiply(design).T @ variances + penalty.diagonal(), 1e-12)
    curvature = linalg.LinearOperator(
        shape, dtype=np.float64, matvec=lambda step: design.T @ (variances * (design @ step)) + penalty @ step
    )
    scaling = linalg.LinearOperator(shape, dtype=np.float64, matvec=lambda step: step / diagonal)
    step: FloatArray = linalg.cg(curvature, slope, rtol=1e-6, maxiter=10 * len(slope), M=scaling)[0]
    return step
