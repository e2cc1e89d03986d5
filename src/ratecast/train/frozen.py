"""Frozen layers are computed once: their outputs are stored, and training starts above them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ratecast.errors import OutputError
from ratecast.files import explained_write
from ratecast.model.backbone import transformer_layers
from ratecast.model.rater import Rater, batch_tensors
from ratecast.progress import Reporter
from ratecast.scale import IntArray
from ratecast.text import TextSettings, TokenisedTexts, inference_batches, pad_texts


@dataclass(frozen=True, kw_only=True)
class HiddenStates:
    """Outputs of the topmost frozen layer for a set of texts, in half precision on disk.

    Attributes:
        values: token vectors of all texts one after the other, shape ``(token, width)``.
        starts: where each window's tokens begin, shape ``(window + 1,)``.
        tuple_length: length of the tuple that the layer returns (DeBERTa's); 0 if it returns a bare tensor.
    """

    values: NDArray[np.float16]
    starts: NDArray[np.int64]
    tuple_length: int

    def padded(self, rows: NDArray[np.int64], width: int) -> Tensor:
        """Token vectors of some windows, zero where padded, shape ``(batch, width, vector)``."""
        batch = torch.zeros(len(rows), width, self.values.shape[1])
        for line, row in enumerate(rows):
            part = torch.from_numpy(np.array(self.values[self.starts[row] : self.starts[row + 1]]))
            batch[line, : len(part)] = part.float()
        return batch


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What one pass of the untrained network gives: review vectors, and the outputs of the frozen layers if asked for.

    Attributes:
        vectors: one for each text that was read to the top, shape ``(text, width)``.
        hidden: outputs of the topmost frozen layer, None if not asked for.
        windows: vectors of the windows that the texts' were pooled from, shape ``(window, width)``; None where each is one.
    """

    vectors: Tensor
    hidden: HiddenStates | None
    windows: Tensor | None = None


def encode(
    rater: Rater,
    texts: TokenisedTexts,
    settings: TextSettings,
    *,
    frozen: int,
    store: Path | None,
    reporter: Reporter,
    task: str,
    read: IntArray | None = None,
) -> Encoded:
    """Run texts through the network once, without gradients.

    Args:
        rater: the network; moved nowhere.
        texts: the token ids.
        settings: how to pad them.
        frozen: number of frozen layers.
        store: file for the frozen layers' outputs; None if these are not needed.
        reporter: shows the progress.
        task: what to call it there.
        read: rows of the texts that are read to the top, all by default; the others only as far as outputs are stored.

    Raises:
        OutputError: if the disk has no room for the file.
    """
    wanted = np.arange(len(texts)) if read is None else read
    others = np.setdiff1d(np.arange(len(texts)), wanted) if store else np.empty(0, dtype=np.int64)
    lengths = texts.lengths
    starts = np.concatenate([[0], np.cumsum(texts.window_lengths)])
    device = next(rater.parameters()).device
    values: NDArray[np.float16] | None = None
    captured: list[Any] = []
    tuple_length = 0
    vectors: Tensor | None = None
    windows: Tensor | None = None
    layer = transformer_layers(rater.backbone)[frozen - 1] if store else None
    hook = layer.register_forward_hook(lambda *call: captured.append(call[2])) if layer else None
    batches = [(wanted[rows], True) for rows in inference_batches(lengths[wanted])]
    batches += [(others[rows], False) for rows in inference_batches(lengths[others])] if len(others) else []
    rater.eval()
    try:
        with torch.inference_mode(), reporter.track(task, len(wanted) + len(others)) as advance:
            for rows, to_the_top in batches:
                lines = texts.windows_of(rows)
                ids, mask, layout = batch_tensors(pad_texts(texts, rows, settings), device)
                if to_the_top:
                    each = rater.read(ids, mask, layout)
                    found = rater.joined(each, layout).float().cpu()
                    vectors = torch.zeros(len(texts), found.shape[1]) if vectors is None else vectors
                    vectors[rows] = found
                    if layout is not None:
                        windows = torch.zeros(len(texts.ids), found.shape[1]) if windows is None else windows
                        windows[lines] = each.float().cpu()
                elif layer:
                    with _ending_at(layer):
                        rater.read(ids, mask, layout)
                if store:
                    output = captured.pop()
                    tuple_length = len(output) if isinstance(output, tuple) else 0
                    states = output[0] if tuple_length else output
                    values = _create(store, int(starts[-1]), states.shape[-1]) if values is None else values
                    for line, row in enumerate(lines):
                        values[starts[row] : starts[row + 1]] = states[line][mask[line].bool()].half().cpu().numpy()
                advance(len(rows), "")
    finally:
        if hook:
            hook.remove()
    hidden = None if values is None else HiddenStates(values=values, starts=starts, tuple_length=tuple_length)
    return Encoded(
        vectors=torch.empty(0, 0) if vectors is None else vectors[wanted],
        hidden=hidden,
        windows=None if windows is None else windows.clone(),  # out of inference mode, to train on
    )


class _EndedError(Exception):
    """A pass has reached the layer that it was to end at."""


@contextmanager
def _ending_at(layer: nn.Module) -> Iterator[None]:
    """While the context is open, passes of the network end once that layer has given its output: what follows costs nothing."""

    def end(*_: Any) -> None:
        raise _EndedError

    hook = layer.register_forward_hook(end)  # after the one that captures the output, which was there before
    try:
        with suppress(_EndedError):
            yield
    finally:
        hook.remove()


class StoredLayer(nn.Module):
    """In place of the topmost frozen layer: gives the stored outputs that were put into ``states``."""

    states: Tensor

    def __init__(self, original: nn.Module, tuple_length: int) -> None:
        super().__init__()
        self._original = (original,)  # in a tuple, so that it does not become a part of this module
        self._rest = (None,) * (tuple_length - 1)
        self._in_tuple = tuple_length > 0

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The stored outputs, as the layer itself would return them."""
        return self._wrapped(self.states)

    def __getattr__(self, name: str) -> Any:
        """Attributes that the backbone reads off its layers (ModernBERT's ``attention_type``) are the original's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_original"][0], name)

    def _wrapped(self, states: Tensor) -> Any:
        return (states, *self._rest) if self._in_tuple else states


class _SkippedLayer(StoredLayer):
    """In place of a frozen layer below the topmost: passes its input on."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self._wrapped(hidden_states)


@contextmanager
def stored_layers(rater: Rater, frozen: int, tuple_length: int) -> Iterator[StoredLayer]:
    """While the context is open, the lowest ``frozen`` layers of the backbone give stored outputs instead of computing."""
    layers = transformer_layers(rater.backbone)
    originals = list(layers[:frozen])
    stand_in = StoredLayer(originals[-1], tuple_length)
    for index in range(frozen):
        layers[index] = stand_in if index == frozen - 1 else _SkippedLayer(originals[index], tuple_length)
    try:
        yield stand_in
    finally:
        for index, original in enumerate(originals):
            layers[index] = original


def _create(path: Path, tokens: int, width: int) -> NDArray[np.float16]:
    needed = tokens * width * np.dtype(np.float16).itemsize
    with explained_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if needed > free:
            raise OutputError(f"storing the frozen layers' outputs needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(tokens, width))
