"""Heads that ask, threshold by threshold, whether the rating is higher."""

import numpy as np
import torch
from torch import Tensor, nn

from ratecast.model.heads.base import Head, level_counts
from ratecast.scale import FloatArray, RatingScale


class CornHead(Head):
    """CORN, conditional ordinal regression.

    By Shi, Cao & Raschka 2023, "Deep neural networks for rank-consistent ordinal regression based on conditional
    probabilities". Output k is the logit of P(y > level k | y ≥ level k), learned from the reviews that reach level k only.
    Probabilities follow from the chain rule and are a distribution whatever the outputs are.
    """

    def __init__(self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0) -> None:
        super().__init__(width, scale, ratings, dropout)
        counts = level_counts(scale, ratings)
        higher = counts[::-1].cumsum()[::-1][1:]
        with torch.no_grad():
            self.linear.bias.copy_(torch.from_numpy(np.log(higher / counts[:-1])))

    @staticmethod
    def outputs(scale: RatingScale) -> int:
        """One for each level but the last."""
        return len(scale) - 1

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Sum of the binary cross-entropies of the thresholds that the rating reaches.

        The paper divides by the number of thresholds reached in the whole batch, which is a factor that reviews share;
        without it the loss is −log p(level of the rating).
        """
        index = self.level_index(ratings)[:, None]
        threshold = torch.arange(output.shape[1], device=output.device)
        losses = nn.functional.binary_cross_entropy_with_logits(output, (index > threshold).to(output.dtype), reduction="none")
        return (losses * (index >= threshold)).sum(-1)

    def probabilities(self, output: Tensor) -> Tensor:
        """The chain rule, p(k) = Π_{j<k} P(y > j | y ≥ j) · (1 − P(y > k | y ≥ k)), as sums of logarithms."""
        none = torch.zeros_like(output[:, :1])
        reached = torch.cat([none, nn.functional.logsigmoid(output).cumsum(-1)], -1)
        left = torch.cat([nn.functional.logsigmoid(-output), none], -1)
        return (reached + left).exp()


class CoralHead(Head):
    """CORAL, consistent rank logits.

    By Cao, Mirjalili & Raschka 2020, "Rank consistent ordinal regression for neural networks with application to age
    estimation". P(y > level k) is the sigmoid of one score, the same for all thresholds, and the threshold's own bias. The
    paper proves that biases are in descending order once the loss is at its minimum (theorem 1). Here they always are: the
    first is the bias of the linear layer, and each following one lies a softplus of a trained number below the one before it.
    So P(y > level k) falls with k, and its differences are a distribution.
    """

    def __init__(self, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0) -> None:
        super().__init__(width, scale, ratings, dropout)
        counts = level_counts(scale, ratings)
        biases = np.log(counts[::-1].cumsum()[::-1][1:] / counts.cumsum()[:-1])
        self.gaps = nn.Parameter(torch.tensor(np.log(np.expm1(-np.diff(biases))), dtype=torch.float32))
        with torch.no_grad():
            self.linear.bias.fill_(biases[0])

    @staticmethod
    def outputs(scale: RatingScale) -> int:
        """One, the score."""
        return 1

    def loss(self, output: Tensor, ratings: Tensor) -> Tensor:
        """Sum of the binary cross-entropies of all thresholds."""
        logits = self._logits(output)
        threshold = torch.arange(logits.shape[1], device=output.device)
        higher = (self.level_index(ratings)[:, None] > threshold).to(output.dtype)
        return nn.functional.binary_cross_entropy_with_logits(logits, higher, reduction="none").sum(-1)

    def probabilities(self, output: Tensor) -> Tensor:
        """Differences of P(y > level k) between one threshold and the next."""
        higher = self._logits(output).sigmoid()
        ends = torch.zeros_like(output)
        return (torch.cat([ends + 1, higher], -1) - torch.cat([higher, ends], -1)).clamp(min=0)

    def _logits(self, output: Tensor) -> Tensor:
        """Logits of P(y > level k), shape ``(batch, level - 1)``, descending along each row."""
        below = nn.functional.softplus(self.gaps).cumsum(0)
        return torch.cat([output, output - below], -1)
