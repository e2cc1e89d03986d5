"""A linear head on frozen vectors: what the backbone knows before fine-tuning, and where fine-tuning starts."""

from typing import Final

import torch
from torch import Tensor

from ratecast.model.heads import Head
from ratecast.scale import FloatArray

PENALTIES: Final = (1e-4, 1e-3, 1e-2, 1e-1)
"""Weights of the squared norm that are tried."""


def fit_probe(head: Head, training: tuple[Tensor, FloatArray], validation: tuple[Tensor, FloatArray]) -> float:
    """Fit the head on vectors that stay as they are, with the penalty on its weights chosen by validation RMSE.

    The head's loss is minimised with L-BFGS, on vectors that the head standardises from then on. Fine-tuning that starts from such a head disturbs the
    backbone less than one that starts from a random head (Kumar et al. 2022, "Fine-tuning can distort pretrained features").

    Args:
        head: the head, changed in place.
        training: vectors of shape ``(review, width)`` and ratings of shape ``(review,)``.
        validation: the same of held-out reviews; these also calibrate the head.

    Returns:
        The validation RMSE reached.
    """
    vectors, ratings = training[0].double(), torch.as_tensor(training[1])
    head.double().eval()
    head.standardise(vectors)
    start = {name: value.clone() for name, value in head.state_dict().items()}
    best: dict[str, Tensor] = start
    best_rmse = float("inf")
    for penalty in PENALTIES:
        head.load_state_dict(start)
        _minimise(head, vectors, ratings, penalty)
        rmse = validation_rmse(head, *validation)
        if rmse < best_rmse:
            best, best_rmse = {name: value.clone() for name, value in head.state_dict().items()}, rmse
    head.load_state_dict(best)
    head.float()
    return best_rmse


@torch.no_grad()
def validation_rmse(head: Head, vectors: Tensor, ratings: FloatArray) -> float:
    """Calibrate the head on held-out reviews and return the RMSE of its expected ratings there."""
    output = head(vectors.to(head.linear.weight.dtype))
    return score_outputs(head, output, ratings)


@torch.no_grad()
def score_outputs(head: Head, output: Tensor, ratings: FloatArray) -> float:
    """Calibrate the head on held-out outputs, shape ``(review, output)``, and return the RMSE of the expected ratings."""
    head.calibrate(output, torch.as_tensor(ratings, device=output.device))
    expected = head.scale.mean(head.probabilities(output).double().cpu().numpy())
    return float(((expected - ratings) ** 2).mean() ** 0.5)


def _minimise(head: Head, vectors: Tensor, ratings: Tensor, penalty: float) -> None:
    weights = [head.linear.weight, head.linear.bias]
    optimizer = torch.optim.LBFGS(weights, max_iter=100, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = head.loss(head(vectors), ratings).mean() + penalty * head.linear.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
