"""What a peer's script and the contest hand to each other: tables in, predictions out, and the time left.

A script is run as ``python -m peers.<name> TRAIN TEST OUT SECONDS SEED``. TRAIN is a Parquet file with the columns ``text``
and ``rating``, TEST one with ``text`` alone. SECONDS is the wall time that the whole script has, from its start.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import arro3.io
import numpy as np

_STARTED = float(os.environ.get("CONTEST_STARTED") or time.time())  # imports count, so the contest tells when it began

MINILM_TOKENS = 128
"""At how many tokens the peers that fine-tune MiniLM cut a text, as ratecast and most recipes do."""


@dataclass(frozen=True)
class Training:
    """Rated reviews. ``level`` is the index of each rating among ``levels``, the ratings that occur, ascending."""

    texts: list[str]
    ratings: np.ndarray
    levels: np.ndarray
    level: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: np.ndarray) -> "Training":
        """Some of the reviews, with the levels of all."""
        return Training([self.texts[row] for row in rows], self.ratings[rows], self.levels, self.level[rows])

    def held_out(self, fraction: float, most: int, seed: int) -> tuple["Training", "Training"]:
        """The reviews without, and with only, a random part that a peer may tune on; a level's last review stays inside."""
        order = np.random.default_rng(seed).permutation(len(self))
        _, kept = np.unique(self.level[order], return_index=True)  # one of each level
        free = np.delete(order, kept)
        chosen = free[: max(1, min(most, round(fraction * len(self))))]
        return self.take(np.setdiff1d(order, chosen)), self.take(chosen)


def read_training(path: Path) -> Training:
    """The rated reviews in a file."""
    table = arro3.io.read_parquet(path).read_all()
    ratings = np.array(table["rating"].to_pylist(), dtype=np.float64)
    levels, level = np.unique(ratings, return_inverse=True)
    return Training(table["text"].to_pylist(), ratings, levels, level)


def read_texts(path: Path) -> list[str]:
    """The texts in a file."""
    return list(arro3.io.read_parquet(path).read_all()["text"].to_pylist())


def write_probabilities(
    path: Path, probabilities: np.ndarray, levels: Sequence[float] | np.ndarray, interval: np.ndarray | None = None
) -> None:
    """Write probabilities, shape ``(review, level)``, and 90 % intervals, ``(review, 2)``, of a peer that has them."""
    content = {"probabilities": probabilities, "levels": levels} | ({} if interval is None else {"interval": interval})
    np.savez(path, **{name: np.asarray(values, dtype=np.float64) for name, values in content.items()})


def write_ratings(path: Path, ratings: np.ndarray, levels: Sequence[float] | np.ndarray) -> None:
    """Write bare predicted ratings, shape ``(review,)``, of a peer without probabilities, and the levels to round them to."""
    np.savez(path, ratings=np.asarray(ratings, dtype=np.float64), levels=np.asarray(levels, dtype=np.float64))


class Clock:
    """The wall time of a script, counted from its start, imports included."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def left(self) -> float:
        """Seconds that are left of the budget."""
        return self.seconds - (time.time() - _STARTED)


def note(message: str) -> None:
    """Tell what was chosen or planned; it goes into the run's log."""
    print(message, file=sys.stderr, flush=True)


def batches_by_length(lengths: Sequence[int], size: int) -> Iterator[np.ndarray]:
    """Row numbers in batches of about equal length, the longest first, so that little is padded."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    yield from (order[start : start + size] for start in range(0, len(order), size))


def run(main: Callable[[Path, Path, Path, float, int], None]) -> None:
    """Call a script's main function with the command line's arguments."""
    train, test, out, seconds, seed = sys.argv[1:]
    main(Path(train), Path(test), Path(out), float(seconds), int(seed))
