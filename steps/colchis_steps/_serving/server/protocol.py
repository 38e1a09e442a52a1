"""Two protocols between JSON and arrays: TensorFlow Serving's V1 REST and the Open Inference Protocol V2.

V1: https://www.tensorflow.org/tfx/serving/api_rest · V2: https://github.com/kserve/open-inference-protocol
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from colchis_steps._serving.server.binary import Rest, read_binary, to_binary
from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.values import nested, read_values, shown
from colchis_steps._tensors.tensor import Arrays, Tensor
from colchis_steps._tensors.values import plain

DATATYPES = {  # of V2, by numpy's name
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


Signature = Mapping[str, Tensor]
NOTHING = memoryview(b"")
HALF = 0.5  # of a probability: from here on a row has the label


@dataclass(frozen=True)
class Question:
    """What a client asks: the inputs, and how the answer is to be written."""

    arrays: Arrays
    write: Callable[[Arrays], Any]


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises Refused (400)."""
    try:
        found = msgspec.json.decode(body)
    except RecursionError as error:
        raise Refused(400, "the JSON is nested too deeply; send arrays as deep as the input's shape") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if re.search(rb"\b(NaN|Infinity)\b", body):
            raise Refused(400, "the body holds NaN or Infinity, which is not JSON; send finite numbers") from error
        raise Refused(400, f"the body is not JSON ({str(error)[:256]}); send a JSON object") from error
    if not isinstance(found, dict):
        raise Refused(400, f"the body is {shown(found)}; send a JSON object")
    return found


def read_v1(body: bytes, columns: Columns) -> Question:
    """Read a V1 request in row format (``instances``) or column format (``inputs``). Raises Refused (400, 413)."""
    found = parse(body)
    if found.get("signature_name", "serving_default") not in ("serving_default", ""):
        raise Refused(400, f"signature {shown(found['signature_name'])} is not served; leave signature_name out")
    if ("instances" in found) == ("inputs" in found):
        raise Refused(400, 'the body must hold either "instances" (rows) or "inputs" (columns); send one of them')
    if "inputs" in found:
        named = _named(found["inputs"], columns, "inputs")
        return Question(tensors_of(named, columns), lambda outputs: {"outputs": _bare(_values(outputs))})
    rows = found["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f'"instances" is {shown(rows)}; send a list of at least one row')

    def write(outputs: Arrays) -> dict[str, Any]:
        return _write_rows(outputs, columns)

    if len(columns.own) == 1 and dict not in set(map(type, rows)):  # without an object a row: four million take 1 GB
        return Question(tensors_of(dict.fromkeys(columns.own, rows), columns), write)
    each = [_named(row, columns, f"instances[{number}]") for number, row in enumerate(rows)]
    sent = [name for name in columns.inputs if name not in columns.derived or name in each[0]]
    if odd := next((n for n in columns.derived for row in each if (n in row) != (n in each[0])), ""):
        raise Refused(400, f"{odd} is there in some rows; send it in all, or in none")
    return Question(tensors_of({name: [row.get(name) for row in each] for name in sent}, columns), write)


def read_v2(body: bytes, columns: Columns, outputs: Signature, rest: memoryview = NOTHING) -> Question:
    """Read a V2 inference request; the answer holds the outputs that it asks for, or all. Raises Refused (400, 413).

    ``rest`` is what stands behind the JSON (see binary).
    """
    found, binary, inputs = parse(body), Rest(rest), columns.inputs
    given: dict[str, Any] = {}
    for tensor in _objects(found.get("inputs"), "inputs"):
        name, shape, data = str(tensor.get("name")), tensor.get("shape"), tensor.get("data")
        if name not in inputs or name in given:
            raise Refused(400, f"input {shown(name)} is unknown or there twice; send {_names(inputs)} once each")
        if (datatype := tensor.get("datatype")) != DATATYPES[inputs[name].dtype]:
            want = DATATYPES[inputs[name].dtype]
            raise Refused(400, f"{name} has the datatype {shown(datatype)}; this model takes {want}")
        if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
            raise Refused(400, f"{name} has the shape {shown(shape)}; send a list of lengths")
        if (size := _parameters(tensor).get("binary_data_size")) is not None:
            content = binary.take(name, size)
            given[name] = read_binary(inputs[name], shape, content, nan=columns.takes_nan(name))
        elif name in columns.read:
            given[name] = nested(inputs[name], data, shape)
        else:
            given[name] = read_values(inputs[name], data, shape)
    binary.end()
    if missing := columns.needed - given.keys():
        raise Refused(400, f"input {_names(missing)} is missing; send {_names(columns.own)}")
    asked = {str(output.get("name")): _parameters(output) for output in _objects(found.get("outputs", []), "outputs")}
    wanted = list(asked) or list(outputs)
    if unknown := set(wanted) - outputs.keys():
        raise Refused(400, f"output {_names(unknown)} is unknown; ask for {_names(outputs)}")
    if asked and len(asked) != len(found["outputs"]):
        raise Refused(400, f"an output is asked for more than once; ask for {_names(outputs)} once each")
    packs = _parameters(found).get("binary_data_output") is True
    packed = {name for name in wanted if asked.get(name, {}).get("binary_data", packs) is True}
    head = {"id": found["id"]} if isinstance(found.get("id"), str) else {}

    def write(arrays: Arrays) -> dict[str, Any]:
        written = [_write_tensor(outputs[name], arrays[name], packed=name in packed) for name in wanted]
        return {**head, "outputs": written}

    return Question(tensors_of(given, columns), write)


def _named(value: Any, columns: Columns, where: str) -> dict[str, Any]:
    """Return values by input; where the model has one column its value may stand without the name."""
    bytes_object = isinstance(value, dict) and value.keys() == {"b64"}
    if len(columns.own) == 1 and (not isinstance(value, dict) or bytes_object):
        return dict.fromkeys(columns.own, value)
    if not isinstance(value, dict) or not columns.needed <= value.keys() <= columns.inputs.keys():
        got = f"holds {_names(value)}" if isinstance(value, dict) else f"is {shown(value)}"
        if isinstance(value, dict) and value.keys() <= columns.inputs.keys():
            got = f"lacks {_names(columns.needed - value.keys())}"
        raise Refused(400, f"{where} {got}; send an object with {_names(columns.own)}")
    return value


def tensors_of(values: Mapping[str, Any], columns: Columns) -> Arrays:
    """Return all inputs of the columns that were sent, as lists of JSON or as arrays. Raises Refused (400, 413)."""
    made = columns.completed(values)
    found = {
        name: value
        if isinstance(value := made[name], np.ndarray)
        else read_values(tensor, value, nan=columns.takes_nan(name))
        for name, tensor in columns.inputs.items()
    }
    rows = {len(array) for array in found.values() if array.ndim} if columns.derived else set()
    if len(rows) > 1:
        raise Refused(400, f"the columns have {min(rows)} to {max(rows)} rows; send as many of each")
    return found


def _write_rows(outputs: Arrays, told: Columns) -> dict[str, Any]:
    if len({array.shape[:1] for array in outputs.values()}) != 1 or any(array.ndim == 0 for array in outputs.values()):
        raise Refused(400, 'this model does not give one output a row; send "inputs" in place of "instances"')
    columns = _in_words(_values(outputs), told)
    if len(columns) == 1:
        return {"predictions": _bare(columns)}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _in_words(found: dict[str, Any], told: Columns) -> dict[str, Any]:
    """Return the outputs' rows, with the class's name beside its number, or the names of the labels that a row has."""
    classes, words = told.classes, dict[str, list[Any]]()
    if classes and "class" in found and "label" not in found:
        words["label"] = [classes[n] if type(n) is int and 0 <= n < len(classes) else None for n in found["class"]]
    elif classes and told.task == "multilabel" and found.keys() == {"probability"}:
        words["labels"] = [
            [name for name, share in zip(classes, row, strict=False) if share >= HALF] for row in found["probability"]
        ]
    return found | words


def _write_tensor(tensor: Tensor, array: np.ndarray[Any, Any], *, packed: bool) -> dict[str, Any]:
    shape, datatype = list(array.shape), DATATYPES[tensor.dtype]
    data = to_binary(array) if packed else plain(array.ravel())
    return {"name": tensor.name, "shape": shape, "datatype": datatype, "data": data}


def _parameters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = value.get("parameters")
    return found if isinstance(found, dict) else {}


def _values(outputs: Arrays) -> dict[str, Any]:
    return {name: plain(array) for name, array in outputs.items()}


def _bare(columns: dict[str, Any]) -> Any:
    return next(iter(columns.values())) if len(columns) == 1 else columns


def _objects(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(400, f'"{where}" is {shown(value)}; send a list of objects, each with a name')
    return value


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))[:256] or "nothing"
