"""How long a member takes for reviews, on the machine at hand."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np

from ratecast.errors import ModelFolderError
from ratecast.files import replace_file
from ratecast.scale import FloatArray

Probabilities = Callable[[Sequence[str]], FloatArray]

_ROUNDS: Final = 3
_SINGLES: Final = 40
_TIMED: Final = 512
"""So many reviews say how long one of many takes; reading the held-out ones counts as the first round."""
_MOST_SECONDS: Final = 2.0
"""Further rounds, and reviews by themselves, are left out after so much time."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a member says of some reviews, and how long it took.

    Attributes:
        probabilities: shape ``(review, level)``.
        batch_ms: milliseconds for one of many reviews, the best of some rounds: other work on the machine only adds to it.
        single_ms: median milliseconds for one review by itself.
    """

    probabilities: FloatArray
    batch_ms: float
    single_ms: float

    def save(self, path: Path) -> None:
        """Write a file, as a whole or not at all."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, probabilities=self.probabilities, batch_ms=self.batch_ms, single_ms=self.single_ms)
        replace_file(partial, path)

    @classmethod
    def load(cls, path: Path) -> "Timed":
        """What `save` wrote.

        Raises:
            ModelFolderError: if the file is damaged.
        """
        try:
            with np.load(path) as found:
                return cls(
                    probabilities=found["probabilities"],
                    batch_ms=float(found["batch_ms"]),
                    single_ms=float(found["single_ms"]),
                )
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise ModelFolderError(f"{path} is damaged ({error}); run without --resume") from None


def timed(probabilities: Probabilities, texts: Sequence[str], *, seed: int = 0) -> Timed:
    """Let a member read reviews, all at once and some by themselves.

    Args:
        probabilities: gives level probabilities of texts, shape ``(text, level)``.
        texts: the reviews.
        seed: decides which ones are timed.
    """
    order = np.random.default_rng(seed).permutation(len(texts))
    few = [texts[row] for row in order[:_TIMED]]
    probabilities(few[:2])  # the first call of a session takes longer
    started = time.perf_counter()
    found = probabilities(texts)
    best = (time.perf_counter() - started) / len(texts)
    begun = time.perf_counter()
    for _ in range(_ROUNDS - 1):
        if time.perf_counter() - begun > _MOST_SECONDS:
            break
        started = time.perf_counter()
        probabilities(few)
        best = min(best, (time.perf_counter() - started) / len(few))
    singles: list[float] = []
    begun = time.perf_counter()
    for text in few[:_SINGLES]:
        started = time.perf_counter()
        probabilities([text])
        singles.append(time.perf_counter() - started)
        if time.perf_counter() - begun > _MOST_SECONDS:
            break
    return Timed(probabilities=found, batch_ms=1000 * best, single_ms=1000 * statistics.median(singles))
