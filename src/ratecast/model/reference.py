"""What a graph that was made smaller has to answer, so that a processor on which it answers otherwise is found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

REFERENCE_FILE: Final = "reference.npz"
EXACT_FILE: Final = "exact.onnx"
"""The float32 graph, where it was kept."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Token ids, and what the float32 graph makes of them.

    Attributes:
        feeds: the graph's inputs by name, shape ``(row, token)``, and ``(row, width)`` where it takes vectors.
        outputs: the exact graph's first output, shape ``(row, level)`` or ``(row, width)``.
        tolerance: largest difference from it that is taken for the work of rounding.
    """

    feeds: Mapping[str, NDArray[Any]]
    outputs: NDArray[np.float32]
    tolerance: float

    def difference(self, session: Any) -> float:
        """Largest difference of a graph's output from the exact one."""
        return float(np.abs(session.run(None, dict(self.feeds))[0] - self.outputs).max())

    def save(self, path: Path) -> None:
        """Write it."""
        feeds: dict[str, Any] = {f"feed_{name}": values for name, values in self.feeds.items()}
        np.savez(path, outputs=self.outputs, tolerance=self.tolerance, **feeds)

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Read what `save` wrote."""
        with np.load(path) as stored:
            feeds = {name.removeprefix("feed_"): stored[name] for name in stored if name.startswith("feed_")}
            return cls(feeds=feeds, outputs=stored["outputs"], tolerance=float(stored["tolerance"]))
