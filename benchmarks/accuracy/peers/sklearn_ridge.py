"""scikit-learn: TF-IDF and ridge regression on the ratings; n-grams and alpha by cross-validated squared error."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge

from peers.exchange import Clock, Training, read_texts, read_training, run, write_ratings
from peers.ngrams import Linear, tuned


def fit(matrix, training: Training, strength: float) -> Ridge:
    """Ridge regression with a penalty."""
    return Ridge(alpha=strength, solver="sparse_cg", tol=1e-4).fit(matrix, training.ratings)


def loss(model: Ridge, matrix, training: Training) -> float:
    """Mean squared error, predictions clipped to the levels that occur."""
    found = np.clip(model.predict(matrix), training.levels[0], training.levels[-1])
    return float(np.mean((found - training.ratings) ** 2))


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    linear = Linear((1.0, 3.0, 0.3, 2.0, 0.5, 10.0, 30.0), fit, loss)
    training = read_training(train)
    model, matrix = tuned(training, read_texts(test), linear, Clock(seconds), seed)
    write_ratings(out, model.predict(matrix), training.levels)


if __name__ == "__main__":
    run(main)
