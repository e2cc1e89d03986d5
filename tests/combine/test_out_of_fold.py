import numpy as np

from ratecast.baseline import RegressionTask, fit_logistic
from ratecast.combine.folds import grouped_folds
from ratecast.combine.out_of_fold import out_of_fold_probabilities
from ratecast.records import Reviews
from ratecast.scale import RatingScale

SCALE = RatingScale.parse("1..5")
WORDS = "awful bad poor fair good great superb phone battery screen film story hotel room".split()


def made_reviews(count: int, seed: int = 0) -> Reviews:
    random = np.random.default_rng(seed)
    words = random.integers(0, len(WORDS), (count, 10))
    ratings = np.clip(np.round(1 + 4 * np.where(words < 7, words, 3).mean(axis=1) / 6 + random.normal(0, 0.4, count)), 1, 5)
    return Reviews.from_texts([" ".join(WORDS[word] for word in row) for row in words], ratings)


def test_each_review_is_predicted_by_a_model_of_the_other_folds() -> None:
    train = made_reviews(250)
    found = out_of_fold_probabilities(train, SCALE, penalty=5.0, seed=3)
    groups = np.arange(250)
    chosen = grouped_folds(groups, 3) == 2
    np.testing.assert_array_equal(out_of_fold_probabilities(train, SCALE, penalty=5.0, groups=groups, seed=3), found)
    model = fit_logistic(RegressionTask(train.take(~chosen), made_reviews(50, 9), SCALE), penalties=(5.0,))
    np.testing.assert_allclose(found[chosen], model.probabilities(train.take(chosen).joined()), atol=1e-12)
    assert model.penalty == 5.0


def test_copies_of_a_text_do_not_predict_each_other() -> None:
    """A word that only copies share would give their rating away."""
    texts = [f"secret word number{row // 2} is here and there {row // 2 * 7}" for row in range(60)]
    ratings = np.repeat(np.random.default_rng(0).choice([1.0, 5.0], 30), 2)
    train = Reviews.from_texts(texts, ratings)
    apart = out_of_fold_probabilities(train, SCALE, penalty=625.0)
    leaking = out_of_fold_probabilities(train, SCALE, penalty=625.0, groups=np.arange(60))
    levels = SCALE.level_index(ratings)
    rows = np.arange(60)
    assert apart[rows, levels].mean() < 0.65 < leaking[rows, levels].mean()


def test_folds_without_words_or_with_one_level_get_the_ratings_shares() -> None:
    train = Reviews.from_texts(["!", "?", ".", ";", ":", "-"], [1, 2, 3, 4, 5, 5])
    found = out_of_fold_probabilities(train, SCALE, penalty=1.0, groups=np.arange(6))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found[np.arange(5), np.arange(5)] < 0.21).all()
    lone = Reviews.from_texts(["good phone", "bad phone"], [1, 5])
    np.testing.assert_allclose(out_of_fold_probabilities(lone, SCALE, penalty=1.0)[0], [0, 0, 0, 0, 1], atol=1e-5)
