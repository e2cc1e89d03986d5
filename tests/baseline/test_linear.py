import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ratecast.baseline import linear
from ratecast.baseline.constant import FLOOR, floored
from ratecast.baseline.linear import LinearTextModel, RegressionTask, fit_logistic, fit_ridge, normal_levels
from ratecast.errors import DataError, ModelFolderError
from ratecast.records import Reviews
from ratecast.scale import FloatArray, RatingScale

SCALE = RatingScale.parse("1..5")
WORDS = "awful bad poor fair good great superb the a phone battery screen was and very film story hotel room".split()

Fit = Callable[[RegressionTask], LinearTextModel]
both_fits = pytest.mark.parametrize("fit", [fit_logistic, fit_ridge])


def made_reviews(count: int, seed: int, levels: tuple[float, ...] = SCALE.levels) -> Reviews:
    """Reviews whose ratings follow from the words that they use, with some noise."""
    random = np.random.default_rng(seed)
    texts, ratings = [], []
    for _ in range(count):
        words = random.choice(len(WORDS), 12)
        opinions = words[words < 7]
        value = 1 + 4 * opinions.mean() / 6 if len(opinions) else 3.0
        texts.append(" ".join(WORDS[word] for word in words))
        ratings.append(min(levels, key=lambda level, value=value: abs(level - value - random.normal(0, 0.4))))  # type: ignore[misc]
    return Reviews.from_texts(texts, ratings)


@pytest.fixture(scope="module")
def task() -> RegressionTask:
    return RegressionTask(made_reviews(600, seed=0), made_reviews(200, seed=1), SCALE)


def rmse(model: LinearTextModel, reviews: Reviews) -> float:
    return float(np.sqrt(((SCALE.mean(model.probabilities(reviews.joined())) - reviews.rated()) ** 2).mean()))


@both_fits
def test_models_learn_what_words_mean(task: RegressionTask, fit: Fit) -> None:
    test = made_reviews(300, seed=2)
    assert rmse(fit(task), test) < 0.8 * test.rated().std()


def test_logistic_probabilities_equal_those_of_scikit_learn(task: RegressionTask, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    monkeypatch.setattr(linear, "INVERSE_PENALTIES", (10.0,))
    train, test = made_reviews(600, seed=0), made_reviews(100, seed=2).joined()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    reference = make_pipeline(vectorizer, LogisticRegression(C=10.0, solver="newton-cg")).fit(train.joined(), train.rated())
    found = fit_logistic(task).probabilities(test)
    np.testing.assert_allclose(found, reference.predict_proba(test), atol=1e-4)


def test_ridge_is_a_normal_distribution_around_the_prediction_of_scikit_learn(
    task: RegressionTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.stats import norm
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    monkeypatch.setattr(linear, "PENALTIES", (1.0,))
    train, validation, test = made_reviews(600, seed=0), made_reviews(200, seed=1), made_reviews(100, seed=2).joined()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    reference = make_pipeline(vectorizer, Ridge(alpha=1.0)).fit(train.joined(), train.rated())
    spread = np.sqrt(((reference.predict(validation.joined()) - validation.rated()) ** 2).mean())
    cumulative = norm.cdf(np.array([-np.inf, 1.5, 2.5, 3.5, 4.5, np.inf]), reference.predict(test)[:, None], spread)
    np.testing.assert_allclose(fit_ridge(task).probabilities(test), np.diff(cumulative, axis=1), atol=2e-3)


def test_the_integral_over_levels_equals_scipys_for_discrete_and_continuous_scales() -> None:
    from scipy.stats import norm

    random = np.random.default_rng(0)
    for scale in (SCALE, RatingScale.parse("1,2,4,5"), RatingScale.continuous(random.normal(size=500))):
        means = np.array([-50.0, 1.0, 2.9, 5.0, 70.0])
        cuts = np.concatenate([[-np.inf], scale.cut_points(), [np.inf]])
        found = normal_levels(means, 0.7, scale)
        np.testing.assert_allclose(found, np.diff(norm.cdf(cuts, means[:, None], 0.7), axis=1), atol=1e-12)


@both_fits
def test_the_penalty_with_the_least_validation_rmse_is_chosen(
    task: RegressionTask, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "INVERSE_PENALTIES" if fit is fit_logistic else "PENALTIES"
    penalties: tuple[float, ...] = getattr(linear, name)
    validation = made_reviews(200, seed=1)
    each = []
    for penalty in penalties:
        monkeypatch.setattr(linear, name, (penalty,))
        each.append(rmse(fit(task), validation))
    monkeypatch.setattr(linear, name, penalties)
    assert rmse(fit(task), validation) == pytest.approx(min(each))
    assert np.argmin(each) not in (0, len(each) - 1), "the best lies within the list, so that its ends suffice here"


@pytest.mark.parametrize("levels", [(1.0, 5.0), (1.0, 3.0, 4.0)])
@both_fits
def test_levels_that_training_never_saw_get_a_tiny_probability(fit: Fit, levels: tuple[float, ...]) -> None:
    model = fit(RegressionTask(made_reviews(200, 0, levels), made_reviews(100, 1, levels), SCALE))
    probabilities = model.probabilities(made_reviews(50, seed=2).joined())
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.min() >= FLOOR * 0.99
    if fit is fit_logistic:
        absent = [index for index, level in enumerate(SCALE.levels) if level not in levels]
        assert probabilities[:, absent].max() <= FLOOR


def test_two_levels_are_binary_logistic_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(linear, "INVERSE_PENALTIES", (3.0,))
    scale = RatingScale.parse("0,1")
    train = made_reviews(300, 0, (0.0, 1.0, 5.0))
    train = Reviews.from_texts(train.joined(), (train.rated() > 1).astype(float))
    task = RegressionTask(train, train, scale)
    reference = LogisticRegression(C=3.0, tol=1e-8).fit(task.matrix, train.rated())
    np.testing.assert_allclose(
        fit_logistic(task).probabilities(train.joined()), floored(reference.predict_proba(task.matrix)), atol=2e-3
    )


@both_fits
def test_saved_models_come_back_exactly_and_equal_models_give_equal_files(
    task: RegressionTask, fit: Fit, tmp_path: Path
) -> None:
    texts = [*made_reviews(30, seed=2).joined(), "", "entirely unknown words 未知", "good " * 50_000]
    model = fit(task)
    files = model.save(tmp_path, "tfidf")
    assert sorted(files) == ["tfidf.safetensors", "tfidf.vocabulary.json"]
    loaded = LinearTextModel.load(tmp_path, files[::-1], SCALE)
    np.testing.assert_array_equal(loaded.probabilities(texts), model.probabilities(texts))
    one_by_one = np.concatenate([loaded.probabilities([text]) for text in texts])
    np.testing.assert_allclose(one_by_one, loaded.probabilities(texts), atol=1e-12)
    assert loaded.probabilities([]).shape == (0, 5)
    again = tmp_path / "again"
    again.mkdir()
    fit(RegressionTask(made_reviews(600, seed=0), made_reviews(200, seed=1), SCALE)).save(again, "tfidf")
    for file in files:
        assert (again / file).read_bytes() == (tmp_path / file).read_bytes()


def test_saved_models_need_no_scikit_learn(task: RegressionTask, tmp_path: Path) -> None:
    fit_ridge(task).save(tmp_path, "ridge")
    code = (
        "import sys, pathlib\n"
        "from ratecast.baseline import LinearTextModel\n"
        "from ratecast.scale import RatingScale\n"
        "files = ['ridge.safetensors', 'ridge.vocabulary.json']\n"
        "model = LinearTextModel.load(pathlib.Path(sys.argv[1]), files, RatingScale.parse('1..5'))\n"
        "model.probabilities(['good phone'])\n"
        "print({'sklearn', 'scipy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_damaged_files_are_told(task: RegressionTask, tmp_path: Path) -> None:
    files = fit_logistic(task).save(tmp_path, "model")
    with pytest.raises(ModelFolderError, match="does not fit"):
        LinearTextModel.load(tmp_path, files, RatingScale.parse("1..3"))
    (tmp_path / files[1]).write_text('["good"]')
    with pytest.raises(ModelFolderError, match="cannot read the linear baseline"):
        LinearTextModel.load(tmp_path, files, SCALE)
    (tmp_path / files[0]).write_bytes(b"damaged")
    with pytest.raises(ModelFolderError, match="cannot read the linear baseline"):
        LinearTextModel.load(tmp_path, files, SCALE)
    with pytest.raises(ModelFolderError, match="cannot read the linear baseline"):
        LinearTextModel.load(tmp_path, files[:1], SCALE)


def test_continuous_scale_gives_a_probability_for_each_bin() -> None:
    reviews = made_reviews(300, seed=0)
    ratings: FloatArray = reviews.rated() * 20 + np.random.default_rng(0).uniform(-5, 5, 300)
    reviews = Reviews.from_texts(reviews.joined(), ratings)
    scale = RatingScale.continuous(ratings)
    task = RegressionTask(reviews, reviews, scale)
    for model in (fit_logistic(task), fit_ridge(task)):
        probabilities = model.probabilities(reviews.joined())
        assert probabilities.shape == (300, len(scale))
        assert np.corrcoef(scale.mean(probabilities), ratings)[0, 1] > 0.6


def test_nothing_to_learn_from_is_told(task: RegressionTask) -> None:
    empty = Reviews.from_texts(["!", "?", "..."], [1, 2, 3])
    for fit in (fit_logistic, fit_ridge):
        with pytest.raises(DataError, match="no words"):
            fit(RegressionTask(empty, empty, SCALE))
    same = Reviews.from_texts(["good one", "bad one"], [3, 3])
    with pytest.raises(DataError, match="all 2 training ratings are of one level"):
        fit_logistic(RegressionTask(same, same, SCALE))
