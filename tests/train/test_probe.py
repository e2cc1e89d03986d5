"""The linear head on untrained vectors, against scikit-learn."""

import numpy as np
import pytest
import torch
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from ratecast.model.heads import create_head
from ratecast.scale import RatingScale
from ratecast.train import probe

Rated = tuple[torch.Tensor, np.ndarray]
SCALE = RatingScale.parse("1..3")


@pytest.fixture
def vectors() -> Rated:
    rng = np.random.default_rng(0)
    found = rng.normal(3, 2, (400, 6))
    ratings = np.digitize(found[:, 0] + found[:, 1] + rng.normal(0, 2, 400), [4.0, 8.0]) + 1.0
    return torch.tensor(found, dtype=torch.float32), ratings


def test_softmax_probe_is_logistic_regression(vectors: Rated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PENALTIES", (0.1,))
    head = create_head("softmax", 6, SCALE, vectors[1])
    probe.fit_probe(head, vectors, vectors)
    scaled = StandardScaler().fit_transform(vectors[0].numpy())
    scaled *= np.sqrt(399 / 400)  # torch divides by the deviation of a sample
    reference = LogisticRegression(C=1 / (2 * 0.1 * 400), tol=1e-8, max_iter=1000).fit(scaled, vectors[1])
    with torch.no_grad():
        found = head.probabilities(head(vectors[0])).numpy()
    np.testing.assert_allclose(found, reference.predict_proba(scaled), atol=1e-3)


def test_regression_probe_is_ridge_regression(vectors: Rated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PENALTIES", (0.1,))
    head = create_head("regression", 6, SCALE, vectors[1])
    probe.fit_probe(head, vectors, vectors)
    scaled = StandardScaler().fit_transform(vectors[0].numpy()) * np.sqrt(399 / 400)
    standard = (vectors[1] - vectors[1].mean()) / vectors[1].std()
    reference = Ridge(alpha=0.1 * 400).fit(scaled, standard)
    with torch.no_grad():
        found = head(vectors[0]).squeeze(-1).numpy()
    np.testing.assert_allclose(found, reference.predict(scaled), atol=1e-3)


@pytest.mark.parametrize("name", ["softmax", "regression"])
def test_weighted_probe_is_weighted_regression(name: str, vectors: Rated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PENALTIES", (0.1,))
    weights = np.random.default_rng(1).uniform(0, 1, 400) * np.where(vectors[1] == 1, 5, 0.3)
    weights /= weights.mean()
    head = create_head(name, 6, SCALE, vectors[1])
    probe.fit_probe(head, vectors, vectors, weights)
    scaled = StandardScaler().fit_transform(vectors[0].numpy()) * np.sqrt(399 / 400)
    with torch.no_grad():
        output = head(vectors[0])
        found = head.probabilities(output).numpy() if name == "softmax" else output.squeeze(-1).numpy()
    if name == "softmax":
        logistic = LogisticRegression(C=1 / (2 * 0.1 * 400), tol=1e-8, max_iter=1000)
        expected = logistic.fit(scaled, vectors[1], sample_weight=weights).predict_proba(scaled)
    else:
        standard = (vectors[1] - vectors[1].mean()) / vectors[1].std()
        expected = Ridge(alpha=0.1 * 400).fit(scaled, standard, sample_weight=weights).predict(scaled)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_coral_probe_finds_the_minimum_over_all_thresholds(vectors: Rated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PENALTIES", (0.1,))
    head = create_head("coral", 6, SCALE, np.array([1.0, 1.0, 1.0, 3.0]))  # begins far from the right thresholds
    probe.fit_probe(head, vectors, vectors)
    scaled = StandardScaler().fit_transform(vectors[0].numpy()) * np.sqrt(399 / 400)
    higher = vectors[1][:, None] > np.array([1.0, 2.0])

    def objective(values: np.ndarray) -> float:
        logits = scaled @ values[:6, None] + values[6:]
        return float(np.logaddexp(0, np.where(higher, -logits, logits)).sum(1).mean() + 0.1 * values[:6] @ values[:6])

    reference = optimize.minimize(objective, np.zeros(8), method="BFGS").x
    expected = special.expit(scaled @ reference[:6, None] + reference[6:])
    with torch.no_grad():
        found = head.probabilities(head(vectors[0])).numpy()
    np.testing.assert_allclose(found[:, 1:].sum(1), expected[:, 0], atol=1e-3)
    np.testing.assert_allclose(found[:, 2], expected[:, 1], atol=1e-3)


def test_penalty_is_chosen_on_held_out_reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noise = (torch.tensor(rng.normal(size=(60, 40)), dtype=torch.float32), rng.integers(1, 4, 60).astype(np.float64))
    held_out = (torch.tensor(rng.normal(size=(300, 40)), dtype=torch.float32), rng.integers(1, 4, 300).astype(np.float64))
    sizes = {}
    for penalties in ((0.01,), (3.0,), probe.PENALTIES):
        monkeypatch.setattr(probe, "PENALTIES", penalties)
        head = create_head("softmax", 40, SCALE, noise[1])
        probe.fit_probe(head, noise, held_out)
        sizes[len(penalties), penalties[-1]] = float(head.linear.weight.detach().norm())
    assert sizes[6, 0.01] == pytest.approx(sizes[1, 3.0], rel=1e-2)
    assert sizes[1, 3.0] < 0.2 * sizes[1, 0.01]


def test_an_anchored_head_that_is_right_stays_as_it_is() -> None:
    draw = torch.Generator().manual_seed(0)
    vectors = 3 + 2 * torch.randn(400, 4, generator=draw)
    head = create_head("softmax", 4, SCALE, np.asarray(SCALE.levels))
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[-1.5], [0.0], [1.5]]) * torch.tensor([1.0, 0, 0, 0]))
        head.linear.bias.copy_(-3 * head.linear.weight[:, 0])
        before = head(vectors).softmax(-1)
    levels = torch.multinomial(before, 1, generator=draw)[:, 0]
    ratings = np.asarray(SCALE.levels)[levels.numpy()]
    few = slice(0, 8)  # too few to learn anything better from
    probe.fit_probe(head, (vectors[few], ratings[few]), (vectors[8:], ratings[8:]), anchored=True)
    with torch.no_grad():
        torch.testing.assert_close(head(vectors).softmax(-1), before, atol=0.1, rtol=0)
    free = create_head("softmax", 4, SCALE, np.asarray(SCALE.levels))
    probe.fit_probe(free, (vectors[few], ratings[few]), (vectors[8:], ratings[8:]))
    with torch.no_grad():
        assert float((free(vectors).softmax(-1) - before).abs().max()) > 0.3


def test_standardising_can_keep_the_outputs() -> None:
    vectors = 5 + 2 * torch.randn(50, 4)
    head = create_head("softmax", 4, SCALE, np.asarray(SCALE.levels))
    head.standardise(torch.randn(20, 4) - 1, keep_outputs=True)
    with torch.no_grad():
        before = head(vectors)
        head.standardise(vectors, keep_outputs=True)
        torch.testing.assert_close(head(vectors), before, atol=1e-5, rtol=1e-5)
        head.standardise(torch.randn(20, 4))
        assert float((head(vectors) - before).abs().max()) > 0.01
