"""What is checked of a request before anything is built from it, and of an answer before it is written.

A request of few bytes must not become much work: JSON's ``[],`` is 3 bytes and 64 in memory. So the separators of a
body are counted first, at memory speed, and held against what the signature can take in so many rows.
"""

import math
from collections.abc import Mapping

import numpy as np

from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Arrays, Tensor

VALUES = 1 << 21  # of a request whose signature leaves lengths free
SPARE = 1024  # separators for names, parameters and what else surrounds the values
WIDEST = 32  # bytes of a number in JSON, its separators and spaces included
SPACE = 8  # bytes around a name: quotes, colon, comma, spaces
LEAST = 1 << 20  # bytes that any body may have
CHUNK = 1 << 20
WIDTHS = {"bool": 6, "float16": 9, "float32": 21, "float64": 25, "int8": 5, "int16": 7, "int32": 12, "int64": 21}
WIDTHS |= {f"u{name}": width for name, width in WIDTHS.items() if name.startswith("int")}
OF_TYPE = {np.dtype(name): width for name, width in WIDTHS.items()}  # to ask a dtype for its name takes longer
_SEPARATES = np.isin(np.arange(256), list(b",[{"))


def body_limit(inputs: Mapping[str, Tensor], rows: int, most: int) -> int:
    """Return how many bytes a body can need for ``rows`` rows, where the signature says so; at most ``most``.

    In a row each input may stand behind its name.
    """
    if any(tensor.dtype == "string" or None in tensor.shape[1:] for tensor in inputs.values()):
        return most
    named = rows * sum(len(name) + SPACE for name in inputs)
    return min(most, max(LEAST, named + WIDEST * sum(_values(tensor, rows) for tensor in inputs.values())))


def check_body(body: bytes, inputs: Mapping[str, Tensor], rows: int) -> None:
    """Hold the separators in a JSON body against what ``rows`` rows of the inputs have. Raises Refused (400)."""
    most = SPARE
    for tensor in inputs.values():
        most += VALUES * 2 if None in tensor.shape[1:] else _values(tensor, rows) * 2 + _lists(tensor, rows) + rows
    found = separators(body)
    if found > most:
        raise Refused(
            400,
            f"the body holds over {most} values and lists, more than {rows} rows of this model's inputs have; "
            "send fewer rows, each of the input's shape",
        )


def separators(body: bytes) -> int:
    """Count commas and opened lists and objects outside of texts."""
    plain = body.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    whole, inside, found = np.frombuffer(plain, np.uint8), 0, 0
    for start in range(0, len(whole), CHUNK):
        part = whole[start : start + CHUNK]
        quotes = np.cumsum(part == ord('"'), dtype=np.uint32)
        outside = ((quotes + np.uint32(inside)) & 1) == 0
        found += int(np.count_nonzero(_SEPARATES[part] & outside))
        inside = (inside + int(quotes[-1])) & 1
    return found


def check_answer(outputs: Arrays, most: int) -> None:
    """Hold what JSON the outputs become against a bound in bytes. Raises Refused (413)."""
    length = sum(_written(array) for array in outputs.values())
    if length > most:
        raise Refused(
            413, f"the answer would have about {length} bytes, over {most}; send fewer rows, or ask for fewer outputs"
        )


def _written(array: "np.ndarray[object, np.dtype[object]]") -> int:  # type: ignore[type-var] # of any dtype
    if array.dtype.kind == "O":
        return sum(map(len, array.ravel().tolist())) * 4 // 3 + 16 * array.size
    return OF_TYPE.get(array.dtype, 25) * array.size


def _values(tensor: Tensor, rows: int) -> int:
    return math.prod(rows if length is None else length for length in tensor.shape)


def _lists(tensor: Tensor, rows: int) -> int:
    lengths = [rows if length is None else length for length in tensor.shape]
    return sum(math.prod(lengths[:level]) for level in range(len(lengths)))
