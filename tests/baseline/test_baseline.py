import numpy as np

from ratecast.baseline import fit_baselines
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
