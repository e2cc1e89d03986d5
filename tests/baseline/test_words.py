"""Word vectors that learn from ratings alone."""

from pathlib import Path
from typing import Any

import numpy as np

from ratecast import FitConfig, RatingScale
from ratecast.baseline import Baseline
from ratecast.baseline.words import fit_word_vectors
from ratecast.progress import SilentReporter
from ratecast.records import Reviews
from ratecast.train.loop import Run

GRADES = ("awful", "bad", "fine", "good", "great")
SCALE = RatingScale.parse("1..5")


def reviews_of(count: int, seed: int, weights: np.ndarray | None = None) -> Reviews:
    random = np.random.default_rng(seed)
    levels = random.integers(0, 5, count)
    texts = [f"thing {row % 97} is {GRADES[level]}" for row, level in enumerate(levels)]
    return Reviews.from_texts(texts, levels + 1, weights)


def fitted(folder: Path, train: Reviews, seed: int = 0, **settings: Any) -> Baseline:
    run = Run(
        config=FitConfig().with_values(seed=seed, **settings),
        folder=folder,
        fingerprint="",
        resume=False,
        reporter=SilentReporter(),
        log_folder=folder,
    )
    return fit_word_vectors(train, reviews_of(100, 1), SCALE, run, class_weights="none")


def test_they_learn_what_words_say_of_ratings(tmp_path: Path) -> None:
    found = fitted(tmp_path, reviews_of(1000, 0))
    expected = SCALE.mean(found.model.probabilities([f"thing 3 is {grade}" for grade in GRADES]))
    np.testing.assert_allclose(expected, [1, 2, 3, 4, 5], atol=0.5)
    np.testing.assert_allclose(found.validation, found.model.probabilities(reviews_of(100, 1).joined()), atol=1e-6)
    assert found.reviews == 1000


def test_the_seed_decides_and_settings_of_a_backbone_do_not(tmp_path: Path) -> None:
    train = reviews_of(200, 0)
    first = fitted(tmp_path, train)
    np.testing.assert_array_equal(first.validation, fitted(tmp_path, train, steps=1, learning_rate=1.0).validation)
    assert not np.array_equal(first.validation, fitted(tmp_path, train, seed=1).validation)


def test_reviews_of_weight_zero_teach_nothing(tmp_path: Path) -> None:
    train, level = reviews_of(400, 0), np.arange(400) % 5 + 1
    weights = (np.arange(400) < 200).astype(float)
    wrong = Reviews(text=train.text, rating=np.where(weights > 0, train.rated(), level), weight=weights)
    again = Reviews(text=train.text, rating=np.where(weights > 0, train.rated(), 6.0 - level), weight=weights)
    one, other = (fitted(tmp_path, part).model.probabilities(["thing 3 is great", "is bad"]) for part in (wrong, again))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_a_text_without_a_known_word_has_an_answer(tmp_path: Path) -> None:
    found = fitted(tmp_path, Reviews.from_texts([f"w{row}" for row in range(40)], np.arange(40) % 5 + 1))
    np.testing.assert_allclose(found.model.probabilities(["", "never seen"]).sum(axis=1), 1)
