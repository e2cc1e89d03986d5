"""Weights of an ONNX graph in fewer bits, which are widened again where they are used."""

from copy import deepcopy
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import onnx

_LEAST_VALUES: Final = 1_000
"""Smaller matrices, and biases, stay as they are: they take no room."""


def quantise_embeddings(model: "onnx.ModelProto") -> int:
    """Store the tables that rows are gathered from, such as word embeddings, in 8 bits with one scale a row, in place.

    Returns:
        How many there were.
    """
    from onnx import TensorProto, helper, numpy_helper

    weights = {weight.name: weight for weight in model.graph.initializer}
    uses = [name for node in model.graph.node for name in node.input]
    nodes, changed = [], 0
    for node in model.graph.node:
        nodes.append(node)
        weight = weights.get(node.input[0]) if node.op_type == "Gather" else None
        if weight is None or not _is_large(weight) or len(weight.dims) > 2 or uses.count(weight.name) > 1 or _axis(node):
            continue
        table = numpy_helper.to_array(weight)
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny).astype(np.float32)
        rounded = np.rint(table / scale).astype(np.int8)
        name, ids, output = weight.name, node.input[1], node.output[0]
        weight.CopyFrom(numpy_helper.from_array(rounded, name))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        node.output[0] = f"{output}_int8"
        nodes += [
            helper.make_node("Cast", [f"{output}_int8"], [f"{output}_wide"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}_scale", ids], [f"{output}_scale"]),
            helper.make_node("Mul", [f"{output}_wide", f"{output}_scale"], [output]),
        ]
        changed += 1
    _replace_nodes(model, nodes)
    return changed


def halve_weights(model: "onnx.ModelProto") -> int:
    """Store large float32 weights as float16, in place; ONNX Runtime widens them once, when it loads the graph.

    Returns:
        How many there were.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for weight in model.graph.initializer:
        if not _is_large(weight):
            continue
        name, limit = weight.name, np.finfo(np.float16).max
        half = np.clip(numpy_helper.to_array(weight), -limit, limit).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    _replace_nodes(model, [*nodes, *model.graph.node])
    return len(nodes)


def _is_large(weight: "onnx.TensorProto") -> bool:
    from onnx import TensorProto

    return bool(weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1 and np.prod(weight.dims) >= _LEAST_VALUES)


def _axis(node: "onnx.NodeProto") -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)


def _replace_nodes(model: "onnx.ModelProto", nodes: "list[onnx.NodeProto]") -> None:
    copies = deepcopy(nodes)
    del model.graph.node[:]
    model.graph.node.extend(copies)
