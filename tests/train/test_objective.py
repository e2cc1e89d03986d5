"""Losses of a batch, against SciPy and sums by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from ratecast.config import BackboneConfig, StrengthenConfig
from ratecast.errors import ShapeError
from ratecast.model.backbone import load_backbone
from ratecast.model.heads import HEADS, create_head
from ratecast.model.rater import Rater
from ratecast.scale import FloatArray, RatingScale
from ratecast.train.inputs import Network, RatedTexts
from ratecast.train.objective import Objective, divergence

SCALE = RatingScale.parse("1..5")
RATINGS = np.array([1.0, 2.0, 5.0, 4.0])
ROWS = np.array([2, 0, 3])
Made = tuple[Network, RatedTexts]


@pytest.fixture
def made(tiny_backbone: Path) -> Callable[..., Made]:
    def make(head: str = "softmax", targets: FloatArray | None = None, target_weight: float | FloatArray = 0.5) -> Made:
        backbone = load_backbone(BackboneConfig(backbone=str(tiny_backbone), max_tokens=16))
        rater = Rater(backbone.model, create_head(head, 32, SCALE, RATINGS, dropout=0.4), pooling="mean").train()
        torch.nn.init.normal_(rater.head.linear.weight, std=0.3)
        texts = backbone.encoder.encode(["bad", "poor food", "great", "good room and staff"])
        reviews = RatedTexts(texts=texts, ratings=RATINGS, targets=targets, target_weight=target_weight)
        return Network(rater, backbone.encoder.settings, frozen=0, layers=2), reviews

    return make


def losses_of(made: Made, **settings: float) -> list[Tensor]:
    objective = Objective(made[0], StrengthenConfig(**settings))  # type: ignore[arg-type]
    found = []
    for losses in objective.losses(made[1], ROWS, torch.as_tensor(RATINGS[ROWS])):
        losses.mean().backward()  # type: ignore[no-untyped-call]
        found.append(losses.detach())
    return found


def outputs_of(made: Made, samples: int) -> Tensor:
    """Raw outputs under several dropout masks, shape ``(sample, batch, output)``."""
    return made[0].output(made[1], ROWS, samples).view(samples, len(ROWS), -1).detach()


@pytest.mark.parametrize("head", HEADS)
def test_by_default_the_losses_are_the_heads(made: Callable[..., Made], head: str) -> None:
    one = made(head)
    torch.manual_seed(1)
    expected = one[0].rater.head.loss(one[0].output(one[1], ROWS), torch.as_tensor(RATINGS[ROWS]))
    torch.manual_seed(1)
    (found,) = losses_of(one)
    assert torch.equal(found, expected.detach())


@pytest.mark.parametrize("head", HEADS)
def test_several_masks_are_averaged(made: Callable[..., Made], head: str) -> None:
    one = made(head)
    torch.manual_seed(1)
    outputs = outputs_of(one, 3)
    assert len({float(output[0, 0]) for output in outputs}) == 3
    expected = sum(one[0].rater.head.loss(output, torch.as_tensor(RATINGS[ROWS])) for output in outputs) / 3
    torch.manual_seed(1)
    (found,) = losses_of(one, dropout_samples=3)
    torch.testing.assert_close(found, torch.as_tensor(expected).detach())


def test_r_drop_adds_the_symmetric_divergence_of_scipy(made: Callable[..., Made]) -> None:
    one = made()
    torch.manual_seed(1)
    first, second = softmax(outputs_of(one, 2).double().numpy(), axis=-1)
    torch.manual_seed(1)
    (plain,) = losses_of(one, dropout_samples=2)
    torch.manual_seed(1)
    (found,) = losses_of(one, r_drop=3.0)
    added = 3.0 * (rel_entr(first, second).sum(1) + rel_entr(second, first).sum(1)) / 2
    assert added.min() > 1e-3
    np.testing.assert_allclose(found.numpy() - plain.numpy(), added, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("weight", [0.25, np.array([1.0, 0.0, 0.5, 0.25])], ids=["one", "each"])
def test_soft_targets_are_mixed_in(made: Callable[..., Made], head: str, weight: float | FloatArray) -> None:
    targets = np.random.default_rng(0).dirichlet(np.ones(5), 4)
    one = made(head, targets, weight)
    torch.manual_seed(1)
    output = outputs_of(one, 1)[0]
    probabilities = one[0].rater.head.probabilities(output).detach().double().numpy()
    hard = one[0].rater.head.loss(output, torch.as_tensor(RATINGS[ROWS])).detach().numpy()
    torch.manual_seed(1)
    (found,) = losses_of(one)
    share = np.broadcast_to(weight, 4)[ROWS]
    expected = (1 - share) * hard + share * rel_entr(targets[ROWS], probabilities.clip(1e-12)).sum(1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_adversary_makes_a_second_harder_batch(made: Callable[..., Made]) -> None:
    one = made()
    one[0].rater.eval()
    first, second = losses_of(one, adversarial=0.5)
    assert bool((second > first).all())


def test_divergence_with_impossible_levels_is_finite() -> None:
    found = divergence(torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    assert found.tolist() == pytest.approx([-np.log(1e-12), 0.0], rel=1e-5)


def test_targets_of_other_shapes_are_refused(made: Callable[..., Made]) -> None:
    with pytest.raises(ShapeError, match="targets of 3 reviews, expected one for each of 4"):
        made(targets=np.full((3, 5), 0.2))
    with pytest.raises(ShapeError, match="targets of 2 levels, expected the scale's 5"):
        losses_of(made(targets=np.full((4, 2), 0.5)))
