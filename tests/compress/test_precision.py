"""Weights of an ONNX graph in fewer bits."""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ratecast.compress.precision import halve_weights, quantise_embeddings

ROWS, WIDTH = 1000, 16


def model_of(table: NDArray[np.float32]) -> onnx.ModelProto:
    """A graph that gives rows of a table, and beside it those of a small one."""
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(table[:10], "small")]
    nodes = [helper.make_node("Gather", ["table", "ids"], ["out"]), helper.make_node("Gather", ["small", "ids"], ["few"])]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "token"])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "token", WIDTH]) for name in ("out", "few")]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def rows_of(model: onnx.ModelProto, ids: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(None, {"ids": ids})
    return found


def table_of_unequal_rows() -> NDArray[np.float32]:
    """Rows whose sizes differ by up to a million, and one of zeros."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(ROWS, WIDTH)) * 10.0 ** rng.integers(-3, 4, size=(ROWS, 1))
    table[7] = 0
    return table.astype(np.float32)


def test_each_row_of_a_table_has_its_own_scale() -> None:
    table = table_of_unequal_rows()
    model = model_of(table)
    assert quantise_embeddings(model) == 1
    ids = np.array([[0, 7, 3], [9, 5, 2]])
    found, few = rows_of(model, ids)
    half_a_step = np.abs(table).max(axis=1, keepdims=True) / 127 / 2
    assert (np.abs(found - table[ids]) <= half_a_step[ids] * 1.001).all()
    np.testing.assert_array_equal(few, table[ids])
    assert model.ByteSize() < model_of(table).ByteSize() / 2.5


def test_halved_weights_are_rounded_to_eleven_bits() -> None:
    table = table_of_unequal_rows() * np.float32(0.1)
    model = model_of(table)
    assert halve_weights(model) == 1
    ids = np.array([[0, 7, 3], [9, 5, 2]])
    found, few = rows_of(model, ids)
    np.testing.assert_allclose(found, table[ids], rtol=2**-11, atol=2**-24)
    np.testing.assert_array_equal(few, table[ids])
    assert model.ByteSize() < model_of(table).ByteSize() / 1.8


def test_what_is_too_large_for_sixteen_bits_is_their_largest_number() -> None:
    table = np.full((ROWS, WIDTH), 1e6, dtype=np.float32)
    model = model_of(table)
    halve_weights(model)
    assert rows_of(model, np.zeros((1, 1), dtype=np.int64))[0].max() == 65504
