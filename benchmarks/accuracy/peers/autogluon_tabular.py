"""AutoGluon's tabular predictor on the text column, of which it makes n-grams and other features itself."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from peers.exchange import Clock, note, read_texts, read_training, run, write_probabilities
from peers.vision import declare_operators

LONG_SECONDS = 20 * 60
"""From here on its preset for accuracy, with bagging, in place of the one for quick results: that one needs the time."""


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    declare_operators()
    from autogluon.tabular import TabularPredictor

    clock, training, texts = Clock(seconds), read_training(train), read_texts(test)
    table = pd.DataFrame({"text": training.texts, "level": training.level})
    predictor = TabularPredictor(label="level", problem_type="multiclass", eval_metric="log_loss", path="predictor")
    preset = "best_quality" if seconds >= LONG_SECONDS else "medium_quality"
    limit = max(10.0, 0.85 * clock.left() - 5)
    note(f"{preset}, {limit:.0f} s")
    predictor.fit(table, presets=preset, time_limit=limit, num_cpus=2, num_gpus=0)
    note(f"fitted; {clock.left():.0f} s left")
    begun = time.monotonic()
    found = predictor.predict_proba(pd.DataFrame({"text": texts}))
    note(f"predicted in {time.monotonic() - begun:.0f} s with {predictor.model_best}")
    probabilities = np.zeros((len(texts), len(training.levels)))
    probabilities[:, [int(level) for level in found.columns]] = found.to_numpy()
    write_probabilities(out, probabilities, training.levels)


if __name__ == "__main__":
    run(main)
