"""ratecast through its command line, with its defaults: `fit` with most of the wall time, then `predict` in the rest."""

import subprocess
import sys
import tempfile
from pathlib import Path

import arro3.io
import numpy as np

from peers.exchange import run, write_probabilities

PREFIX = "p_"
"""What the columns of probabilities begin with; the level follows."""
ENDS = ("predicted_low", "predicted_high")
"""Columns of the intervals, which hold 90 % of the ratings by default."""

FITTING_SHARE = 0.9
STARTING_SECONDS = 10.0
"""What is left of the wall time belongs to predicting."""


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    with tempfile.TemporaryDirectory() as folder:
        model, scored = Path(folder) / "model", Path(folder) / "scored.parquet"
        budget = [
            "--time-budget",
            f"{FITTING_SHARE * seconds - STARTING_SECONDS:.0f}s",
            "--test-fraction",
            "0",
            "--seed",
            str(seed),
        ]
        for arguments in (["fit", train, "--out", model, *budget], ["predict", model, test, "--out", scored]):
            status = subprocess.run([sys.executable, "-m", "ratecast", *map(str, arguments)], check=False).returncode
            if status:
                sys.exit(status)  # its last line says why
        table = arro3.io.read_parquet(scored).read_all()
    columns = [name for name in table.column_names if name.startswith(PREFIX)]
    probabilities = np.stack([table[name].to_numpy() for name in columns], axis=1)
    ends = [table[name].to_numpy() for name in ENDS if name in table.column_names]
    levels = [float(name.removeprefix(PREFIX)) for name in columns]
    write_probabilities(out, probabilities, levels, np.stack(ends, axis=1) if ends else None)


if __name__ == "__main__":
    run(main)
