"""What stands around a converted model, as ONNX: a data set's columns before it, its task's answer behind it.

Inputs   one for each column that the model takes, of the column's dtype and shape: [rows], or [rows, …]
Outputs  classification  ``class`` int64 [rows] and ``probability`` float32 [rows, classes]
         multilabel      ``probability`` float32 [rows, labels]
         regression      ``value`` float32 [rows, targets]
         other tasks     the model's outputs by their names, as they are
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.data import Column
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import tensor_dtype

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

OPSET, ML_OPSET = 18, 3  # of the operators asked for: onnxruntime has them since 1.15
CORE = "model/"  # before the names of all that was converted
CLASSES = "colchis.classes"  # the metadata that names the classes, a JSON list


@dataclass(frozen=True)
class Feed:
    """One input of the converted model, and the columns that it gets.

    ``flat``: numbers become float32, and a row of each column a row of numbers (or one text), side by side. Else the
    one column comes as it is.
    """

    name: str
    columns: tuple[str, ...]
    flat: bool = True


@dataclass(frozen=True)
class Answer:
    """What is made of the output ``name`` of the converted model.

    ``width`` is the length of its rows as they are served. ``activation`` is Softmax, Sigmoid or none; ``one``: it has
    the probability of the second of two classes alone. ``places`` has the class of each of its numbers, where they are
    not all classes in order. ``further`` has outputs that are served as they are, and the names that they get.
    """

    task: str
    name: str = ""
    width: int = 0
    activation: str = ""
    one: bool = False
    places: Sequence[int] | None = None
    further: Mapping[str, str] = field(default_factory=dict)


def framed(
    core: Any, feeds: Sequence[Feed], answer: Answer, columns: Mapping[str, Column], classes: Sequence[str]
) -> Any:
    """Return an ``onnx.ModelProto`` that has the columns as inputs and the task's answer as outputs.

    Raises:
        InputError: a column is of a type that ONNX has none for.
    """
    import onnx
    from onnx import helper

    core = onnx.compose.add_prefix(core, CORE)
    for node in core.graph.node:  # what PyTorch writes there are paths and lines of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    inputs = [_value(columns[name]) for name in dict.fromkeys(name for feed in feeds for name in feed.columns)]
    behind, outputs = _behind(answer, {output.name.removeprefix(CORE): output for output in core.graph.output})
    graph = helper.make_graph(
        [*_before(feeds, columns), *core.graph.node, *behind],
        "colchis",
        inputs,
        outputs,
        [*core.graph.initializer],
        value_info=[],
        sparse_initializer=[*core.graph.sparse_initializer],
    )
    made = helper.make_model(
        graph,
        producer_name="colchis",
        ir_version=core.ir_version,
        opset_imports=_opsets(core),
        functions=[*core.functions],
    )
    if classes:
        helper.set_model_props(made, {CLASSES: json.dumps([*classes])})
    return made


def _opsets(core: Any) -> list[Any]:
    """Return the core's sets of operators; those that stand around it are in ONNX's own since 13."""
    from onnx import helper

    found = {one.domain: one.version for one in core.opset_import}
    found[""] = max(found.get("", OPSET), 13)
    return [helper.make_opsetid(domain, version) for domain, version in found.items()]


def _value(column: Column) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(column.name, _element(column), ["rows", *column.shape])


def _element(column: Column) -> int:
    """Return ONNX's number of a column's dtype."""
    import numpy as np
    from onnx import TensorProto, helper

    if tensor_dtype(column.dtype) == "string":
        return int(TensorProto.STRING)
    try:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(column.dtype)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the column {column.name!r} is {column.dtype}, which ONNX does not have; leave it out") from (
            error
        )


def _before(feeds: Sequence[Feed], columns: Mapping[str, Column]) -> Iterator[Any]:
    """Yield the nodes from the columns to what the converted model takes."""
    from onnx import TensorProto, helper

    for number, feed in enumerate(feeds):
        if not feed.flat:
            yield helper.make_node("Identity", [feed.columns[0]], [CORE + feed.name])
            continue
        parts = []
        for name in feed.columns:
            label = f"before/{number}/{name}"
            shape = helper.make_tensor(
                f"{label}/shape", TensorProto.INT64, [2], [-1, max(1, prod(columns[name].shape))]
            )
            yield helper.make_node("Constant", [], [f"{label}/shape"], value=shape)
            yield helper.make_node("Reshape", [name, f"{label}/shape"], [f"{label}/flat"])
            parts.append(f"{label}/flat")
            if tensor_dtype(columns[name].dtype) != "string":
                yield helper.make_node("Cast", [parts[-1]], [f"{label}/float"], to=TensorProto.FLOAT)
                parts[-1] = f"{label}/float"
        yield helper.make_node("Concat", parts, [CORE + feed.name], axis=1)


def _behind(answer: Answer, given: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the nodes from what the converted model gives, by name, to what is served, and its outputs."""
    from onnx import TensorProto, helper

    nodes, found = list[Any](), list[Any]()
    for name, served in answer.further.items():
        nodes.append(helper.make_node("Identity", [CORE + name], [served]))
        kind = given[name].type.tensor_type
        shape = [length.dim_param or length.dim_value for length in kind.shape.dim]
        found.append(helper.make_tensor_value_info(served, kind.elem_type, shape))
    if not answer.name:
        return nodes, found
    nodes.append(helper.make_node("Cast", [CORE + answer.name], ["behind/float"], to=TensorProto.FLOAT))
    name = "value" if answer.task == "regression" else "probability"
    nodes += _value_nodes(answer) if name == "value" else _probability_nodes(answer)
    nodes[-1].output[0] = name
    found.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", answer.width]))
    if answer.task == "classification":
        nodes.append(helper.make_node("ArgMax", [name], ["class"], axis=1, keepdims=0))
        found.append(helper.make_tensor_value_info("class", TensorProto.INT64, ["rows"]))
    return nodes, found


def _value_nodes(answer: Answer) -> list[Any]:
    import numpy as np
    from onnx import helper

    shape = _constant("behind/shape", np.array([-1, answer.width], np.int64))
    return [shape, helper.make_node("Reshape", ["behind/float", "behind/shape"], ["behind/rows"])]


def _probability_nodes(answer: Answer) -> list[Any]:
    import numpy as np
    from onnx import helper

    at, nodes = "behind/float", list[Any]()
    if answer.activation:
        axis = {"axis": 1} if answer.activation == "Softmax" else {}
        nodes.append(helper.make_node(answer.activation, [at], ["behind/active"], **axis))
        at = "behind/active"
    if answer.one:
        nodes.append(_constant("behind/1", np.ones(1, np.float32)))
        nodes.append(helper.make_node("Sub", ["behind/1", at], ["behind/first"]))
        nodes.append(helper.make_node("Concat", ["behind/first", at], ["behind/both"], axis=1))
    elif answer.places is not None:
        spread = np.zeros((len(answer.places), answer.width), np.float32)
        spread[np.arange(len(answer.places)), list(answer.places)] = 1
        nodes += [_constant("behind/places", spread), helper.make_node("MatMul", [at, "behind/places"], ["behind/all"])]
    else:
        nodes.append(helper.make_node("Identity", [at], ["behind/all"]))
    return nodes


def _constant(name: str, values: "Array") -> Any:
    from onnx import helper, numpy_helper

    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values, name))
