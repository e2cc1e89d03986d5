"""fastText: its own autotune beside its tutorial's settings, the better on a held-out part, then fitted to all reviews."""

import re
import resource
import time
from pathlib import Path

import fasttext
import numpy as np

from peers.exchange import Clock, Training, note, read_texts, read_training, run, write_probabilities

MEMORY = 12 * 2**30
"""Autotune may try gigantic tables; above this many bytes a trial fails, which autotune mostly survives."""
TUNED = ("lr", "dim", "ws", "epoch", "minCount", "wordNgrams", "minn", "maxn", "bucket")
"""What autotune may choose."""
_WORDS = {"lr": 0.5, "wordNgrams": 2, "bucket": 200_000}
_CHARACTERS = _WORDS | {"minn": 2, "maxn": 5, "dim": 50}
TUTORIAL = [_WORDS | {"epoch": epoch} for epoch in (5, 10, 25)] + [_CHARACTERS | {"epoch": epoch} for epoch in (5, 10)]
"""Settings in the way of fastText's tutorials; autotune alone often finds nothing in a few minutes."""


def line(text: str) -> str:
    """A text as fastText's documentation prepares it: lower case, punctuation set apart, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"([^\w\s]|_)", r" \1 ", text.lower())).strip()


def save(training: Training, path: Path) -> str:
    """Write reviews in fastText's format."""
    pairs = zip(training.level, training.texts, strict=True)
    path.write_text("".join(f"__label__{level} {line(text)}\n" for level, text in pairs), encoding="utf-8")
    return str(path)


def probabilities(model, texts: list[str], levels: int) -> np.ndarray:
    """Probability of each level, shape ``(text, level)``."""
    labels, values = model.predict([line(text) for text in texts], k=-1)
    found = np.zeros((len(texts), levels))
    for row, names in enumerate(labels):
        found[row, [int(name.removeprefix("__label__")) for name in names]] = values[row]
    return found / found.sum(axis=1, keepdims=True)


def tune(training: Training, folder: Path, clock: Clock, seed: int):
    """The model of least squared error on a held-out part: fitted to all reviews with its settings if there is time."""
    inside, outside = training.held_out(0.15, 2000, seed)
    tuned_on, validated_on = save(inside, folder / "tune.txt"), save(outside, folder / "validation.txt")
    options = {"thread": 2, "verbose": 0, "seed": seed}
    duration = max(5, int(0.5 * clock.left()))
    trials = []
    begun = time.monotonic()
    try:
        model = fasttext.train_supervised(tuned_on, autotuneValidationFile=validated_on, autotuneDuration=duration, **options)
        chosen = {name: getattr(model.f.getArgs(), name) for name in TUNED}
        trials.append((error(model, outside), chosen, max(1.0, time.monotonic() - begun - duration), model))
    except MemoryError:
        note("autotune chose a model that is too large, and ended")
    for settings in TUTORIAL:
        if trials and clock.left() < 4 * trials[-1][2]:
            break
        begun = time.monotonic()
        model = fasttext.train_supervised(tuned_on, **settings, **options)
        trials.append((error(model, outside), settings, max(1.0, time.monotonic() - begun), model))
    for squared, settings, seconds, _ in trials:
        note(f"squared error {squared:.3f}, {seconds:.1f} s: {settings}")
    _, settings, seconds, model = min(trials, key=lambda trial: trial[0])
    if 2 * seconds > clock.left():
        note("no time to fit the chosen settings to all reviews")
        return model
    return fasttext.train_supervised(save(training, folder / "train.txt"), **settings, **options)


def error(model, reviews: Training) -> float:
    """Mean squared error of the expected ratings."""
    found = probabilities(model, reviews.texts, len(reviews.levels)) @ reviews.levels
    return float(np.mean((found - reviews.ratings) ** 2))


def main(train: Path, test: Path, out: Path, seconds: float, seed: int) -> None:
    """Fit and predict."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    training = read_training(train)
    model = tune(training, out.parent, Clock(seconds), seed)
    write_probabilities(out, probabilities(model, read_texts(test), len(training.levels)), training.levels)


if __name__ == "__main__":
    run(main)
