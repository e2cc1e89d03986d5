import numpy as np
import pytest
from scipy import sparse

from ratecast.combine.tilt import TiltTask, fit_tilt, tilted


def test_tilting_by_hand() -> None:
    base = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    values = np.array([-1.0, 0.0, 1.0])
    found = tilted(base, values, np.array([np.log(2), 5.0]))
    np.testing.assert_allclose(found[0], np.array([0.25, 0.25, 0.5]))  # halved, kept and doubled, which sums to one
    np.testing.assert_allclose(found[1], base[1])
    np.testing.assert_allclose(tilted(base, values, np.zeros(2)), base)


def test_huge_shifts_stay_finite() -> None:
    found = tilted(np.full((2, 3), 1 / 3), np.array([-1.0, 0.0, 1.0]), np.array([1e5, -1e5]))
    np.testing.assert_array_equal(found, [[0, 0, 1], [1, 0, 0]])


def test_the_moments_are_the_loss_s_derivatives() -> None:
    random = np.random.default_rng(0)
    task = TiltTask(probabilities=random.dirichlet(np.ones(4), 6), levels=random.integers(0, 4, 6), values=np.arange(4.0) - 1)
    shifts, step = random.normal(size=6), 1e-4
    means, variances = task.moments(shifts)
    for row in range(6):
        nudge = step * (np.arange(6) == row)
        up, here, down = (task.loss(shifts + sign * nudge) for sign in (1, 0, -1))
        assert (up - down) / (2 * step) == pytest.approx(means[row] - task.values[task.levels[row]], abs=1e-6)
        assert (up - 2 * here + down) / step**2 == pytest.approx(variances[row], abs=1e-5)


def test_without_a_penalty_the_means_agree() -> None:
    """The likelihood equations: expected and given levels have the same mean over all reviews."""
    random = np.random.default_rng(1)
    task = TiltTask(probabilities=random.dirichlet(np.ones(4), 300), levels=random.integers(1, 4, 300), values=np.arange(4.0))
    design = sparse.csr_matrix(np.ones((300, 1)))
    (shift,) = fit_tilt(task, design, sparse.csr_matrix((1, 1)))
    means, _ = task.moments(np.full(300, shift))
    assert means.mean() == pytest.approx(task.levels.mean(), abs=1e-8)


def test_a_step_that_is_too_long_is_shortened() -> None:
    """From a base that is nearly sure, the first Newton step leads far beyond the minimum."""
    base = np.tile([1 - 1e-6, 1e-6], (100, 1))
    task = TiltTask(probabilities=base, levels=np.repeat([0, 1], 50), values=np.array([-1.0, 1.0]))
    (shift,) = fit_tilt(task, sparse.csr_matrix(np.ones((100, 1))), sparse.csr_matrix((1, 1)))
    assert shift == pytest.approx(np.log((1 - 1e-6) / 1e-6) / 2, rel=1e-6)
