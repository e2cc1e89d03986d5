import numpy as np

from ratecast.baseline import LinearTextModel, RegressionTask, _sample, fit_baselines, fit_logistic, joined_reviews
from ratecast.data.split import stopping_rows
from ratecast.progress import SilentReporter
from ratecast.records import Reviews, strings
from ratecast.scale import RatingScale

SCALE = RatingScale.parse("1..5")


def test_every_baseline_is_fitted_from_title_and_text() -> None:
    texts = ["nice"] * 40
    titles = [f"{'superb' if row % 2 else 'awful'} thing {row}" for row in range(40)]
    reviews = Reviews(text=strings(texts), title=strings(titles), rating=np.tile([1.0, 5.0], 20))
    found = fit_baselines(reviews, reviews, SCALE, seed=0, reporter=SilentReporter())
    assert {name: made.kind for name, made in found.items()} == {
        "constant": "constant",
        "tfidf-logistic": "linear",
        "tfidf-ridge": "linear",
    }
    for name, made in found.items():
        assert made.seconds >= 0
        means = SCALE.mean(made.model.probabilities(["superb\nnice", "awful\nnice"]))
        assert (means[0] > means[1] + 1) == (name != "constant")


def test_texts_without_words_leave_the_constant_one() -> None:
    reviews = Reviews.from_texts(["!", "?"], [1, 5])
    assert list(fit_baselines(reviews, reviews, SCALE, seed=0, reporter=SilentReporter())) == ["constant"]


def test_penalties_are_chosen_on_a_sample_of_many_validation_reviews() -> None:
    random = np.random.default_rng(0)
    words = np.array(["awful", "bad", "fine", "good", "great"])
    ratings = random.integers(1, 6, 1700).astype(np.float64)
    seen = np.clip(ratings + random.integers(-1, 2, 1700), 1, 5).astype(int)
    reviews = Reviews.from_texts([f"{words[level - 1]} thing {row % 7}" for row, level in enumerate(seen)], ratings)
    train, validation = reviews.take(np.arange(200)), reviews.take(np.arange(200, 1700))
    rows = stopping_rows(1500)
    found = fit_baselines(train, validation, SCALE, seed=0, reporter=SilentReporter())
    expected = fit_logistic(RegressionTask(train, validation.take(rows), SCALE))
    logistic = found["tfidf-logistic"]
    np.testing.assert_allclose(logistic.validation, expected.probabilities(validation.take(rows).joined()), atol=1e-6)
    assert {len(made.validation) for made in found.values()} == {1000}
    assert logistic.reviews == 200
    few = fit_baselines(train, validation, SCALE, seed=0, reporter=SilentReporter(), most_reviews=100)["tfidf-logistic"]
    assert few.reviews == 100
    texts = ["great thing 1", "bad thing 2"]
    drawn = train.take(_sample(SCALE.level_index(train.rated()), 100, 0))
    whole = RegressionTask(joined_reviews(drawn, validation.take(rows)), validation.take(rows), SCALE)
    again = fit_logistic(whole, penalties=(few.model.penalty,))  # type: ignore[union-attr]
    np.testing.assert_allclose(few.model.probabilities(texts), again.probabilities(texts), atol=1e-6)


def test_a_sample_has_every_level() -> None:
    ratings = np.full(3000, 5.0)
    ratings[[7, 2000]] = 1.0, 3.0
    train = Reviews.from_texts([f"thing {row}" for row in range(3000)], ratings)
    found = fit_baselines(train, train.take(np.arange(20)), SCALE, seed=0, reporter=SilentReporter(), most_reviews=40)
    assert isinstance(found["tfidf-logistic"].model, LinearTextModel)
    assert found["tfidf-logistic"].model.levels.tolist() == [0, 2, 4]
    assert found["tfidf-logistic"].reviews == 40
