"""Tiny ONNX models, made by hand for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}


def linear(
    path: Path,
    weights: Sequence[Sequence[float]],
    *,
    name: str = "input",
    output: str = "scores",
    kind: str = "float32",
    last: str = "Softmax",
    beside: bool = False,
) -> Path:
    """Write a model that multiplies its rows by the weights and ends with ``last``; return its path.

    ``beside`` puts the weights into a file of their own.
    """
    table = np.asarray(weights, np.dtype(kind))
    nodes = [
        helper.make_node("MatMul", [name, "w"], ["product"]),
        helper.make_node(last, ["product"], [output], **({"axis": 1} if last == "Softmax" else {})),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, KINDS[kind], ["n", table.shape[0]])],
        [helper.make_tensor_value_info(output, KINDS[kind], ["n", table.shape[1]])],
        [numpy_helper.from_array(table, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="by hand", ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    external = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0} if beside else {}
    onnx.save(made, str(path), **external)
    return path
