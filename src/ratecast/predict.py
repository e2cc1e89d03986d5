"""Predicting with a model folder: a chain of its components, without torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from ratecast.baseline.constant import ConstantModel
from ratecast.baseline.linear import LinearTextModel
from ratecast.data import Source, load_reviews
from ratecast.errors import ModelFolderError
from ratecast.evaluate.contest import Contest
from ratecast.model.graph import OnnxGraph
from ratecast.model.store import Component, Manifest, read_manifest, verify
from ratecast.progress import Reporter
from ratecast.records import Predictions, Review, Reviews
from ratecast.scale import FloatArray, RatingScale

METRICS_FILE: Final = "metrics.json"


class TextModel(Protocol):
    """Anything that gives level probabilities for texts."""

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""


class Predictor:
    """A loaded model.

    Args:
        folder: the model folder.
        manifest: what its ``model.json`` holds.
        threads: processor threads; all cores by default.

    Raises:
        ModelFolderError: if a file that is needed is missing or damaged.
    """

    def __init__(self, folder: Path, manifest: Manifest, threads: int | None = None) -> None:
        self.folder = folder
        self.manifest = manifest
        self._threads = threads
        if len(manifest.chain) != 1:
            raise ModelFolderError(f"{folder} chains {len(manifest.chain)} components; this version of ratecast knows one")
        component = manifest.component(manifest.chain[0])
        if component.kind != "onnx":
            raise ModelFolderError(f"{folder} predicts with a component of the kind {component.kind!r}; expected 'onnx'")
        verify(folder, component)
        self._graph = OnnxGraph.load(folder, component, len(manifest.scale), threads)

    @property
    def scale(self) -> RatingScale:
        """The scale that ratings are predicted on."""
        return self.manifest.scale

    def predict(
        self, reviews: Sequence[str] | Sequence[Review] | Reviews | Source, *, reporter: Reporter | None = None
    ) -> Predictions:
        """Predict the rating of each review.

        Args:
            reviews: texts, reviews, or a frame whose columns are found by name and content.
            reporter: shows the progress; nothing by default.

        Raises:
            DataError: if the input is none of these, or a frame without a text column.

        Example:
            ``model.predict(["Great phone, poor battery"])[0].rating``
        """
        batch = as_reviews(reviews)
        texts = batch.joined()
        probabilities, shortened = self._graph.explained(texts, reporter)
        kept = self._graph.encoder.settings.max_tokens
        warnings = tuple(
            ("the text is empty",)
            if not text.strip()
            else (f"the middle of the text was left out: {kept} tokens are read",)
            if is_short
            else ()
            for text, is_short in zip(texts, shortened, strict=True)
        )
        return Predictions(probabilities=probabilities, scale=self.scale, id=batch.id, warnings=warnings)

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""
        return self._graph.probabilities(texts)

    def baselines(self) -> dict[str, TextModel]:
        """The simple models that this one was compared with, by name.

        Raises:
            ModelFolderError: if a file of theirs is missing or damaged.
        """
        return {name: self._baseline(self.manifest.component(name)) for name in self.manifest.baselines}

    def contest(self) -> Contest:
        """How the model compared with its baselines on the test reviews when it was fitted.

        Raises:
            ModelFolderError: if the folder's record of it is missing or damaged.
        """
        path = self.folder / METRICS_FILE
        try:
            return Contest.from_json(json.loads(path.read_text(encoding="utf-8"))["test"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(
                f"cannot read {path} ({type(error).__name__}: {error}); the model itself may be whole"
            ) from None

    def describe(self) -> list[str]:
        """Lines that say what this model is."""
        size = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        about = self.manifest.about
        lines = [f"model folder   {self.folder} ({size / 1e6:.0f} MB)", f"rating scale   {self.scale.describe()}"]
        lines += [f"{key.replace('_', ' '):<14} {value}" for key, value in about.items() if not isinstance(value, dict | list)]
        lines += [f"predicts with  {' → '.join(self.manifest.chain)}"]
        lines += [f"baselines      {', '.join(self.manifest.baselines) or 'none'}"]
        lines += [f"component      {part.name} ({part.kind}): {', '.join(part.files)}" for part in self.manifest.components]
        return lines

    def _baseline(self, component: Component) -> TextModel:
        verify(self.folder, component)
        files = list(component.files)
        if component.kind == "constant":
            return ConstantModel.load(self.folder, files, self.scale)
        if component.kind == "linear":
            return LinearTextModel.load(self.folder, files, self.scale)
        raise ModelFolderError(f"{self.folder} has a baseline of the unknown kind {component.kind!r}; upgrade ratecast")


def load(folder: str | Path, *, threads: int | None = None) -> Predictor:
    """Load a model from its folder.

    Args:
        folder: what ``ratecast fit`` or `ratecast.fit` wrote.
        threads: processor threads; all cores by default.

    Raises:
        ModelFolderError: if it is no model folder, or damaged, incomplete or of a newer format.
    """
    path = Path(folder)
    return Predictor(path, read_manifest(path), threads)


def as_reviews(reviews: Any) -> Reviews:
    """Reviews from texts, single reviews or a frame."""
    if isinstance(reviews, Reviews):
        return reviews
    if isinstance(reviews, np.ndarray) and reviews.ndim == 1:
        reviews = reviews.tolist()
    if isinstance(reviews, Sequence) and not isinstance(reviews, str) and all(isinstance(review, Review) for review in reviews):
        return Reviews.from_reviews(reviews)
    if isinstance(reviews, str | list | tuple):
        return Reviews.from_texts(reviews)
    return load_reviews(reviews, need_rating=False, drop_duplicates=False).reviews
