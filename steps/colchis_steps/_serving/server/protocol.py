"""Two protocols between JSON and arrays: TensorFlow Serving's V1 REST and the Open Inference Protocol V2.

V1: https://www.tensorflow.org/tfx/serving/api_rest · V2: https://github.com/kserve/open-inference-protocol
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from colchis_steps._savedmodel.loading import Arrays, Tensor
from colchis_steps._savedmodel.values import plain
from colchis_steps._serving.server.binary import Rest, read_binary, to_binary
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.values import read_values, shown

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


def read_v1(body: bytes, inputs: Signature) -> Question:
    """Read a V1 request in row format (``instances``) or column format (``inputs``). Raises Refused (400)."""
    found = parse(body)
    if found.get("signature_name", "serving_default") not in ("serving_default", ""):
        raise Refused(400, f"signature {shown(found['signature_name'])} is not served; leave signature_name out")
    if ("instances" in found) == ("inputs" in found):
        raise Refused(400, 'the body must hold either "instances" (rows) or "inputs" (columns); send one of them')
    if "inputs" in found:
        columns = _named(found["inputs"], inputs, "inputs")
        return Question(_tensors(columns, inputs), lambda outputs: {"outputs": _bare(_values(outputs))})
    rows = found["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f'"instances" is {shown(rows)}; send a list of at least one row')
    if len(inputs) == 1 and dict not in set(map(type, rows)):  # without an object a row: four million take 1 GB
        return Question(_tensors(dict.fromkeys(inputs, rows), inputs), _write_rows)
    named = [_named(row, inputs, f"instances[{number}]") for number, row in enumerate(rows)]
    return Question(_tensors({name: [row[name] for row in named] for name in inputs}, inputs), _write_rows)


def read_v2(body: bytes, inputs: Signature, outputs: Signature, rest: memoryview = NOTHING) -> Question:
    """Read a V2 inference request; the answer holds the outputs that it asks for, or all. Raises Refused (400).

    ``rest`` is what stands behind the JSON (see binary).
    """
    found, binary = parse(body), Rest(rest)
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
        if (size := _parameters(tensor).get("binary_data_size")) is None:
            given[name] = read_values(inputs[name], data, shape)
        else:
            given[name] = read_binary(inputs[name], shape, binary.take(name, size))
    binary.end()
    if missing := inputs.keys() - given.keys():
        raise Refused(400, f"input {_names(missing)} is missing; send {_names(inputs)}")
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

    return Question(given, write)


def _named(value: Any, inputs: Signature, where: str) -> dict[str, Any]:
    """Return values by input; where the model has one input its value may stand without the name."""
    bytes_object = isinstance(value, dict) and value.keys() == {"b64"}
    if len(inputs) == 1 and (not isinstance(value, dict) or bytes_object):
        return dict.fromkeys(inputs, value)
    if not isinstance(value, dict) or value.keys() != inputs.keys():
        got = f"holds {_names(value)}" if isinstance(value, dict) else f"is {shown(value)}"
        raise Refused(400, f"{where} {got}; send an object with {_names(inputs)}")
    return value


def _tensors(values: Mapping[str, Any], inputs: Signature) -> Arrays:
    return {name: read_values(tensor, values[name]) for name, tensor in inputs.items()}


def _write_rows(outputs: Arrays) -> dict[str, Any]:
    if len({array.shape[:1] for array in outputs.values()}) != 1 or any(array.ndim == 0 for array in outputs.values()):
        raise Refused(400, 'this model does not give one output a row; send "inputs" in place of "instances"')
    columns = _values(outputs)
    if len(columns) == 1:
        return {"predictions": _bare(columns)}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


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
