"""Graphs as ONNX Runtime computes them."""

from pathlib import Path
from typing import Any, Final

from ratecast.errors import ConfigError, ModelFolderError
from ratecast.processors import available_processors

DEVICES: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""What ONNX Runtime calls the devices that graphs can be computed on."""

_SLOWER_FUSED: Final = ["SkipLayerNormFusion", "BiasGeluFusion"]
"""Steps of ONNX Runtime's optimiser that are left out on processors. Its fused layer norm took eight times as long there as a
sum and a layer norm after it, and its fused GELU a third more (1.32.0, AVX-512; all of MiniLM a sixth)."""


def create_session(graph: Path | bytes, threads: int | None = None, device: str = "cpu") -> Any:
    """A graph that is ready to run.

    Args:
        graph: its file, or what stands in it.
        threads: processor threads; one for each processor that this process may use by default.
        device: one of `DEVICES`.

    Raises:
        ConfigError: if the device is unknown, or ONNX Runtime cannot use it here.
        ModelFolderError: if the graph cannot be read.
    """
    import onnxruntime

    provider = _provider(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_processors()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it remembers a plan for each shape, and nearly every batch has another
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph),
            options,
            providers=[provider, *([] if device == "cpu" else [DEVICES["cpu"]])],
            disabled_optimizers=_SLOWER_FUSED if device == "cpu" else [],
        )
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
        raise ModelFolderError(f"ONNX Runtime cannot load {graph if isinstance(graph, Path) else 'a graph'}: {error}") from None
    if session.get_providers()[0] != provider:  # it only logs that a driver or library is missing
        raise ConfigError(
            f"ONNX Runtime could not start on {device!r}: its driver or one of its libraries is missing; "
            "install CUDA and cuDNN (pip install 'onnxruntime-gpu[cuda,cudnn]'), or predict with the device 'cpu'"
        )
    return session


def _provider(device: str) -> str:
    import onnxruntime

    if device not in DEVICES:
        raise ConfigError(f"there is no device {device!r}; expected one of {', '.join(DEVICES)}")
    if DEVICES[device] not in onnxruntime.get_available_providers():
        raise ConfigError(
            f"the installed ONNX Runtime cannot compute on {device!r}: pip uninstall onnxruntime, then "
            "pip install 'onnxruntime-gpu[cuda,cudnn]', which takes its place"
        )
    return DEVICES[device]
