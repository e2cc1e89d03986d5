"""What an engine and the race hand to each other: requests on standard input, a line of JSON for each on standard output.

A script is run as ``python -m engines.<name> TRAIN TEST MAX_TOKENS [FOLDER]``. TRAIN and TEST are Parquet files as in the
contest of accuracy, FOLDER is a model folder of ratecast. A request is ``{"rows": [start, stop]}``, or ``{"row": n}`` for a
single review.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peers.exchange import Training, read_texts, read_training

Predict = Callable[[list[str]], np.ndarray | None]
"""Ratings of texts; None where an engine's output layer was not trained, so that only its speed says something."""


_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever a library prints from now on goes to standard error


@dataclass(frozen=True)
class Given:
    """What a script is given."""

    train: Path
    test: Path
    max_tokens: int
    folder: Path | None

    def training(self) -> Training:
        """The rated reviews."""
        return read_training(self.train)

    def texts(self) -> list[str]:
        """The test reviews."""
        return read_texts(self.test)


def given() -> Given:
    """What the command line gives."""
    train, test, tokens, *folder = sys.argv[1:]
    return Given(Path(train), Path(test), int(tokens), Path(folder[0]) if folder else None)


def megabytes(paths: Sequence[Path]) -> float:
    """Size of files, in 10^6 bytes."""
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def serve(texts: list[str], predict: Predict, *, size_mb: float, note: str = "") -> None:
    """Answer requests until there are no more."""
    print(json.dumps({"size_mb": size_mb, "note": note}), file=_ANSWERS, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        chosen = [texts[request["row"]]] if "row" in request else texts[slice(*request["rows"])]
        started = time.perf_counter()
        ratings = predict(chosen)
        answer = {"seconds": time.perf_counter() - started, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
        found = None if ratings is None else list(map(float, ratings))
        print(json.dumps(answer | {"ratings": found}), file=_ANSWERS, flush=True)
