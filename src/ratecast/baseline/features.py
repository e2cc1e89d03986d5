"""TF-IDF features of texts: fitted with scikit-learn, computed with NumPy alone."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ratecast.data.near import UNSPACED
from ratecast.errors import require
from ratecast.scale import FloatArray, IntArray

MAX_FEATURES: Final = 200_000
FEW_TEXTS: Final = 200
"""With fewer training texts, a gram that occurs in a single text is a feature too."""

_EMOJI: Final = "\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff"
_TOKEN = re.compile(rf"[{UNSPACED}{_EMOJI}]|[^\W{UNSPACED}]{{2,}}")


def grams(text: str) -> list[str]:
    """Lower-case words of two characters or more, and pairs of neighbouring words joined by a space.

    The words are those of scikit-learn's ``TfidfVectorizer``. Besides, a character of a script without spaces (Chinese,
    Japanese, Thai...) counts as a word, so that such texts are described by single characters and pairs, also where they are
    mixed with Latin words; and so does an emoji.

    Example:
        >>> grams("A great phone")
        ['great', 'phone', 'great phone']
        >>> grams("好用👍")
        ['好', '用', '👍', '好 用', '用 👍']
    """
    words = _TOKEN.findall(text.lower())
    return words + [f"{one} {next_one}" for one, next_one in pairwise(words)]


@dataclass(frozen=True)
class SparseRows:
    """A matrix of shape ``(row, column)`` that is mostly zero (compressed sparse rows).

    Attributes:
        values: the numbers that are not zero, row by row.
        columns: the column of each, ascending within a row.
        starts: where each row begins in the two others, shape ``(row + 1,)``.
    """

    values: FloatArray
    columns: IntArray
    starts: IntArray

    def times(self, weights: NDArray[np.floating]) -> FloatArray:
        """Product with a dense matrix of shape ``(column, output)``, of shape ``(row, output)``."""
        product = np.zeros((len(self.starts) - 1, weights.shape[1]))
        filled = np.flatnonzero(np.diff(self.starts))
        if len(filled):
            terms = weights[self.columns] * self.values[:, np.newaxis]
            product[filled] = np.add.reduceat(terms, self.starts[filled], axis=0)
        return product


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """TF-IDF vectors of unit length: (1 + ln count) · idf for each gram, as scikit-learn computes them.

    The vocabulary is saved as a JSON list, ``<name>.vocabulary.json``; the idf lies in the linear model's own file.

    Attributes:
        vocabulary: the column of each gram.
        idf: inverse document frequency of each column, ln((1 + texts) / (1 + texts with the gram)) + 1.
    """

    vocabulary: dict[str, int]
    idf: NDArray[np.float32]

    def transform(self, texts: Sequence[str]) -> SparseRows:
        """Vectors of the texts, shape ``(text, column)``; a text without a known gram has the zero vector."""
        lookup = self.vocabulary.get
        counted = [sorted(Counter(c for c in map(lookup, grams(text)) if c is not None).items()) for text in texts]
        starts = np.cumsum([0, *map(len, counted)])
        flat = np.fromiter(chain.from_iterable(chain.from_iterable(counted)), np.int64, 2 * int(starts[-1])).reshape(-1, 2)
        columns = flat[:, 0]
        values = (1 + np.log(flat[:, 1])) * self.idf[columns]
        rows = np.repeat(np.arange(len(texts)), np.diff(starts))
        lengths = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(texts)))
        return SparseRows(values / lengths[rows], columns, starts)

    def save(self, folder: Path, name: str) -> str:
        """Write the vocabulary into a folder and return the name of the file."""
        file = f"{name}.vocabulary.json"
        ordered = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        (folder / file).write_text(json.dumps(ordered, ensure_ascii=False), encoding="utf-8")
        return file

    @classmethod
    def load(cls, folder: Path, file: str, idf: NDArray[np.float32]) -> "TextFeatures":
        """The features whose vocabulary `save` wrote.

        Raises:
            OSError, ValueError: if the file cannot be read or does not fit the idf.
        """
        ordered = json.loads((folder / file).read_text(encoding="utf-8"))
        if len(ordered) != len(idf):
            raise ValueError(f"{len(ordered)} grams, {len(idf)} features")
        return cls(vocabulary={gram: column for column, gram in enumerate(ordered)}, idf=idf)


def fit_features(texts: Sequence[str]) -> TextFeatures:
    """Vocabulary and idf of the training texts: grams in at least two texts, the 200,000 most frequent of them.

    Returns:
        Features, without a single column if no text has a word.

    Raises:
        MissingExtraError: if scikit-learn is not installed.
    """
    sklearn_text = require("sklearn.feature_extraction.text", "train", "fitting the baselines")
    vectorizer = sklearn_text.TfidfVectorizer(
        analyzer=grams, sublinear_tf=True, min_df=1 if len(texts) < FEW_TEXTS else 2, max_features=MAX_FEATURES
    )
    try:
        vectorizer.fit(texts)
    except ValueError:  # how scikit-learn says that there is nothing to count
        return TextFeatures(vocabulary={}, idf=np.empty(0, dtype=np.float32))
    vocabulary = {gram: int(column) for gram, column in vectorizer.vocabulary_.items()}
    return TextFeatures(vocabulary=vocabulary, idf=vectorizer.idf_.astype(np.float32))
