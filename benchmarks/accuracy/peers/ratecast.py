"""ratecast through its command line, with its defaults: `fit` with most of the wall time, then `predict` in the rest."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import arro3.io
import numpy as np

from peers.exchange import note, read_texts, run, write_probabilities

PREFIX = "p_"
"""What the columns of probabilities begin with; the level follows."""
ENDS = ("predicted_low", "predicted_high")
"""Columns of the intervals, which hold 90 % of the ratings by default."""

STARTING_SECONDS = 12.0
"""What starting and ending both commands takes."""
MFLOP_PER_TOKEN = 21.3
"""Products of the default backbone."""


def predicting_seconds(texts: list[str], most_tokens: int) -> float:
    """How long predicting may take at the speed of a large matrix product on this machine, which it about reaches."""
    tokens = sum(min(most_tokens, 10 + len(text) // 4) for text in texts)
    left, right = np.ones((2048, 384), np.float32), np.ones((384, 1536), np.float32)
    left @ right
    started = time.perf_counter()
    for _ in range(50):
        left @ right
    flops = 50 * 2 * left.size * right.shape[1] / (time.perf_counter() - started)
    return tokens * 1e6 * MFLOP_PER_TOKEN / flops


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    with tempfile.TemporaryDirectory() as folder:
        model, scored = Path(folder) / "model", Path(folder) / "scored.parquet"
        # In a short time ratecast reads no more than 128 tokens of a text, which is for its own plan to say: this is a guess.
        predicting = predicting_seconds(read_texts(test), 128 if seconds < 300 else 256)
        note(f"{predicting:.0f} s are kept for predicting")
        budget = [
            "--time-budget",
            f"{seconds - STARTING_SECONDS - predicting:.0f}s",
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
