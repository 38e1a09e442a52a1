"""Small ONNX models, made node by node."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR, OPSET = 10, 18  # what onnxruntime of years ago reads, too
KINDS = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
    "uint8": TensorProto.UINT8,
}


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[str, Any]],
    outputs: Mapping[str, tuple[str, Any]],
    constants: Mapping[str, Any] | None = None,
    domains: Sequence[str] = (),
) -> Any:
    """Return a model; inputs and outputs have a dtype and a shape (None: of any rank)."""
    infos = [
        [helper.make_tensor_value_info(name, KINDS[dtype], shape) for name, (dtype, shape) in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
    graph = helper.make_graph(list(nodes), "graph", *infos, initializer=weights)
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """Return a node; the names of its inputs and outputs have spaces between."""
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def thirds(scale: float = 1.0, probability: str = "probability") -> Any:
    """Return a model of the data set of ``training_data``: which third of a picture is bright."""
    nodes = [
        node("Cast", "image", "pixels", to=TensorProto.FLOAT),
        node("ReduceSum", "pixels last", "sums", keepdims=0),
        node("Slice", "sums first end one", "bright"),
        node("Mul", "bright scale", "scaled"),
        node("Softmax", "scaled", probability, axis=1),
        node("ArgMax", probability, "class", axis=1, keepdims=0),
    ]
    constants = {"last": np.array([2]), "first": np.array([0]), "end": np.array([3]), "one": np.array([1])}
    return model(
        nodes,
        {"image": ("uint8", ["rows", 4, 4])},
        {"class": ("int64", ["rows"]), probability: ("float32", ["rows", 3])},
        constants | {"scale": np.float32(scale)},
    )


def save(directory: Path, made: Any) -> Path:
    """Write the model into the directory, and return that."""
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(made, str(directory / "model.onnx"))
    return directory
