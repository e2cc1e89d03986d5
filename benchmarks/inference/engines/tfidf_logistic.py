"""TF-IDF of words and word pairs with logistic regression, scikit-learn's defaults apart from the pairs."""

import pickle

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from engines.exchange import given, serve


def main() -> None:
    """Fit it and answer."""
    asked = given()
    training = asked.training()
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=3.0, max_iter=300)).fit(training.texts, training.level)
    levels = training.levels[model.classes_]
    serve(asked.texts(), lambda texts: model.predict_proba(texts) @ levels, size_mb=len(pickle.dumps(model)) / 1e6)


if __name__ == "__main__":
    main()
