"""scikit-learn: TF-IDF and multinomial logistic regression; n-grams and C by cross-validated log loss."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from peers.exchange import Clock, Training, read_texts, read_training, run, write_probabilities
from peers.ngrams import Linear, tuned


def fit(matrix, training: Training, strength: float) -> LogisticRegression:
    """Logistic regression over the levels, C being the inverse of the penalty."""
    return LogisticRegression(C=strength, max_iter=300).fit(matrix, training.level)


def loss(model: LogisticRegression, matrix, training: Training) -> float:
    """Mean negative log-probability of the true level; one that was not fitted counts as a probability of one in a million."""
    probabilities = np.full((len(training), len(training.levels)), 1e-6)
    probabilities[:, model.classes_] = model.predict_proba(matrix)
    return float(-np.log(np.maximum(probabilities[np.arange(len(training)), training.level], 1e-6)).mean())


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    training = read_training(train)
    linear = Linear((3.0, 10.0, 1.0, 5.0, 2.0, 30.0, 0.3, 100.0), fit, loss)
    model, matrix = tuned(training, read_texts(test), linear, Clock(seconds), seed)
    write_probabilities(out, model.predict_proba(matrix), training.levels)


if __name__ == "__main__":
    run(main)
