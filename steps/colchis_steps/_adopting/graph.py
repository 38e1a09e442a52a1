"""An ONNX model that exists: its files, and the graph around it, so that names are those of the task.

What changes a graph needs the package ``onnx``, which a server does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from colchis_steps._adopting.fitting import ANSWERS, CLASS, Fit
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import ONNX_FILE
from colchis_steps._tensors.tensor import Tensor

INNER = "model/"  # what the model's own names begin with inside the graph around it
EXTRA = "pip install 'colchis[adopt]'"


def read(file: Path, source: str) -> Any:
    """Return the model as a message, without its external weights.

    Raises:
        InputError: it is damaged, or ``onnx`` is not installed.
    """
    onnx = _library(source)
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(file), load_external_data=False)
    except (OSError, DecodeError, ValueError) as error:
        raise InputError(f"{source} is no ONNX model ({str(error)[:128]}); export it again") from error


def weights(model: Any, source: str) -> set[str]:
    """Return the files of weights that the graph names, relative to it.

    Raises:
        InputError: one lies elsewhere.
    """
    found = set()
    for tensor in _tensors(model.graph):
        for entry in tensor.external_data:
            if entry.key == "location":
                path = PurePosixPath(entry.value)
                if path.is_absolute() or ".." in path.parts or "\\" in entry.value:
                    raise InputError(
                        f"{source} names its weights {entry.value[:128]!r}, which is no file beside it; do not use it"
                    )
                found.add(str(path))
    return found


class _Nodes:
    """Nodes of a graph, as they are added, and the constants that they take."""

    def __init__(self) -> None:
        self.nodes, self.constants = list[Any](), list[Any]()

    def add(self, kind: str, given: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output of this name; return the name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, given, [name], name=f"colchis/{name}", **attributes))
        return name

    def reshaped(self, given: str, name: str, shape: list[int]) -> str:
        """Add a node that gives a tensor another shape."""
        from onnx import TensorProto, helper

        self.constants.append(helper.make_tensor(f"{name}/shape", TensorProto.INT64, [len(shape)], shape))
        return self.add("Reshape", [given, f"{name}/shape"], name)


def wrap(model: Any, fit: Fit, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], directory: Path) -> None:
    """Write ``model.onnx``: the model inside a graph that takes the columns and gives the task's answer."""
    import onnx

    whole = onnx.compose.add_prefix(model, INNER)
    before, after = _Nodes(), _Nodes()
    for name, wanted in inputs.items():
        _take(before, name, wanted, fit.inputs[name])
    served = {n: one for n, one in outputs.items() if not (fit.answer and n in {fit.answer, CLASS, *ANSWERS.values()})}
    for name in served:
        after.add("Identity", [f"{INNER}{name}"], name)
    if fit.answer:
        served |= _answer(after, fit, outputs[fit.answer])
    nodes = [*before.nodes, *whole.graph.node, *after.nodes]
    del whole.graph.node[:], whole.graph.input[:], whole.graph.output[:]
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend([*before.constants, *after.constants])
    whole.graph.input.extend(_info(tensor) for tensor in fit.served.values())
    whole.graph.output.extend(_info(tensor) for tensor in served.values())
    if not any(opset.domain in {"", "ai.onnx"} for opset in whole.opset_import):
        whole.opset_import.append(onnx.helper.make_opsetid("", 13))
    (directory / ONNX_FILE).write_bytes(whole.SerializeToString(deterministic=True))


def _take(nodes: _Nodes, name: str, wanted: Tensor, columns: Sequence[Tensor]) -> None:
    """Add what makes an input of the model of the columns that it takes."""
    parts = [
        column.name
        if column.dtype == wanted.dtype
        else nodes.add("Cast", [column.name], f"cast/{column.name}", to=_kind(wanted.dtype))
        for column in columns
    ]
    if len(columns) > 1:
        each = [nodes.reshaped(part, f"one/{part}", [-1, 1]) for part in parts]
        nodes.add("Concat", each, f"{INNER}{name}", axis=1)
    elif len(columns[0].shape) != len(wanted.shape):
        nodes.reshaped(parts[0], f"{INNER}{name}", [-1, *(length or 1 for length in wanted.shape[1:])])
    else:
        nodes.add("Identity", parts, f"{INNER}{name}")


def _answer(nodes: _Nodes, fit: Fit, tensor: Tensor) -> dict[str, Tensor]:
    """Add what makes the task's answer of an output; return the tensors that are served."""
    from onnx import TensorProto, helper

    found = nodes.add("Cast", [f"{INNER}{fit.answer}"], "answer", to=_kind("float32"))
    wide = tensor.shape[1] if len(tensor.shape) == 2 else 1
    if len(tensor.shape) == 1:
        found = nodes.reshaped(found, "answer/column", [-1, 1])
    if fit.activation == "softmax":
        found = nodes.add("Softmax", [found], "answer/softmax", axis=1)
    elif fit.activation:
        found = nodes.add("Sigmoid", [found], "answer/sigmoid")
    if fit.task == "classification" and wide == 1:  # of the second of two classes
        nodes.constants.append(helper.make_tensor("answer/one", TensorProto.FLOAT, [1], [1.0]))
        other = nodes.add("Sub", ["answer/one", found], "answer/other")
        found, wide = nodes.add("Concat", [other, found], "answer/both", axis=1), 2
    name = ANSWERS[fit.task]
    nodes.add("Identity", [found], name)
    served = {name: Tensor(name, "float32", (None, wide))}
    if fit.task == "classification":
        nodes.add("ArgMax", [found], CLASS, axis=1, keepdims=0)
        served[CLASS] = Tensor(CLASS, "int64", (None,))
    return served


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors that a graph holds, in its nodes and their own graphs, too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inside in (attribute.g, *attribute.graphs):
                yield from _tensors(inside)


def _kind(dtype: str) -> int:
    from onnx import TensorProto, helper

    return int(TensorProto.STRING if dtype == "string" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _info(tensor: Tensor) -> Any:
    from onnx import helper

    shape = [f"{tensor.name}_{i}" if i else "rows" for i in range(len(tensor.shape))]
    lengths = [name if length is None else length for name, length in zip(shape, tensor.shape, strict=True)]
    return helper.make_tensor_value_info(tensor.name, _kind(tensor.dtype), lengths)


def _library(source: str) -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise InputError(
            f"{source} is ONNX, which is read by a package of its own; install it with: {EXTRA}"
        ) from error
    return onnx
