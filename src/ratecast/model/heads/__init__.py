"""Output heads: from a review's vector to a probability for every level.

A head is a module with four verbs: ``forward`` maps vectors to raw outputs, ``loss`` compares these with the true ratings,
``probabilities`` turns them into a distribution over levels, and ``calibrate`` sets from held-out reviews what training does
not. To add one, write such a class and enter it into `HEADS`.
"""

from ratecast.errors import ConfigError
from ratecast.model.heads.base import Head
from ratecast.model.heads.ordinal import CoralHead, CornHead
from ratecast.model.heads.regression import RegressionHead
from ratecast.model.heads.softmax import MixedHead, OrdinalLogHead, SoftLabelHead, SoftmaxHead
from ratecast.scale import FloatArray, RatingScale

__all__ = [
    "HEADS",
    "create_head",
    "Head",
    "SoftmaxHead",
    "SoftLabelHead",
    "MixedHead",
    "OrdinalLogHead",
    "CornHead",
    "CoralHead",
    "RegressionHead",
]

HEADS: dict[str, type[Head]] = {
    "softmax": SoftmaxHead,
    "soft": SoftLabelHead,
    "mixed": MixedHead,
    "ordinal-log": OrdinalLogHead,
    "corn": CornHead,
    "coral": CoralHead,
    "regression": RegressionHead,
}
"""Every head by the name used in the configuration."""


def create_head(
    name: str, width: int, scale: RatingScale, ratings: FloatArray, dropout: float = 0.0, *, label_smoothing: float = 0.0
) -> Head:
    """Head of the given name; arguments as for `Head`, and ``label_smoothing`` as for `SoftmaxHead`.

    Raises:
        ConfigError: if there is no such head, or labels are to be smoothed for one that has none; lists those that there are.
    """
    if name not in HEADS:
        raise ConfigError(f"unknown head {name!r}; known are {', '.join(sorted(HEADS))}")
    kind = HEADS[name]
    if issubclass(kind, SoftmaxHead):
        return kind(width, scale, ratings, dropout, label_smoothing)
    if label_smoothing:
        smoothed = ", ".join(sorted(other for other, each in HEADS.items() if issubclass(each, SoftmaxHead)))
        raise ConfigError(
            f"the head {name!r} has no labels to smooth, found label_smoothing {label_smoothing:g}; "
            f"leave it at 0 or choose one of the heads {smoothed}"
        )
    return kind(width, scale, ratings, dropout)
