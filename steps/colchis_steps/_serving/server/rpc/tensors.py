"""Tensors of both protocols' messages as arrays, and back; checked before anything is built."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from colchis_steps._serving.server.limits import VALUES
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.values import check_shape
from colchis_steps._tensors.tensor import Tensor

OPEN_INFERENCE = {  # the field of InferTensorContents, by numpy's name
    "bool": "bool_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "int64": "int64_contents",
    "string": "bytes_contents",
    "uint64": "uint64_contents",
    **dict.fromkeys(("int8", "int16", "int32"), "int_contents"),
    **dict.fromkeys(("uint8", "uint16", "uint32"), "uint_contents"),
}
TENSORFLOW = {  # the field of TensorProto
    "bool": "bool_val",
    "float16": "half_val",
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "string": "string_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "int_val"),
}


def from_values(
    tensor: Tensor, shape: Sequence[int], values: Sequence[Any], *, repeats: bool = False, nan: bool = False
) -> np.ndarray[Any, Any]:
    """Return the values of a repeated field in the input's dtype and this shape.

    Args:
        tensor: the input.
        shape: its lengths.
        values: as the message has them.
        nan: there may be NaN, which stands for a null.
        repeats: whether the last value stands for all that are left out, as in TensorFlow's messages.

    Raises:
        Refused: 400 where shape or values do not fit.
    """
    check_shape(tensor, shape)
    count = math.prod(shape)
    if repeats and 0 < len(values) < count and count > VALUES:
        raise Refused(400, f"{tensor.name} has {count} values of which {len(values)} are sent; send all, or fewer rows")
    if len(values) != count and not (repeats and 0 < len(values) < count):
        raise Refused(400, f"{tensor.name} has {len(values)} values, but its shape {list(shape)} wants {count}")
    found = _array(tensor, values, nan=nan)
    if len(values) < count:
        found = np.concatenate([found, np.repeat(found[-1:], count - len(values))])
    return found.reshape(shape)


def to_values(array: np.ndarray[Any, Any]) -> list[Any]:
    """Return an output's values as TensorFlow's messages hold them."""
    if array.dtype == np.float16:
        return list(array.ravel().view(np.uint16).tolist())
    return list(array.ravel().tolist())


def _array(tensor: Tensor, values: Sequence[Any], *, nan: bool) -> np.ndarray[Any, Any]:
    if tensor.dtype == "string":
        found = np.empty(len(values), dtype=object)
        found[:] = list(values)
        return found
    dtype = np.dtype(tensor.dtype)
    if dtype == np.float16:
        bits = np.fromiter(values, np.int64, len(values))
        found = (bits & 0xFFFF).astype(np.uint16).view(np.float16)
    else:
        try:
            found = np.fromiter(values, dtype, len(values))
        except OverflowError:
            limits = np.iinfo(dtype)
            takes = f"{tensor.dtype} takes whole numbers from {limits.min} to {limits.max}"
            raise Refused(400, f"{tensor.name} holds a number that is too large or too small; {takes}") from None
    if dtype.kind == "f" and not (~np.isinf(found) if nan else np.isfinite(found)).all():
        raise Refused(400, f"{tensor.name} holds NaN or infinity; send finite numbers")
    return found
