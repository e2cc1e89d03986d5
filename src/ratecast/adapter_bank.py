"""Many models with adapters over one backbone: each review is rated by the one that is named for it."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from arro3.core import Table
from numpy.typing import NDArray

from ratecast.config import Optimise
from ratecast.data.used import Kind, used_labels
from ratecast.data.values import read_labels
from ratecast.errors import BackboneError, ConfigError, DataError, ModelFolderError, require
from ratecast.predict import Predictor, load
from ratecast.progress import Reporter
from ratecast.records import Predictions, Reviews, StringArray
from ratecast.scale import RatingScale

require("torch", "train", "many adapters over one backbone")

from torch import nn  # noqa: E402 - it is what was just looked for

from ratecast.model.adapters.folder import (  # noqa: E402 - as above
    AdapterFolder,
    LoadedAdapter,
    has_adapter,
    load_base,
    read_adapter,
    rebuild,
)
from ratecast.model.backbone import Backbone  # noqa: E402 - as above
from ratecast.model.rater import TorchNetwork  # noqa: E402 - as above
from ratecast.model.store import is_model  # noqa: E402 - as above

_NAMED: Final = 10
"""So many names are told where one is not among them."""


class AdapterBank:
    """Several models that share the weights of one backbone, each with an adapter and a head of its own.

    Every adapter has modules of its own around the same tensors of the backbone: methods of every kind stand beside each other,
    nothing is switched, and a further adapter takes only the memory of its own weights. (Adapters that peft holds in one model
    would all have to be of one method.) What `ratecast pack` leaves of a model is enough.

    Args:
        folders: the model folder of each adapter, by the name that it is asked for by.
        backbone: name or folder of their backbone, if it is no longer where it was.

    Raises:
        ModelFolderError: if a folder is no model, has no adapter, is damaged, or has another scale than the others.
        BackboneError: if the backbone cannot be found, or an adapter belongs to another one.
        DataError: if there is no adapter.

    Example:
        ``AdapterBank({"hotels": "hotels/", "phones": "phones/"}).predict(texts, ["hotels", "phones", "hotels"])``
    """

    def __init__(self, folders: Mapping[str, str | Path], *, backbone: str | None = None) -> None:
        if not folders:
            raise DataError("expected the folder of at least one adapter")
        self._found = {name: read_adapter(folder) for name, folder in folders.items()}
        first = next(iter(self._found.values()))
        for other in self._found.values():
            _check_alike(first, other)
        base = load_base(first, backbone)
        self.scale: RatingScale = first.scale
        self._loaded = {name: rebuild(each, _sharing(base)) for name, each in self._found.items()}

    @classmethod
    def open(cls, folder: str | Path, *, only: str | None = None, backbone: str | None = None) -> "AdapterBank":
        """The models with adapters in a folder, each called by the name of its own folder there.

        Args:
            folder: what they lie in.
            only: name of the one that is needed; all by default.
            backbone: as above; errors are those above, too.
        """
        models = {path.name: path for path in sorted(Path(folder).glob("*")) if is_model(path) and has_adapter(path)}
        if models and only is not None:
            if only not in models:
                raise DataError(f"there is no adapter {only!r}; expected {_one_of(tuple(models))}")
            models = {only: models[only]}
        if not models:
            what = "is a model itself: give the folder that it lies in" if is_model(folder) else "holds none"
            raise ModelFolderError(f"expected a folder of models that were fitted with adapters; {folder} {what}")
        return cls(models, backbone=backbone)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the adapters."""
        return tuple(self._loaded)

    def __getitem__(self, name: str) -> LoadedAdapter:
        """The network with the adapter of that name, without what its model makes of it.

        Raises:
            DataError: if there is none.
        """
        if name not in self._loaded:
            raise DataError(f"there is no adapter {name!r}; expected {_one_of(self.names)}")
        return self._loaded[name]

    @cached_property
    def models(self) -> Mapping[str, Predictor]:
        """Each model as a whole, with its blend, calibration and intervals; its network is computed by torch.

        Raises:
            ModelFolderError: if a model's folder is damaged.
        """
        found = {}
        for name, adapter in self._found.items():
            loaded = self._loaded[name]
            found[name] = load(adapter.folder, network=TorchNetwork(loaded.rater, loaded.encoder))
        return found

    def predict(
        self,
        reviews: Sequence[str] | Reviews,
        adapters: Sequence[str],
        *,
        coverage: float | None = None,
        optimise: Optimise | None = None,
        reporter: Reporter | None = None,
    ) -> Predictions:
        """Predict the rating of each review, with the model that is named for it; they may be mixed.

        Args:
            reviews: texts or reviews.
            adapters: name of an adapter for each of them.
            coverage: as for `Predictor.predict`.
            optimise: as for `Predictor.predict`.
            reporter: shows the progress; nothing by default.

        Returns:
            What each model says of its reviews by itself, in their order. There are intervals if every model has some.

        Raises:
            DataError: if there are not as many names as reviews, or there is no adapter of a name.
            ConfigError: if the coverage is not between 0 and 1, or the scale has no levels for the metric.
            ModelFolderError: if a model's folder is damaged.
        """
        batch = reviews if isinstance(reviews, Reviews) else Reviews.from_texts(reviews)
        if len(batch) != len(adapters):
            raise DataError(f"found {len(adapters)} names of adapters for {len(batch)} reviews; expected one for each")
        self.check_answer(coverage=coverage, optimise=optimise)
        rows_of: dict[str, list[int]] = {}
        for row, name in enumerate(adapters):
            rows_of.setdefault(name, []).append(row)
        for name in rows_of:
            _ = self[name]
        parts = []
        for name, rows in rows_of.items():
            chosen = np.array(rows)
            said = self.models[name].predict(batch.take(chosen), coverage=coverage, optimise=optimise, reporter=reporter)
            parts.append((chosen, said))
        return self._joined(batch, parts)

    def check_answer(self, *, coverage: float | None = None, optimise: Optimise | None = None) -> None:
        """Find out before long work whether every model can answer so; arguments and errors as for `predict`."""
        for model in self.models.values():
            model.check_answer(coverage=coverage, optimise=optimise)

    def _joined(self, reviews: Reviews, parts: Sequence[tuple[NDArray[np.int64], Predictions]]) -> Predictions:
        """Predictions of some rows each as those of all."""
        probabilities, decided = np.empty((len(reviews), len(self.scale))), np.empty(len(reviews))
        has_intervals = all(model.intervals is not None for model in self.models.values())
        interval = np.empty((len(reviews), 2)) if has_intervals else None
        warnings: list[tuple[str, ...]] = [() for _ in range(len(reviews))]
        for rows, said in parts:
            probabilities[rows], decided[rows] = said.probabilities, said.rating
            if interval is not None and said.interval is not None:
                interval[rows] = said.interval
            for row, told in zip(rows, said.warnings or (), strict=True):
                warnings[row] = told
        return Predictions(
            probabilities=probabilities,
            scale=self.scale,
            id=reviews.id,
            interval=interval,
            warnings=tuple(warnings),
            decided=decided,
        )


class SwitchedModel:
    """The models of a bank as one, which `score_table` takes: a column names each review's adapter, or all have the same.

    Args:
        folder: folder of models, as `AdapterBank.open` takes it.
        column: column of a table that names the adapter of each review.
        adapter: name of the adapter of all of them; one of the two is needed.
        backbone: name or folder of the backbone, if it is no longer where it was.

    Raises:
        DataError: if there is no adapter of that name.
        RatecastError: as `AdapterBank.open` does.
    """

    has_network: Final = True
    is_cascade: Final = False

    def __init__(
        self, folder: str | Path, *, column: str | None = None, adapter: str | None = None, backbone: str | None = None
    ) -> None:
        self.folder = Path(folder)
        self.bank = AdapterBank.open(folder, only=adapter, backbone=backbone)
        self._column, self._adapter = column, adapter
        self._asked = self.bank.models

    @property
    def threads(self) -> int:
        """Processor threads that each model was loaded for."""
        return next(iter(self._asked.values())).threads

    @property
    def fingerprint(self) -> str:
        """Hash of all that the predictions depend on."""
        content = [self._column, self._adapter, *(f"{name} {model.fingerprint}" for name, model in self._asked.items())]
        return hashlib.sha256(repr(content).encode()).hexdigest()

    @property
    def used(self) -> Mapping[str, Kind]:
        """Columns besides the text that are read, and what they hold.

        Raises:
            ConfigError: if one model reads a column as numbers and another one as categories.
        """
        found: dict[str, Kind] = {} if self._column is None else {self._column: "label"}
        for name, model in self._asked.items():
            for column, kind in model.used.items():
                if found.setdefault(column, kind) != kind:
                    raise ConfigError(
                        f"{name} reads the column {column!r} as {kind}s and another model as {found[column]}s: score with one "
                        "adapter at a time"
                    )
        return found

    @property
    def columns(self) -> Mapping[str, str]:
        """Names by role of the columns that the first of the models was fitted on."""
        return next(iter(self._asked.values())).columns

    def check_answer(self, *, coverage: float | None = None, optimise: Optimise | None = None) -> None:
        """Find out before long work whether every model can answer so; arguments and errors as for `AdapterBank.predict`."""
        self.bank.check_answer(coverage=coverage, optimise=optimise)

    def check_rows(self, table: Table, first_row: int) -> None:
        """Find out before long work whether the rows of a piece of a table, of which the first has that number, name adapters.

        Raises:
            DataError: if one does not.
        """
        if self._column is None:
            return
        if self._column not in table.column_names:
            raise self._no_column()
        self._check_names(read_labels(table[self._column]), first_row)

    def predict(
        self,
        reviews: Reviews,
        *,
        coverage: float | None = None,
        optimise: Optimise | None = None,
        reporter: Reporter | None = None,
    ) -> Predictions:
        """Predict the rating of each review; arguments and errors as for `AdapterBank.predict`."""
        names = self._names(reviews)
        return self.bank.predict(reviews, names, coverage=coverage, optimise=optimise, reporter=reporter)

    def _names(self, reviews: Reviews) -> list[str]:
        """The name of each review's adapter."""
        if self._column is None:
            return [str(self._adapter)] * len(reviews)
        cells = used_labels(reviews, self._column)
        if cells is None:
            raise self._no_column()
        self._check_names(cells, 0)
        return list(cells)

    def _check_names(self, cells: StringArray, first_row: int) -> None:
        for row, name in enumerate(cells, first_row):
            if name is None:
                raise DataError(f"row {row} has nothing in the column {self._column!r}; expected {_one_of(self.bank.names)}")
            if name not in self.bank.names:
                raise DataError(f"row {row} has {name!r} in the column {self._column!r}; expected {_one_of(self.bank.names)}")

    def _no_column(self) -> DataError:
        return DataError(f"the table has no column {self._column!r}, which shall name the adapter of each review")


def _one_of(names: Sequence[str]) -> str:
    more = f" or {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"one of {', '.join(names[:_NAMED])}{more}"


def _check_alike(first: AdapterFolder, other: AdapterFolder) -> None:
    if other.base_sha256 != first.base_sha256:
        raise BackboneError(
            f"the adapters in {first.folder} and {other.folder} belong to different backbones, {first.base!r} and "
            f"{other.base!r}: put them into banks of their own"
        )
    if other.scale != first.scale:
        raise ModelFolderError(
            f"{first.folder} has the scale {first.scale.describe()}, {other.folder} {other.scale.describe()}: adapters of one "
            "bank need the same"
        )


def _sharing(base: Backbone) -> Backbone:
    """The backbone with modules of its own around the same tensors."""
    tensors = [*base.model.parameters(), *base.model.buffers()]
    model: nn.Module = copy.deepcopy(base.model, {id(tensor): tensor for tensor in tensors})
    return replace(base, model=model)
