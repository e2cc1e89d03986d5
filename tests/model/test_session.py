"""Devices and threads that graphs are computed with."""

from pathlib import Path

import onnxruntime
import pytest
from onnx import TensorProto, helper, save

from ratecast.errors import ConfigError
from ratecast.model.session import create_session
from ratecast.processors import available_processors


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("in", "out")]
    body = helper.make_graph([helper.make_node("Neg", ["in"], ["out"])], "g", ends[:1], ends[1:])
    save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "g.onnx")
    return tmp_path / "g.onnx"


def test_one_thread_for_each_processor_that_may_be_used(graph: Path) -> None:
    assert create_session(graph).get_session_options().intra_op_num_threads == available_processors()
    assert create_session(graph, 3).get_session_options().intra_op_num_threads == 3


def test_an_unknown_device_is_told(graph: Path) -> None:
    with pytest.raises(ConfigError, match="no device 'tpu'; expected one of cpu, cuda"):
        create_session(graph, device="tpu")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this machine has what is missing")
def test_what_a_gpu_needs_is_told(graph: Path) -> None:
    with pytest.raises(ConfigError, match="pip install 'onnxruntime-gpu"):
        create_session(graph, device="cuda")


def test_a_device_that_does_not_start_is_told(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime goes on with the processor where it lists a device that it then cannot start."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ConfigError, match="could not start"),
    ):
        create_session(graph, device="cuda")
