"""A linear head on frozen vectors: what the backbone knows before fine-tuning, and where fine-tuning starts."""

from typing import Final

import torch
from torch import Tensor

from ratecast.model.heads import Head
from ratecast.scale import FloatArray
from ratecast.train.weights import weighted_mean

PENALTIES: Final = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Weights of the squared norm that are tried, until the validation loss rises."""


def fit_probe(
    head: Head,
    training: tuple[Tensor, FloatArray],
    validation: tuple[Tensor, FloatArray],
    weights: FloatArray | None = None,
    *,
    anchored: bool = False,
) -> None:
    """Fit the head on vectors that stay as they are, with the penalty on its weights chosen by validation loss.

    The head's loss is minimised with L-BFGS, on vectors that the head standardises from then on. Fine-tuning that starts from
    such a head disturbs the backbone less than one that starts from a random head (Kumar et al. 2022, "Fine-tuning can
    distort pretrained features and underperform out-of-distribution").

    Args:
        head: the head, changed in place.
        training: vectors of shape ``(review, width)`` and ratings of shape ``(review,)``.
        validation: the same of held-out reviews; these also calibrate the head.
        weights: how much each training review counts, shape ``(review,)``, as `review_weights` gives it. Held-out reviews all
            count the same, as they do in every metric.
        anchored: whether the head knows something already: the penalty then holds its weights to what they are, and it stays as
            it is where that has the least validation loss (Li et al. 2018, "Explicit inductive bias for transfer learning with
            convolutional networks").
    """
    vectors, ratings = training[0].cpu().double(), torch.as_tensor(training[1])
    held_out, held_out_ratings = validation[0].cpu().double(), torch.as_tensor(validation[1])
    counted = None if weights is None else torch.as_tensor(weights)
    device = head.linear.weight.device
    head.cpu().double().eval()  # not every device has double precision, and this is quick
    head.standardise(vectors, keep_outputs=anchored)
    best: dict[str, Tensor] = {name: value.clone() for name, value in head.state_dict().items()}
    best_loss = float(head.loss(head(held_out), held_out_ratings).detach().mean()) if anchored else float("inf")
    anchor = head.linear.weight.detach().clone() if anchored else torch.zeros_like(head.linear.weight)
    for penalty in PENALTIES:  # each starts where the stronger one before it ended
        _minimise(head, vectors, ratings, counted, penalty=penalty, anchor=anchor)
        loss = float(head.loss(head(held_out), held_out_ratings).detach().mean())
        if loss >= best_loss:
            break
        best, best_loss = {name: value.clone() for name, value in head.state_dict().items()}, loss
    head.load_state_dict(best)
    head.zero_grad()  # what L-BFGS left behind is no gradient of the first training step
    with torch.no_grad():
        head.calibrate(head(held_out), held_out_ratings)
    head.float().to(device)


@torch.no_grad()
def score_outputs(head: Head, output: Tensor, ratings: FloatArray) -> float:
    """Calibrate the head on held-out outputs, shape ``(review, output)``, and return the RMSE of the expected ratings."""
    head.calibrate(output, torch.as_tensor(ratings, device=output.device))
    expected = head.scale.mean(head.probabilities(output).cpu().double().numpy())
    return float(((expected - ratings) ** 2).mean() ** 0.5)


def _minimise(head: Head, vectors: Tensor, ratings: Tensor, weights: Tensor | None, *, penalty: float, anchor: Tensor) -> None:
    trained = [weight for weight in head.parameters() if weight.requires_grad]
    optimizer = torch.optim.LBFGS(trained, max_iter=100, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        distance = (head.linear.weight - anchor).square().sum()
        loss = weighted_mean(head.loss(head(vectors), ratings), weights) + penalty * distance
        loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call] # torch does not annotate it
