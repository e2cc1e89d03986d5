"""A model whose network has weights of fewer bits: a smaller file, and more speed where the processor multiplies these."""

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ratecast.compress.precision import halve_weights, quantise_embeddings
from ratecast.errors import ConfigError, DataError, ModelFolderError, RatecastError, require
from ratecast.model.derive import derive
from ratecast.model.graph import GRAPH_DATA_FILE, GRAPH_FILE, OnnxGraph
from ratecast.model.reference import EXACT_FILE, REFERENCE_FILE, Reference
from ratecast.model.session import create_session
from ratecast.model.store import Component, check_target, create_component, read_manifest, verify
from ratecast.text import TextEncoder, pad

if TYPE_CHECKING:
    import onnx

Kind = Literal["dynamic", "static", "float16"]
_MOST_TEXTS: Final = 256
"""Texts that differences are measured on, and that ranges are calibrated on."""
_CALIBRATION_BATCH: Final = 8
_REFERENCE_TEXTS: Final = 16
_REFERENCE_TOKENS: Final = 32
"""The stored rows are computed whenever the model is loaded, so they are few and short."""
_LEAST_TOLERANCE: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A model of fewer bits.

    Attributes:
        folder: where it is.
        kind: how its numbers are stored.
        megabytes_before: size of the network's files before, in 10^6 bytes.
        megabytes_after: and now, those of the exact graph counted where it was kept.
        difference: largest difference of a level's probability from the exact network, on some of the texts.
        mean_difference: the mean of these differences.
    """

    folder: Path
    kind: Kind
    megabytes_before: float
    megabytes_after: float
    difference: float
    mean_difference: float

    def describe(self) -> str:
        """What came of it, in a sentence."""
        return (
            f"{self.megabytes_before:,.1f} MB before, {self.megabytes_after:,.1f} MB after; the network's probabilities differ "
            f"by {self.mean_difference:.2g} on average and {self.difference:.2g} at most"
        )


def quantise(
    source: str | Path,
    texts: Sequence[str],
    *,
    out: str | Path,
    kind: Kind = "dynamic",
    keep_exact: bool = False,
    keep_weights: bool = True,
    portable: bool = True,
    most_difference: float = 0.05,
) -> Quantised:
    """Write a model folder whose network computes with 8-bit integers, or stores its weights in 16 bits.

    The folder keeps what the exact network answers to a few short rows of token ids. Whenever it is loaded, the smaller one is
    held against that: if it answers otherwise on the processor at hand, the exact one is used if it was kept, with a warning,
    and the folder is refused if not.

    The blend, the intervals and the thresholds stay those that were fitted to the exact network.

    Args:
        source: the model folder, which stays as it is.
        texts: reviews like those to be predicted; no ratings are needed. Some of them calibrate and measure.
        out: folder for the new model; an older one there is replaced.
        kind: "dynamic" (8-bit weights, one scale a column; the range of what they are multiplied with is found anew in each
            batch), "static" (that range is calibrated on the texts) or "float16" (16-bit weights that are computed with in
            float32: half the size, the same speed).
        keep_exact: whether the exact graph stays in the folder, to fall back on.
        keep_weights: whether the weights that training can go on from stay in the folder.
        portable: whether 8-bit weights use only 7 of their bits. With all 8, processors without VNNI instructions (x86 before
            2019) overflow, and give other answers.
        most_difference: largest mean difference of a level's probability that is accepted.

    Raises:
        ConfigError: if the kind is unknown, or ``out`` is the source.
        DataError: if there is no text.
        MissingExtraError: if the train extra is not installed.
        ModelFolderError: if the source is no model folder, is damaged, or has no network or a quantised one.
        OutputError: if the folder cannot be written.
        RatecastError: if the answers differ by more than ``most_difference``; nothing is written then.

    Example:
        ``quantise("model/", reviews, out="small/")``
    """
    chosen = [text for text in texts if text.strip()]
    if kind not in _CONVERT:
        raise ConfigError(f"there is no quantisation {kind!r}; expected one of {', '.join(_CONVERT)}")
    if not chosen:
        raise DataError("no text was given; expected some reviews like those to be predicted")
    check_target(Path(out))
    require("onnx", "train", "quantising")
    manifest = read_manifest(Path(source))
    component = next((part for part in manifest.components if part.kind == "onnx"), None)
    if component is None:
        raise ModelFolderError(f"{source} has no network to quantise: its model is of words alone, and small already")
    if sum(part.kind == "onnx" for part in manifest.components) > 1:
        raise ModelFolderError(f"{source} has two networks, a quick one and a whole one; give the model that it was made from")
    if Path(out).resolve() == Path(source).resolve():
        raise ConfigError(f"{out} is the model itself; give another folder for the smaller one")
    if "quantised" in component.settings:
        raise ModelFolderError(f"{source} is quantised already; give the model that it was made from")
    verify(Path(source), component)
    sample = [chosen[row] for row in np.random.default_rng(0).permutation(len(chosen))[:_MOST_TEXTS]]
    levels = len(manifest.scale)
    exact = OnnxGraph.load(Path(source), component, levels)
    expected, encoder = exact.probabilities(sample), exact.encoder
    differences = np.zeros(1)

    def write(folder: Path, old: Component) -> Component:
        nonlocal differences
        reference = _reference(folder / GRAPH_FILE, encoder, sample)
        new = _write(folder, old, _Conversion(kind, encoder, sample, portable), keep_exact=keep_exact)
        session = create_session(folder / GRAPH_FILE)
        _with_tolerance(reference, session).save(folder / REFERENCE_FILE)
        made = create_component(folder, old.name, old.kind, [*new, REFERENCE_FILE], **old.settings, quantised=kind)
        differences = np.abs(OnnxGraph.load(folder, made, levels).probabilities(sample) - expected)
        if differences.mean() > most_difference:
            raise RatecastError(
                f"with {kind} quantisation probabilities differ by {differences.mean():.2g} on average from the exact ones; "
                f"expected at most {most_difference:g}. Try another kind, allow more, or keep the model as it is"
            )
        return made

    changed = derive(
        Path(source),
        Path(out),
        {component.name: write},
        without=[] if keep_weights else [part.name for part in manifest.components if part.kind == "weights"],
        about={"quantised": kind},
        note=f"The network was quantised ({kind}) after fitting; what was measured before is of the exact one.",
    )
    return Quantised(
        folder=Path(out),
        kind=kind,
        megabytes_before=_megabytes(Path(source), component),
        megabytes_after=_megabytes(Path(out), changed.component(component.name)),
        difference=float(differences.max()),
        mean_difference=float(differences.mean()),
    )


@dataclass(frozen=True)
class _Conversion:
    """What a graph is to be made into, and with what."""

    kind: Kind
    encoder: TextEncoder
    texts: Sequence[str]
    portable: bool


def _write(folder: Path, old: Component, conversion: _Conversion, *, keep_exact: bool) -> list[str]:
    """Put the smaller graph in the place of the exact one; gives the names of all files of the component."""
    import onnx

    path, large = folder / GRAPH_FILE, GRAPH_DATA_FILE in old.files
    with tempfile.TemporaryDirectory(dir=folder) as name, _quiet():
        with _cut_off_told(path):
            converted = _CONVERT[conversion.kind](path, Path(name), conversion)
        if conversion.kind != "float16":
            quantise_embeddings(converted)
        files = [file for file in old.files if file != GRAPH_DATA_FILE]
        if keep_exact:
            _save(onnx.load(path), folder / EXACT_FILE, large=large)
            files += [EXACT_FILE, *([f"{EXACT_FILE}.data"] if large else [])]
        for file in (path, folder / GRAPH_DATA_FILE):
            file.unlink(missing_ok=True)
        _save(converted, path, large=large)
    return [*files, *([GRAPH_DATA_FILE] if large else [])]


@contextmanager
def _cut_off_told(path: Path) -> Iterator[None]:
    """Where the disk gets full, ONNX and ONNX Runtime cut their files off without a word, and then fail to read them."""
    try:
        yield
    except Exception:
        if shutil.disk_usage(path.parent).free < path.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
        raise


def _dynamic(path: Path, work: Path, conversion: _Conversion) -> "onnx.ModelProto":
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        path,
        work / "graph.onnx",
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=conversion.portable,
        weight_type=QuantType.QInt8,
        use_external_data_format=path.with_name(GRAPH_DATA_FILE).exists(),
        extra_options={"MatMulConstBOnly": True},
    )
    return onnx.load(work / "graph.onnx")


def _static(path: Path, work: Path, conversion: _Conversion) -> "onnx.ModelProto":
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
        """Feeds of the texts."""

        def __init__(self) -> None:
            self._left = _feeds(path, conversion.encoder, conversion.texts)

        def get_next(self) -> dict[str, Any] | None:
            """The next batch; None at the end."""
            return next(self._left, None)

    quantize_static(
        path,
        work / "graph.onnx",
        Reader(),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=conversion.portable,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        use_external_data_format=path.with_name(GRAPH_DATA_FILE).exists(),
        extra_options={"MatMulConstBOnly": True},
    )
    return onnx.load(work / "graph.onnx")


def _float16(path: Path, _work: Path, _conversion: _Conversion) -> "onnx.ModelProto":
    import onnx

    model = onnx.load(path)
    halve_weights(model)
    return model


_CONVERT: Final[dict[str, Callable[[Path, Path, _Conversion], "onnx.ModelProto"]]] = {
    "dynamic": _dynamic,
    "static": _static,
    "float16": _float16,
}


def _reference(path: Path, encoder: TextEncoder, texts: Sequence[str]) -> Reference:
    """What the exact graph makes of the beginnings of some texts."""
    session = create_session(path)
    ids = [row[:_REFERENCE_TOKENS] for row in encoder.encode(texts[:_REFERENCE_TEXTS]).ids][:_REFERENCE_TEXTS]
    feeds = _feed(session, encoder, ids)
    return Reference(feeds=feeds, outputs=session.run(None, feeds)[0], tolerance=0.0)


def _with_tolerance(reference: Reference, session: Any) -> Reference:
    """Twice what is measured here: processors round in other orders, but not in another size."""
    tolerance = max(_LEAST_TOLERANCE, 2 * reference.difference(session))
    return Reference(feeds=reference.feeds, outputs=reference.outputs, tolerance=tolerance)


def _feeds(path: Path, encoder: TextEncoder, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    session = create_session(path)
    ids = encoder.encode(texts).ids
    for start in range(0, len(ids), _CALIBRATION_BATCH):
        yield _feed(session, encoder, ids[start : start + _CALIBRATION_BATCH])


def _feed(session: Any, encoder: TextEncoder, ids: Sequence[Any]) -> dict[str, Any]:
    """Inputs of a graph for some rows of token ids; where windows recur, each is the first one of its text."""
    batch = pad(ids, np.arange(len(ids)), pad_id=encoder.settings.pad_id)
    feed: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    for further in session.get_inputs()[2:]:
        feed[further.name] = np.zeros((len(ids), int(session.get_outputs()[0].shape[1])), dtype=np.float32)
    return feed


def _save(model: "onnx.ModelProto", path: Path, *, large: bool) -> None:
    import onnx

    onnx.save_model(model, path, save_as_external_data=large, location=f"{path.name}.data" if large else None)


def _megabytes(folder: Path, component: Component) -> float:
    return sum((folder / file).stat().st_size for file in component.files) / 1e6


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ONNX Runtime's advice to optimise the graph first, which is not for users; it goes to the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
