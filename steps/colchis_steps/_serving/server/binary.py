"""Tensors as bytes behind V2's JSON: the binary tensor data extension, in which tritonclient and KServe's client ask.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/extension_binary_data.md
Numbers are in little-endian row-major order; each element of BYTES has its length before it, in 4 bytes.
"""

import math
import struct
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np

from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.values import check_shape
from colchis_steps._tensors.tensor import Tensor

LENGTH = "inference-header-content-length"  # the header that says where the JSON ends


def divided(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, memoryview]:
    """Return the JSON of a body and the bytes behind it. Raises Refused (400) where the header's number is none.

    Headers are by their names in lower case.
    """
    text = headers.get(LENGTH)
    if text is None:
        return body, memoryview(b"")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) > len(body):
        raise Refused(400, f"{LENGTH} is {text[:64]!r} of a body of {len(body)} bytes; send the JSON's length")
    return body[: int(text)], memoryview(body)[int(text) :]


class Rest:
    """The bytes behind the JSON, given out in the order of the tensors."""

    def __init__(self, rest: memoryview) -> None:
        self._rest = rest

    def take(self, name: str, size: Any) -> memoryview:
        """Return the next ``size`` bytes. Raises Refused (400) where there are not as many."""
        if type(size) is not int or not 0 <= size <= len(self._rest):
            raise Refused(400, f"{name} has a binary_data_size that the body has not; {len(self._rest)} bytes are left")
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def end(self) -> None:
        """Refuse (400) what no tensor took."""
        if self._rest:
            raise Refused(400, f"{len(self._rest)} bytes behind the JSON belong to no tensor; name their size")


def read_binary(
    tensor: Tensor, shape: Sequence[int], content: bytes | memoryview, *, nan: bool = False
) -> np.ndarray[Any, Any]:
    """Return a tensor of its bytes; ``nan``: NaN stands for a null.

    Raises:
        Refused: 400 where shape, size or values do not fit.
    """
    check_shape(tensor, shape)
    count = math.prod(shape)
    if tensor.dtype == "string":
        return _texts(tensor.name, content, count).reshape(shape)
    dtype, sent = _dtypes(tensor.dtype)
    if len(content) != count * dtype.itemsize:
        want = f"{count * dtype.itemsize} bytes for its shape {list(shape)}"
        raise Refused(400, f"{tensor.name} has {len(content)} bytes; send {want}")
    if dtype.kind == "b":
        found = np.frombuffer(content, np.uint8)
        if (found > 1).any():
            raise Refused(400, f"{tensor.name} holds a byte that is neither 0 nor 1; bool takes these only")
        return found.astype(bool).reshape(shape)
    found = np.frombuffer(content, sent).astype(dtype, copy=False).reshape(shape)
    if dtype.kind == "f" and np.count_nonzero(~np.isinf(found) if nan else np.isfinite(found)) != count:
        raise Refused(400, f"{tensor.name} holds NaN or infinity; send finite numbers")
    return found


@cache
def _dtypes(name: str) -> tuple["np.dtype[Any]", "np.dtype[Any]"]:
    """Return the dtype of this name, and the same as clients send it."""
    dtype = np.dtype(name)
    return dtype, dtype.newbyteorder("<")


def to_binary(array: np.ndarray[Any, Any]) -> bytes:
    """Return the bytes of a tensor."""
    if array.dtype.kind in "SO":
        return b"".join(struct.pack("<I", len(value)) + value for value in array.ravel().tolist())
    return array.tobytes() if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<")).tobytes()


def joined(document: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return an answer's body, outputs whose data are bytes behind the JSON, and the headers that say so."""
    parts = []
    outputs = document.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():  # V1's one output may be a scalar
        if isinstance(output, dict) and isinstance(output.get("data"), bytes):
            parts.append(output.pop("data"))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
    head = msgspec.json.encode(document)
    if not parts:
        return head, {}
    return head + b"".join(parts), {LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}


def _texts(name: str, content: bytes | memoryview, count: int) -> np.ndarray[Any, Any]:
    if count > len(content) // 4:
        raise Refused(400, f"{name} has {len(content)} bytes, too few for {count} values, each behind its length")
    found, at = np.empty(count, dtype=object), 0
    for number in range(count):
        length = int.from_bytes(content[at : at + 4], "little")
        if at + 4 + length > len(content):
            break
        found[number] = bytes(content[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(content) or (count and found[-1] is None):
        raise Refused(400, f"{name} has lengths that do not add up to its {len(content)} bytes; write it again")
    return found
