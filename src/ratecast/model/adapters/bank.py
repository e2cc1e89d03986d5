"""Many adapters over one backbone."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from ratecast.errors import BackboneError, DataError, ModelFolderError
from ratecast.model.adapters.folder import AdapterFolder, LoadedAdapter, load_base, read_adapter, rebuild
from ratecast.model.backbone import Backbone
from ratecast.model.rater import torch_probabilities
from ratecast.scale import FloatArray
from ratecast.text import inference_batches


class AdapterBank:
    """Several models that share the weights of one backbone, each with an adapter and a head of its own.

    Every adapter has modules of its own around the same tensors of the backbone: methods of every kind stand beside each other,
    nothing is switched, and a further adapter takes only the memory of its own weights. (Adapters that peft holds in one model
    would all have to be of one method.)

    Args:
        folders: the model folder of each adapter, by the name that it is asked for by.
        backbone: name or folder of their backbone, if it is no longer where it was.

    Raises:
        ModelFolderError: if a folder is no model, has no adapter, is damaged, or has another scale than the others.
        BackboneError: if the backbone cannot be found, or an adapter belongs to another one.
        DataError: if there is no adapter.

    Example:
        ``AdapterBank({"hotels": "hotels/", "phones": "phones/"}).probabilities(texts, ["hotels", "phones", "hotels"])``
    """

    def __init__(self, folders: Mapping[str, str | Path], *, backbone: str | None = None) -> None:
        if not folders:
            raise DataError("expected the folder of at least one adapter")
        found = {name: read_adapter(folder) for name, folder in folders.items()}
        first = next(iter(found.values()))
        for other in found.values():
            _check_alike(first, other)
        base = load_base(first, backbone)
        self.scale = first.scale
        self._loaded = {name: rebuild(each, _sharing(base)) for name, each in found.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the adapters."""
        return tuple(self._loaded)

    def __getitem__(self, name: str) -> LoadedAdapter:
        """The network with the adapter of that name.

        Raises:
            DataError: if there is none.
        """
        if name not in self._loaded:
            raise DataError(f"there is no adapter {name!r}; there are {', '.join(self._loaded)}")
        return self._loaded[name]

    def probabilities(self, texts: Sequence[str], adapters: Sequence[str]) -> FloatArray:
        """Level probabilities of texts, each by the adapter that is named for it.

        They are what the adapter's network gives, without the blend and the calibration that its model folder may add.

        Args:
            texts: review texts.
            adapters: name of an adapter for each of them.

        Returns:
            Shape ``(text, level)``.

        Raises:
            DataError: if there are not as many names as texts, or there is no adapter of a name.
        """
        if len(texts) != len(adapters):
            raise DataError(f"found {len(adapters)} names of adapters for {len(texts)} texts; expected one for each")
        found = np.empty((len(texts), len(self.scale)))
        for name in dict.fromkeys(adapters):
            loaded = self[name]
            rows = np.array([row for row, asked in enumerate(adapters) if asked == name])
            lengths = loaded.encoder.encode([texts[row] for row in rows]).lengths
            for batch in inference_batches(lengths):
                chosen = rows[batch]
                found[chosen] = torch_probabilities(loaded.rater, loaded.encoder, [texts[row] for row in chosen])
        return found


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
