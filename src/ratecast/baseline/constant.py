"""The baseline that does not read the text: how often each level was given in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ratecast.errors import ModelFolderError
from ratecast.scale import FloatArray, RatingScale

FLOOR: Final = 1e-6
"""Least probability of a level in every baseline, so that a rating that training never saw costs much, but not without end."""


def floored(probabilities: FloatArray) -> FloatArray:
    """Rows of probabilities in which no level is below `FLOOR`, each summing to one; shape ``(review, level)``."""
    raised = np.maximum(probabilities, FLOOR)
    normalised: FloatArray = raised / raised.sum(axis=-1, keepdims=True)
    return normalised


@dataclass(frozen=True, kw_only=True)
class ConstantModel:
    """The same probabilities for every review.

    Saved as one file, ``<name>.safetensors``, with the tensor ``probabilities``.

    Attributes:
        probability: share of each level among the training ratings, shape ``(level,)``.
    """

    probability: FloatArray

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""
        return np.tile(self.probability, (len(texts), 1))

    def save(self, folder: Path, name: str) -> list[str]:
        """Write the model into a folder and return the names of the files written."""
        file = f"{name}.safetensors"
        save_file({"probabilities": self.probability}, folder / file)
        return [file]

    @classmethod
    def load(cls, folder: Path, files: Sequence[str], scale: RatingScale) -> "ConstantModel":
        """The model that `save` wrote.

        Raises:
            ModelFolderError: if its file is missing, damaged or made for another scale.
        """
        try:
            probability = load_file(folder / files[0])["probabilities"].astype(np.float64)
        except (OSError, LookupError, SafetensorError) as error:
            raise ModelFolderError(f"cannot read the constant baseline in {folder} ({error}); fit the model again") from None
        if probability.shape != (len(scale),):
            raise ModelFolderError(f"the constant baseline is made for {probability.size} levels, the scale has {len(scale)}")
        return cls(probability=probability)


def fit_constant(ratings: FloatArray, scale: RatingScale) -> ConstantModel:
    """Count how often each level occurs.

    Args:
        ratings: training ratings, shape ``(review,)``.
        scale: their scale; levels (or bins) that do not occur get the probability `FLOOR`.
    """
    counts = np.bincount(scale.level_index(ratings), minlength=len(scale)).astype(np.float64)
    return ConstantModel(probability=floored(counts / counts.sum()))
