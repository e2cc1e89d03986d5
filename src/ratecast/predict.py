"""Predicting with a model folder: a chain of its components, without torch."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from arro3.core import Array, ChunkedArray, Table
from numpy.typing import NDArray

from ratecast.baseline.constant import ConstantModel
from ratecast.baseline.linear import LinearTextModel
from ratecast.combine.blend import Blend
from ratecast.combine.cascade import Cascade
from ratecast.combine.decide import check_optimise, decide
from ratecast.combine.effects import Effects
from ratecast.combine.intervals import Intervals, check_coverage
from ratecast.config import Optimise
from ratecast.data import Source, load_reviews
from ratecast.data.used import Kind, lacking_in
from ratecast.errors import ModelFolderError
from ratecast.evaluate.contest import Contest
from ratecast.model.graph import OnnxGraph
from ratecast.model.network import Network
from ratecast.model.static import STATIC, StaticModel
from ratecast.model.store import MANIFEST, METRICS_FILE, Component, Manifest, read_manifest, sha256, verify
from ratecast.processors import available_processors
from ratecast.progress import Reporter
from ratecast.records import Predictions, Review, Reviews
from ratecast.scale import FloatArray, RatingScale
from ratecast.text.unknown import MUCH_OF_ONE

NO_RATINGS: Final = "none"
"""What a model folder says of the ratings that it has seen if there were none."""
Found = TypeVar("Found")


class TextModel(Protocol):
    """Anything that gives level probabilities for texts."""

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""


class Predictor:
    """A loaded model: members whose probabilities are blended, and what is made of the blend.

    Args:
        folder: the model folder.
        manifest: what its ``model.json`` holds.
        threads: processor threads; one for each processor that this process may use by default.
        device: what networks compute on, "cpu" or "cuda".
        network: what computes in place of the folder's own graph, which need not be there then.

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
        self._threads, self._device, self._network = threads, device, network
        kinds = [manifest.component(name).kind for name in manifest.chain]
        if kinds[:1] not in (["blend"], ["cascade"]) or kinds[1:] not in ([], ["effects"]):
            raise ModelFolderError(
                f"{folder} predicts with a chain of {', '.join(kinds) or 'nothing'}; expected a blend or a cascade, and "
                "perhaps the effects of columns: fit the model again, or upgrade ratecast"
            )
        first, *effects = (self._checked(name) for name in manifest.chain)
        files = list(first.files)
        self.cascade = Cascade.load(folder, files, self.scale) if first.kind == "cascade" else None
        self.blend = Blend.load(folder, files, self.scale) if self.cascade is None else self.cascade.full
        self.effects = Effects.load(folder, list(effects[0].files), self.scale) if effects else None
        names = (self.cascade or self.blend).members
        self._members = {name: self._load(self._checked(name)) for name in names}

    @property
    def scale(self) -> RatingScale:
        """The scale that ratings are predicted on."""
        return self.manifest.scale

    @property
    def used(self) -> Mapping[str, Kind]:
        """Columns besides the text that the model reads, and what they hold; `load_reviews` takes it as ``used``."""
        return {} if self.effects is None else self.effects.kinds

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
        return self.cascade is not None

    @property
    def threads(self) -> int:
        """Processor threads that it was loaded for."""
        return self._threads or available_processors()

    @property
    def has_network(self) -> bool:
        """Whether a member is a network, which computes on all threads by itself."""
        return any(isinstance(member, Network) for member in self._members.values())

    @property
    def most_tokens(self) -> int | None:
        """How many tokens of a review a network reads at most; None where no member is one."""
        read = [member.encoder.settings for member in self._members.values() if isinstance(member, Network)]
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
                return Intervals.load(self.folder, list(self._checked(part.name).files))
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
        probabilities, warnings, passed_on = self._explained(batch, reporter)
        warnings = warnings if lacking is None else tuple((*of_review, lacking) for of_review in warnings)
        decided = decide(probabilities, self.scale, optimise or self.optimise, self.thresholds)
        found = Predictions(
            probabilities=probabilities,
            scale=self.scale,
            id=batch.id,
            warnings=warnings,
            decided=decided,
            passed_on=passed_on,
        )
        if self.intervals is None:
            return found
        return replace(found, interval=self.intervals.intervals(probabilities, self.scale, coverage))

    def check_answer(self, *, coverage: float | None = None, optimise: Optimise | None = None) -> None:
        """Find out before long work whether `predict` can answer so; arguments and errors as there."""
        check_optimise(optimise or self.optimise, self.scale)
        if coverage is not None:
            check_coverage(coverage)

    def check_rows(self, table: Table, first_row: int) -> None:
        """Every row can be scored, so that nothing is checked; where several models are one, a row may be of none of them."""

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Probability of each level, shape ``(text, level)``."""
        return self._explained(Reviews.from_texts(texts), None)[0]

    def members(self, texts: Sequence[str], reporter: Reporter | None = None) -> dict[str, FloatArray]:
        """What each member of the blend says by itself: probabilities of shape ``(text, level)`` by its name."""
        return {
            name: member.probabilities(texts, reporter) if isinstance(member, Network) else member.probabilities(texts)
            for name, member in self._members.items()
        }

    def combined(self, members: Mapping[str, FloatArray], reviews: Reviews) -> FloatArray:
        """The model's probabilities, shape ``(review, level)``, from those of its members by name and the used columns."""
        found = self.blend.apply(members) if self.cascade is None else self.cascade.apply(members, self.scale)
        return found if self.effects is None else self.effects.apply(found, reviews)

    def baselines(self) -> dict[str, TextModel]:
        """The simple models that this one was compared with, by name.

        Raises:
            ModelFolderError: if a file of theirs is missing or damaged.
        """
        return {
            name: self._members[name] if name in self._members else self._load(self._checked(name))
            for name in self.manifest.baselines
        }

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
        lines += [f"predicts with  {(self.cascade or self.blend).describe()}"]
        lines += [f"columns        {line}" for line in ([] if self.effects is None else self.effects.describe())]
        if self.intervals is not None:
            lines += [f"intervals      hold {100 * self.intervals.coverage:g} % of the ratings"]
        lines += [f"baselines      {', '.join(self.manifest.baselines) or 'none'}"]
        lines += [f"component      {part.name} ({part.kind}): {', '.join(part.files)}" for part in self.manifest.components]
        return lines

    def _explained(
        self, reviews: Reviews, reporter: Reporter | None
    ) -> tuple[FloatArray, tuple[tuple[str, ...], ...], NDArray[np.bool_] | None]:
        """Level probabilities, shape ``(review, level)``, what to know of each review, and which ones a cascade passed on."""
        texts = reviews.joined()
        if self.cascade is None:
            members, notes = self._read(self.blend.members, texts, reporter)
            found, passed_on = self.blend.apply(members), None
        else:
            members, notes = self._read(self.cascade.first.members, texts, reporter)
            found = self.cascade.first.apply(members)
            passed_on = self.cascade.passed_on(found, self.scale)
            if passed_on.any():
                rows = np.flatnonzero(passed_on)
                later, more = self._read(self.cascade.later_members, [texts[row] for row in rows], reporter)
                later |= {name: probabilities[rows] for name, probabilities in members.items()}
                found[rows] = self.cascade.full.apply(later)
                for row, note in zip(rows, more, strict=True):
                    notes[row] = note or notes[row]
        warnings = tuple(note if text.strip() else ("the text is empty",) for text, note in zip(texts, notes, strict=True))
        return found if self.effects is None else self.effects.apply(found, reviews), warnings, passed_on

    def _read(
        self, names: Sequence[str], texts: Sequence[str], reporter: Reporter | None
    ) -> tuple[dict[str, FloatArray], list[tuple[str, ...]]]:
        """Level probabilities of some members by name, shape ``(text, level)``, and what to know of each text."""
        found: dict[str, FloatArray] = {}
        notes: list[tuple[str, ...]] = [() for _ in texts]
        for name in names:
            member = self._members[name]
            if isinstance(member, Network):
                found[name], shortened, unknown = member.explained(texts, reporter)
                note = (f"the middle of the text was left out: {member.encoder.settings.describe()} are read",)
                notes = [note if is_short else () for is_short in shortened]
                notes = [_with_unknown(note, fraction) for note, fraction in zip(notes, unknown, strict=True)]
            else:
                found[name] = member.probabilities(texts)
        return found, notes

    def _recorded(self, read: Callable[[Any], Found]) -> Found:
        """What was measured when the model was fitted."""
        path = self.folder / METRICS_FILE
        try:
            return read(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(
                f"cannot read {path} ({type(error).__name__}: {error}); the model itself may be whole"
            ) from None

    def _checked(self, name: str) -> Component:
        component = self.manifest.component(name)
        verify(self.folder, component)
        return component

    def _load(self, component: Component) -> Network | LinearTextModel | ConstantModel | StaticModel:
        files = list(component.files)
        if component.kind == "onnx":
            if self._network is not None:
                return self._network
            return OnnxGraph.load(self.folder, component, len(self.scale), self._threads, self._device)
        if component.kind == "constant":
            return ConstantModel.load(self.folder, files, self.scale)
        if component.kind == "linear":
            return LinearTextModel.load(self.folder, files, self.scale)
        if component.kind == STATIC:
            return StaticModel.load(self.folder, files, len(self.scale))
        raise ModelFolderError(f"{self.folder} has a component of the unknown kind {component.kind!r}; upgrade ratecast")


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


def _with_unknown(notes: tuple[str, ...], fraction: float) -> tuple[str, ...]:
    """What to know of a review, a share of whose tokens the model does not know."""
    if fraction <= MUCH_OF_ONE:
        return notes
    return (*notes, f"{fraction:.0%} of the text's tokens are unknown to the model's backbone")


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
