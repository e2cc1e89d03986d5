import numpy as np
import pytest

from ratecast.baseline.features import SparseRows, TextFeatures, fit_features, grams
from ratecast.scale import FloatArray

WORDS = "great phone poor battery the screen was not bad at all café naïve 5g it's don't X ist groß Ärger".split()
CHINESE = "这手机电池好用我三个月问题屏清楚推荐不错很差"


def made_texts(words: list[str], separator: str, count: int = 300) -> list[str]:
    random = np.random.default_rng(0)
    return [separator.join(random.choice(words, length)) for length in random.integers(1, 30, count)]


def dense(rows: SparseRows, columns: int) -> FloatArray:
    matrix = np.zeros((len(rows.starts) - 1, columns))
    for row, (begin, end) in enumerate(zip(rows.starts, rows.starts[1:], strict=False)):
        matrix[row, rows.columns[begin:end]] = rows.values[begin:end]
    return matrix


@pytest.mark.parametrize(
    ("words", "separator", "settings"),
    [
        (WORDS, " ", {"ngram_range": (1, 2)}),
        (WORDS, ", ", {"ngram_range": (1, 2)}),
        (list(CHINESE), "", {"analyzer": "char", "ngram_range": (1, 2)}),
    ],
)
def test_vectors_equal_those_of_scikit_learn(words: list[str], separator: str, settings: dict[str, object]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    unknown = ["新", "未"] if separator == "" else ["unseen", "new"]
    train, new = made_texts(words, separator), [*made_texts([*words, *unknown], separator, 50), "", "?!", words[0].upper()]
    reference = TfidfVectorizer(sublinear_tf=True, min_df=2, **settings).fit(train)
    features = fit_features(train)
    plain = {gram.replace(" ", "") if "analyzer" in settings else gram: gram for gram in features.vocabulary}
    assert set(plain) == set(reference.vocabulary_)
    order = [features.vocabulary[plain[gram]] for gram in reference.get_feature_names_out()]
    for texts in (train, new):
        found = dense(features.transform(texts), len(order))[:, order]
        np.testing.assert_allclose(found, reference.transform(texts).toarray(), rtol=0, atol=1e-6)


def test_words_of_mixed_scripts_and_emoji_are_counted() -> None:
    assert grams("iPhone手机 is OK👍") == ["iphone", "手", "机", "is", "ok", "👍", *grams("iPhone手机 is OK👍")[6:]]
    assert "手 机" in grams("iPhone手机")
    assert grams("a I ?!") == []


def test_rare_grams_are_left_out_only_where_texts_are_many() -> None:
    few = ["one two", "three four", "one three"]
    assert len(fit_features(few).vocabulary) == 7
    assert set(fit_features(few * 100 + ["once", "one off"]).vocabulary) == {
        *grams("one two"),
        *grams("three four"),
        "one three",
    }
    assert fit_features(["?", "!!"]).vocabulary == {}


def test_product_equals_the_dense_one_with_empty_rows_anywhere() -> None:
    features = fit_features(["good phone", "bad phone", "bad"])
    texts = ["", "good bad phone", "?", "", "bad bad", "unknown"]
    weights = np.random.default_rng(0).normal(size=(len(features.idf), 3))
    rows = features.transform(texts)
    np.testing.assert_allclose(rows.times(weights), dense(rows, len(weights)) @ weights, atol=1e-12)
    assert features.transform([]).times(weights).shape == (0, 3)


def test_a_text_of_megabytes_is_one_vector_of_unit_length() -> None:
    features = fit_features(["good phone", "bad phone"])
    rows = features.transform(["good phone " * 200_000])
    assert np.linalg.norm(rows.values) == pytest.approx(1)
    assert isinstance(features, TextFeatures)
