"""Predicting with a model folder: a chain of its components, without torch."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from arro3.core import Array, ChunkedArray, Table

from ratecast.chain import Chain, TextModel, checked_component
from ratecast.combine.decide import check_optimise, decide
from ratecast.combine.intervals import Intervals, check_coverage
from ratecast.config import Optimise
from ratecast.data import Source, load_reviews
from ratecast.data.used import Kind, lacking_in
from ratecast.errors import ModelFolderError
from ratecast.evaluate.contest import Contest
from ratecast.model.network import Network
from ratecast.model.store import MANIFEST, METRICS_FILE, Manifest, read_manifest, sha256
from ratecast.processors import available_processors
from ratecast.progress import Reporter
from ratecast.records import Predictions, Review, Reviews
from ratecast.scale import FloatArray, RatingScale

NO_RATINGS: Final = "none"
"""What a model folder says of the ratings that it has seen if there were none."""
Found = TypeVar("Found")


class Predictor:
    """A loaded model: members whose probabilities are blended, and what is made of the blend.

    Args:
        folder: the model folder.
        manifest: what its ``model.json`` holds.
        threads: processor threads; one for each processor that this process may use by default.
        device: what networks compute on, "cpu" or "cuda".
        network: what computes in place of the folder's own graph, which need not be there then.

    Attributes:
        folder: as above.
        manifest: as above.
        chain: what turns texts into probabilities.

    Raises:
        ConfigError: if the device is unknown or cannot be used here.
        ModelFolderError: if a file that is needed is missing or damaged, or the chain is of no kind that is known.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        threads: int | None = None,
        device: str = "cpu",
        network: Network | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.chain = Chain(folder, manifest, threads, device, network)
        self._threads = threads

    @property
    def scale(self) -> RatingScale:
        """The scale that ratings are predicted on."""
        return self.manifest.scale

    @property
    def used(self) -> Mapping[str, Kind]:
        """Columns besides the text that the model reads, and what they hold; `load_reviews` takes it as ``used``."""
        return {} if self.chain.effects is None else self.chain.effects.kinds

    @property
    def columns(self) -> Mapping[str, str]:
        """Names by role of the table's columns that it was fitted on; `load_reviews` takes it as ``known``."""
        return self.manifest.columns

    @property
    def fingerprint(self) -> str:
        """Hash of all that its predictions depend on."""
        return sha256(self.folder / MANIFEST)

    @property
    def is_cascade(self) -> bool:
        """Whether a quicker blend answers first and passes on what it is unsure of."""
        return self.chain.cascade is not None

    @property
    def threads(self) -> int:
        """Processor threads that it was loaded for."""
        return self._threads or available_processors()

    @property
    def has_network(self) -> bool:
        """Whether a member is a network, which computes on all threads by itself."""
        return bool(self.chain.networks)

    @property
    def most_tokens(self) -> int | None:
        """How many tokens of a review a network reads at most; None where no member is one."""
        read = [network.encoder.settings for network in self.chain.networks]
        return max((settings.max_tokens * settings.windows for settings in read), default=None)

    @property
    def optimise(self) -> Optimise:
        """The metric that ratings are decided for unless another one is asked for."""
        chosen: Optimise = self.manifest.about.get("optimise", "rmse")
        return chosen

    @property
    def has_seen_ratings(self) -> bool:
        """Whether rated reviews took part in making this model; if not, it was judged on none either."""
        return bool(self.manifest.about.get("ratings_seen") != NO_RATINGS)

    @cached_property
    def intervals(self) -> Intervals | None:
        """What makes prediction intervals; None if the model has none."""
        for part in self.manifest.components:
            if part.kind == "intervals":
                return Intervals.load(self.folder, list(checked_component(self.folder, self.manifest, part.name).files))
        return None

    @cached_property
    def thresholds(self) -> FloatArray | None:
        """Expected ratings at which levels begin where QWK counts, shape ``(level - 1,)``; None on a continuous scale."""
        for part in self.manifest.components:
            if part.kind == "thresholds":
                found: FloatArray = np.asarray(part.settings["thresholds"], dtype=np.float64)
                if found.shape != (len(self.scale) - 1,):
                    raise ModelFolderError(
                        f"{self.folder} is damaged: found {found.size} thresholds of {len(self.scale)} levels"
                    )
                return found
        return None

    def predict(
        self,
        reviews: Sequence[str] | Sequence[Review] | Reviews | Source,
        *,
        coverage: float | None = None,
        optimise: Optimise | None = None,
        reporter: Reporter | None = None,
    ) -> Predictions:
        """Predict the rating of each review.

        Args:
            reviews: texts, reviews, or a frame whose columns are found by name and content.
            coverage: share of ratings that the intervals shall hold; the model's own, mostly 0.9, by default.
            optimise: the metric that the ratings shall be best in: "rmse" (the mean), "mae" (the median), "accuracy" (the most
                probable level) or "qwk" (levels cut at fitted thresholds); what the model was fitted for by default.
            reporter: shows the progress; nothing by default.

        Raises:
            DataError: if the input is none of these, or a frame without a text column.
            ConfigError: if the coverage is not between 0 and 1, or the scale has no levels for the metric.

        Example:
            ``model.predict(["Great phone, poor battery"])[0].rating``
        """
        self.check_answer(coverage=coverage, optimise=optimise)
        batch, lacking = as_reviews(reviews, self.used, self.columns)
        output = self.chain.run(batch, reporter)
        warnings = output.warnings if lacking is None else tuple((*of_review, lacking) for of_review in output.warnings)
        decided = decide(output.probabilities, self.scale, optimise or self.optimise, self.thresholds)
        found = Predictions(
            probabilities=output.probabilities,
            scale=self.scale,
            id=batch.id,
            warnings=warnings,
            decided=decided,
            passed_on=output.passed_on,
        )
        if self.intervals is None:
            return found
        return replace(found, interval=self.intervals.intervals(output.probabilities, self.scale, coverage))

    def check_answer(self, *, coverage: float | None = None, optimise: Optimise | None = None) -> None:
        """Find out before long work whether `predict` can answer so; arguments and errors as there."""
        check_optimise(optimise or self.optimise, self.scale)
        if coverage is not None:
            check_coverage(coverage)

    def check_rows(self, table: Table, first_row: int) -> None:
        """Every row can be scored, so that nothing is checked; where several models are one, a row may be of none of them."""

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""
        return self.chain.run(Reviews.from_texts(texts), None).probabilities

    def baselines(self) -> dict[str, TextModel]:
        """The simple models that this one was compared with, by name.

        Raises:
            ModelFolderError: if a file of theirs is missing or damaged.
        """
        return {name: self.chain.model(name) for name in self.manifest.baselines}

    def contest(self) -> Contest:
        """How the model compared with its baselines on reviews that it did not learn from when it was fitted.

        Raises:
            ModelFolderError: if the folder's record of it is missing or damaged.
        """
        return self._recorded(lambda record: Contest.from_json(record | record["test"]))  # older ones tell judged_on apart

    def notes(self) -> list[str]:
        """What to know of the model besides the contest, a sentence or two each.

        Raises:
            ModelFolderError: if the folder's record of it is missing or damaged.
        """
        return self._recorded(lambda record: [str(note) for note in record["notes"]])

    def describe(self) -> list[str]:
        """Lines that say what this model is."""
        size = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        about = self.manifest.about
        lines = [f"model folder   {self.folder} ({size / 1e6:.0f} MB)", f"rating scale   {self.scale.describe()}"]
        lines += [f"{key.replace('_', ' '):<14} {value}" for key, value in about.items() if not isinstance(value, dict | list)]
        lines += [f"predicts with  {(self.chain.cascade or self.chain.blend).describe()}"]
        lines += [f"columns        {line}" for line in ([] if self.chain.effects is None else self.chain.effects.describe())]
        if self.intervals is not None:
            lines += [f"intervals      hold {100 * self.intervals.coverage:g} % of the ratings"]
        lines += [f"baselines      {', '.join(self.manifest.baselines) or 'none'}"]
        lines += [f"component      {part.name} ({part.kind}): {', '.join(part.files)}" for part in self.manifest.components]
        return lines

    def _recorded(self, read: Callable[[Any], Found]) -> Found:
        """What was measured when the model was fitted."""
        path = self.folder / METRICS_FILE
        try:
            return read(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(
                f"cannot read {path} ({type(error).__name__}: {error}); the model itself may be whole"
            ) from None


def load(folder: str | Path, *, threads: int | None = None, device: str = "cpu", network: Network | None = None) -> Predictor:
    """Load a model from its folder.

    Args:
        folder: what ``ratecast fit`` or `ratecast.fit` wrote.
        threads: processor threads; one for each processor that this process may use by default.
        device: what networks compute on: "cpu", or "cuda" where ``onnxruntime-gpu`` is installed in place of ``onnxruntime``.
        network: what computes in place of the folder's own graph, which need not be there then.

    Raises:
        ConfigError: if the device is unknown or cannot be used here.
        ModelFolderError: if it is no model folder, or damaged, incomplete or of a newer format.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    try:
        predictor = Predictor(path, manifest, threads, device, network)
        predictor.check_answer()
        _ = predictor.thresholds, predictor.intervals  # which are read only when they are needed
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:  # what is in the files is not what should be
        raise ModelFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); fit again or restore the folder"
        ) from error
    return predictor


def with_predictions(table: Table, predictions: Predictions) -> tuple[Table, list[str]]:
    """The table with the columns of the predictions after its own, and the names of columns that these took the place of."""
    added = predictions.columns()
    replaced = [name for name in table.column_names if name in added]
    scored = table.drop_columns(replaced) if replaced else table
    for name, values in added.items():
        scored = scored.append_column(name, ChunkedArray([Array.from_numpy(np.ascontiguousarray(values))]))
    return scored, replaced


def as_reviews(
    reviews: Any, used: Mapping[str, Kind] | None = None, known: Mapping[str, str] | None = None
) -> tuple[Reviews, str | None]:
    """Reviews from texts, single reviews or a frame, and what to know of used columns that a frame lacks.

    Args:
        reviews: what `Predictor.predict` takes.
        used: columns of a frame that the model uses, as for `load_reviews`.
        known: names of the columns that the model was fitted on, as for `load_reviews`.
    """
    if isinstance(reviews, Reviews):
        return reviews, None  # which its maker was told of
    if isinstance(reviews, np.ndarray) and reviews.ndim == 1:
        reviews = reviews.tolist()
    if isinstance(reviews, Sequence) and not isinstance(reviews, str) and all(isinstance(review, Review) for review in reviews):
        batch = Reviews.from_reviews(reviews)
        return batch, lacking_in(batch, used or {})
    if isinstance(reviews, str | list | tuple):
        batch = Reviews.from_texts(reviews)
        return batch, lacking_in(batch, used or {})
    loaded = load_reviews(reviews, need_rating=False, drop_duplicates=False, used=used or {}, known=known, describe=False)
    return loaded.reviews, loaded.lacking
