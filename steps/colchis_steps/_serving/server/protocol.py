"""Two protocols between JSON and arrays: TensorFlow Serving's V1 REST and the Open Inference Protocol V2.

V1: https://www.tensorflow.org/tfx/serving/api_rest · V2: https://github.com/kserve/open-inference-protocol
"""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from colchis_steps._savedmodel.loading import Arrays, Tensor
from colchis_steps._savedmodel.values import plain
from colchis_steps._serving.server.refusals import Refused

DATATYPES = {  # of V2, by numpy's name
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


Signature = Mapping[str, Tensor]


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
        raise Refused(400, f"the body is {_shown(found)}; send a JSON object")
    return found


def read_v1(body: bytes, inputs: Signature) -> Question:
    """Read a V1 request in row format (``instances``) or column format (``inputs``). Raises Refused (400)."""
    found = parse(body)
    if found.get("signature_name", "serving_default") not in {"serving_default", ""}:
        raise Refused(400, f"signature {_shown(found['signature_name'])} is not served; leave signature_name out")
    if ("instances" in found) == ("inputs" in found):
        raise Refused(400, 'the body must hold either "instances" (rows) or "inputs" (columns); send one of them')
    if "inputs" in found:
        columns = _named(found["inputs"], inputs, "inputs")
        return Question(_tensors(columns, inputs), lambda outputs: {"outputs": _bare(_values(outputs))})
    rows = found["instances"]
    if not isinstance(rows, list) or not rows:
        raise Refused(400, f'"instances" is {_shown(rows)}; send a list of at least one row')
    named = [_named(row, inputs, f"instances[{number}]") for number, row in enumerate(rows)]
    return Question(_tensors({name: [row[name] for row in named] for name in inputs}, inputs), _write_rows)


def read_v2(body: bytes, inputs: Signature, outputs: Signature) -> Question:
    """Read a V2 inference request; the answer holds the outputs that it asks for, or all. Raises Refused (400)."""
    found = parse(body)
    given: dict[str, Any] = {}
    for tensor in _objects(found.get("inputs"), "inputs"):
        name, shape, data = str(tensor.get("name")), tensor.get("shape"), tensor.get("data")
        if name not in inputs or name in given:
            raise Refused(400, f"input {_shown(name)} is unknown or there twice; send {_names(inputs)} once each")
        if (datatype := tensor.get("datatype")) != DATATYPES[inputs[name].dtype]:
            want = DATATYPES[inputs[name].dtype]
            raise Refused(400, f"{name} has the datatype {_shown(datatype)}; this model takes {want}")
        if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
            raise Refused(400, f"{name} has the shape {_shown(shape)}; send a list of lengths")
        array = _array(inputs[name], data)
        if array.size != math.prod(shape):
            raise Refused(400, f"{name} has {array.size} values, but its shape {shape} wants {math.prod(shape)}")
        given[name] = _fitting(inputs[name], array.reshape(shape))
    if missing := inputs.keys() - given.keys():
        raise Refused(400, f"input {_names(missing)} is missing; send {_names(inputs)}")
    wanted = [str(output.get("name")) for output in _objects(found.get("outputs", []), "outputs")] or list(outputs)
    if unknown := set(wanted) - outputs.keys():
        raise Refused(400, f"output {_names(unknown)} is unknown; ask for {_names(outputs)}")
    head = {"id": found["id"]} if isinstance(found.get("id"), str) else {}

    def write(arrays: Arrays) -> dict[str, Any]:
        return {**head, "outputs": [_write_tensor(outputs[name], arrays[name]) for name in wanted]}

    return Question(given, write)


def _named(value: Any, inputs: Signature, where: str) -> dict[str, Any]:
    """Return values by input; where the model has one input its value may stand without the name."""
    bytes_object = isinstance(value, dict) and value.keys() == {"b64"}
    if len(inputs) == 1 and (not isinstance(value, dict) or bytes_object):
        return dict.fromkeys(inputs, value)
    if not isinstance(value, dict) or value.keys() != inputs.keys():
        got = f"holds {_names(value)}" if isinstance(value, dict) else f"is {_shown(value)}"
        raise Refused(400, f"{where} {got}; send an object with {_names(inputs)}")
    return value


def _tensors(values: Mapping[str, Any], inputs: Signature) -> Arrays:
    return {name: _fitting(tensor, _array(tensor, values[name])) for name, tensor in inputs.items()}


def _fitting(tensor: Tensor, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    fits = len(array.shape) == len(tensor.shape) and all(
        want in {None, got} for want, got in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits:
        want = " by ".join("n" if length is None else str(length) for length in tensor.shape) or "a scalar"
        got = " by ".join(str(length) for length in array.shape) or "a scalar"
        raise Refused(400, f"{tensor.name} has the shape {got}; this model takes {want} (n is the number of rows)")
    if 0 in array.shape:
        raise Refused(400, f"{tensor.name} holds no values; send at least one row")
    return array


def _array(tensor: Tensor, value: Any) -> np.ndarray[Any, Any]:
    """Return the values in the input's dtype, each unchanged, in the shape that they came in."""
    if tensor.dtype == "string":
        return np.array(_bytes(tensor.name, value), dtype=object)
    try:
        found = np.array(value)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"{tensor.name} is ragged or too deep; send rows of equal length") from error
    dtype = np.dtype(tensor.dtype)
    if (found.dtype.kind == "b") != (dtype.kind == "b") or found.dtype.kind not in "biuf":
        want = "true and false" if dtype.kind == "b" else "numbers"
        raise Refused(400, f"{tensor.name} holds {_foreign(value, dtype.kind)}; {tensor.dtype} takes {want} only")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        bad = (
            (found < limits.min)
            | (found > limits.max)
            | (found != np.floor(found) if found.dtype.kind == "f" else False)
        )
        takes = f"whole numbers from {limits.min} to {limits.max}"
    else:
        bad = ~np.isfinite(found) | (np.abs(found) > np.finfo(dtype).max if dtype.kind == "f" else False)
        takes = "finite numbers within its range"
    if np.any(bad):
        where = [int(index) for index in np.argwhere(bad)[0]]
        raise Refused(400, f"{tensor.name} holds {found[tuple(where)]} at {where}; {tensor.dtype} takes {takes}")
    return found.astype(dtype)


def _bytes(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_bytes(name, item) for item in value]
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:  # binascii.Error, or characters beyond ASCII
            raise Refused(400, f'{name} holds a "b64" that is not base64; encode the bytes again') from error
    raise Refused(400, f'{name} holds {_shown(value)}; send strings, or bytes as {{"b64": "…"}}')


def _foreign(value: Any, kind: str) -> str:
    """Show the first value that is not a number (of a kind ``b`` input: no boolean)."""
    if isinstance(value, list):
        return next((text for item in value if (text := _foreign(item, kind))), "")
    fits = isinstance(value, bool) if kind == "b" else type(value) in {int, float} and abs(value) < 2**64
    return "" if fits else _shown(value)


def _write_rows(outputs: Arrays) -> dict[str, Any]:
    if len({array.shape[:1] for array in outputs.values()}) != 1 or any(array.ndim == 0 for array in outputs.values()):
        raise Refused(400, 'this model does not give one output a row; send "inputs" in place of "instances"')
    columns = _values(outputs)
    if len(columns) == 1:
        return {"predictions": _bare(columns)}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _write_tensor(tensor: Tensor, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    shape, datatype = list(array.shape), DATATYPES[tensor.dtype]
    return {"name": tensor.name, "shape": shape, "datatype": datatype, "data": plain(array.ravel())}


def _values(outputs: Arrays) -> dict[str, Any]:
    return {name: plain(array) for name, array in outputs.items()}


def _bare(columns: dict[str, Any]) -> Any:
    return next(iter(columns.values())) if len(columns) == 1 else columns


def _objects(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(400, f'"{where}" is {_shown(value)}; send a list of objects, each with a name')
    return value


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))[:256] or "nothing"


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return ("a list" if isinstance(value, list) else "an object") if value else "empty"
    return msgspec.json.encode(value).decode()[:64]
