"""What a contest is held on: a data set, a wall time and training rows; and the files that peers get of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arro3.core as arrow
import arro3.io
import numpy as np

from ratecast.data.write import write_table
from ratecast.scale import RatingScale

NEEDED = ("text", "rating", "split")
"""Columns of a file that takes part; a column ``title`` is put on a line before the text."""


@dataclass(frozen=True)
class Setting:
    """How much is given to every model: wall time, and training rows (None for all)."""

    minutes: float
    rows: int | None

    @property
    def name(self) -> str:
        """The setting in a file's name."""
        return f"{self.minutes:g}m" + ("" if self.rows is None else f"-{self.rows}rows")

    @property
    def title(self) -> str:
        """The setting in a heading."""
        return f"{self.time}, {'all' if self.rows is None else f'{self.rows:,}'} training rows"

    @property
    def time(self) -> str:
        """The wall time in words."""
        return f"{self.minutes:g} minute" + ("" if self.minutes == 1 else "s")

    @classmethod
    def parse(cls, name: str) -> "Setting":
        """The setting of a name."""
        minutes, _, rows = name.partition("-")
        return cls(float(minutes.removesuffix("m")), int(rows.removesuffix("rows")) if rows else None)


@dataclass(frozen=True)
class Dataset:
    """A file of reviews.

    Attributes:
        name: the file's name without its ending.
        fingerprint: beginning of the file's SHA-256, so that results of another version of it are never mixed in.
        texts: title and text of every review.
        ratings: shape ``(review,)``.
        is_test: which reviews are for the table alone, shape ``(review,)``.
        scale: the scale of the whole file.
    """

    name: str
    fingerprint: str
    texts: np.ndarray
    ratings: np.ndarray
    is_test: np.ndarray
    scale: RatingScale

    @classmethod
    def read(cls, path: Path) -> "Dataset":
        """The reviews in a Parquet file."""
        table = arro3.io.read_parquet(path).read_all()
        texts = table["text"].to_pylist()
        titles = table["title"].to_pylist() if "title" in table.column_names else [None] * len(texts)
        joined = [f"{title}\n{text}" if title else text for title, text in zip(titles, texts, strict=True)]
        ratings = np.array(table["rating"].to_pylist(), dtype=np.float64)
        is_test = np.array(table["split"].to_pylist()) == "test"
        fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
        return cls(path.stem, fingerprint, np.array(joined, dtype=object), ratings, is_test, RatingScale.infer(ratings))

    @property
    def key(self) -> str:
        """What the folders of this version of the file are called."""
        return f"{self.name}-{self.fingerprint}"

    def training_rows(self) -> int:
        """Number of reviews that models may learn from."""
        return int((~self.is_test).sum())

    def write_parts(self, folder: Path, rows: int | None, seed: int) -> tuple[Path, Path]:
        """Write the rated training reviews and the unrated test reviews, if they are not there yet.

        Fewer rows are the first of one random order, so that those of a smaller contest are among those of a larger.
        """
        folder.mkdir(parents=True, exist_ok=True)
        train = folder / ("train.parquet" if rows is None else f"train-{rows}rows-seed{seed}.parquet")
        test = folder / "test.parquet"
        chosen = np.flatnonzero(~self.is_test)
        if rows is not None:
            chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:rows])
        if not train.exists():
            _write(train, self.texts[chosen], self.ratings[chosen])
        if not test.exists():
            _write(test, self.texts[self.is_test], None)
        return train, test


def find(folder: Path, names: Sequence[str]) -> list[Path]:
    """The Parquet files of a folder that have the needed columns, or those of the given names."""
    found = {}
    for path in sorted(folder.glob("*.parquet")):
        if set(NEEDED) <= set(arro3.io.read_parquet(path).schema.names):
            found[path.stem] = path
    unknown = [name for name in names if name not in found]
    if unknown or not found:
        has = ", ".join(found) or "none"
        raise SystemExit(
            f"expected Parquet files with the columns {', '.join(NEEDED)} in {folder}, found {has}"
            + (f"; not there: {', '.join(unknown)}" if unknown else "")
        )
    return [found[name] for name in names or found]


def _write(path: Path, texts: np.ndarray, ratings: np.ndarray | None) -> None:
    columns: dict[str, Any] = {"text": arrow.Array(list(texts), arrow.DataType.utf8())}
    if ratings is not None:
        columns["rating"] = arrow.Array.from_numpy(ratings)
    write_table(arrow.Table.from_pydict(columns), path)
