"""Lists of JSON as the arrays that an input takes: looked through first, and built once, in the input's own dtype.

Nothing is built from what does not fit. NumPy would give 30,000 texts as much room each as the longest of them has.
"""

import base64
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor

TYPES: dict[str, set[type]] = {"string": {str, dict}, "bool": {bool}}  # others take numbers
SHOWN = 8  # lengths of a shape that a sentence tells
_PLAIN = str.maketrans("-_", "+/")  # base64 as it stands in URLs (RFC 4648, section 5)


def read_values(
    tensor: Tensor, value: Any, shape: Sequence[int] | None = None, *, nan: bool = False
) -> np.ndarray[Any, Any]:
    """Return the values in the input's dtype, each unchanged.

    Args:
        tensor: the input.
        value: nested lists; where ``shape`` is given, they may be flat or nested otherwise.
        shape: lengths that the array gets, or None for those of the lists.
        nan: there may be NaN, which stands for a null.

    Raises:
        Refused: 400 where lists are ragged or of another shape, or a value is none that the input takes.
    """
    if shape is not None:
        check_shape(tensor, shape)
    parents, lengths = _unfolded(tensor, value)
    kinds = set(map(type, chain.from_iterable(parents)))
    takes = TYPES.get(tensor.dtype, {int, float})
    if kinds - takes:
        foreign = next(item for item in chain.from_iterable(parents) if type(item) not in takes)
        want = {"string": 'send strings, or bytes as {"b64": "…"}', "bool": "bool takes true and false only"}
        told = want.get(tensor.dtype, f"{tensor.dtype} takes numbers only")
        raise Refused(400, f"{tensor.name} holds {shown(foreign)}; {told}")
    if shape is None:
        check_shape(tensor, lengths)
    elif math.prod(lengths) != math.prod(shape):
        text = list(shape)
        raise Refused(
            400, f"{tensor.name} has {math.prod(lengths)} values, but its shape {text} wants {math.prod(shape)}"
        )
    if tensor.dtype == "string":
        found = np.empty(math.prod(lengths), dtype=object)
        found[:] = [_bytes(tensor.name, item) for item in chain.from_iterable(parents)]
    else:
        found = _numbers(tensor, parents, lengths, kinds, nan=nan)
    return found.reshape(lengths if shape is None else shape)


def check_shape(tensor: Tensor, shape: Sequence[int]) -> None:
    """Hold a shape against the input's. Raises Refused (400) where it does not fit, or holds nothing."""
    if not _fits(tensor.shape, shape):
        want = " by ".join("n" if length is None else str(length) for length in tensor.shape) or "a scalar"
        got = " by ".join(str(length) for length in shape[:SHOWN]) or "a scalar"
        got += f" and {len(shape) - SHOWN} more" if len(shape) > SHOWN else ""
        raise Refused(400, f"{tensor.name} has the shape {got}; this model takes {want} (n is the number of rows)")
    if 0 in shape:
        raise Refused(400, f"{tensor.name} holds no values; send at least one row")


def _fits(wanted: Sequence[int | None], shape: Sequence[int]) -> bool:
    for want, got in zip(wanted, shape, strict=False):
        if want != got and want is not None:
            return False
    return len(shape) == len(wanted)


def nested(tensor: Tensor, value: Any, shape: Sequence[int]) -> Any:
    """Return values, flat or nested otherwise, in lists of this shape. Raises Refused (400) where that does not fit."""
    if len(shape) != len(tensor.shape) or 0 in shape:
        check_shape(tensor, shape)
    flat = [value]
    for _ in range(len(shape) + 1):
        if not any(isinstance(item, list) for item in flat):
            break
        flat = [one for item in flat for one in (item if isinstance(item, list) else [item])]
    if len(flat) != (wanted := math.prod(shape)):
        raise Refused(400, f"{tensor.name} has {len(flat)} values, but its shape {list(shape)} wants {wanted}")
    for length in reversed(shape[1:]):
        flat = [flat[at : at + length] for at in range(0, len(flat), length)]
    return flat


def shown(value: Any) -> str:
    """Return a value of JSON in a few words."""
    if isinstance(value, list | dict):
        return ("a list" if isinstance(value, list) else "an object") if value else "empty"
    return msgspec.json.encode(value).decode()[:64]


def _unfolded(tensor: Tensor, value: Any) -> tuple[Sequence[Iterable[Any]], list[int]]:
    """Return the innermost lists and the lengths at each level; no value is copied."""
    parents: Sequence[Iterable[Any]] = [[value]]
    lengths: list[int] = []
    for _ in range(len(tensor.shape) + 1):
        kinds = set(map(type, chain.from_iterable(parents)))
        if list not in kinds:
            return parents, lengths
        parents = list(chain.from_iterable(parents))
        found = set(map(len, parents)) if kinds == {list} else set()  # type: ignore[arg-type] # they are lists
        if len(found) != 1:
            break
        lengths.append(found.pop())
    raise Refused(400, f"{tensor.name} is ragged or too deep; send rows of equal length")


def _numbers(
    tensor: Tensor, parents: Sequence[Iterable[Any]], lengths: Sequence[int], kinds: set[type], *, nan: bool
) -> np.ndarray[Any, Any]:
    dtype, count = np.dtype(tensor.dtype), math.prod(lengths)
    rounded = dtype.kind in "iu" and float in kinds
    try:
        with np.errstate(over="ignore"):
            found = np.fromiter(chain.from_iterable(parents), np.float64 if rounded else dtype, count)
    except OverflowError:
        raise Refused(400, _beyond(tensor, chain.from_iterable(parents), lengths)) from None
    if rounded:
        limits = np.iinfo(dtype)
        fits = (found == np.floor(found)) & (found >= float(limits.min)) & (found < float(limits.max) + 1)
    else:
        fits = ~np.isinf(found) if nan else np.isfinite(found)
    if not fits.all():
        raise Refused(400, _beyond(tensor, chain.from_iterable(parents), lengths))
    return found.astype(dtype) if rounded else found


def _beyond(tensor: Tensor, values: Iterator[Any], lengths: Sequence[int]) -> str:
    """Say which value the dtype cannot hold."""
    dtype = np.dtype(tensor.dtype)
    whole = dtype.kind in "iu"
    limits: Any = np.iinfo(dtype) if whole else np.finfo(dtype)
    low, high = (int(limits.min), int(limits.max)) if whole else (float(limits.min), float(limits.max))
    takes = f"whole numbers from {low} to {high}" if whole else "finite numbers within its range"
    wrong = ((n, v) for n, v in enumerate(values) if v < low or v > high or (whole and v != math.floor(v)))
    number, value = next(wrong)
    where = [int(index) for index in np.unravel_index(number, lengths)] if lengths else []
    text = str(value) if abs(value) < 10**60 else "a number of too many digits"
    return f"{tensor.name} holds {text} at {where}; {tensor.dtype} takes {takes}"


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if value.keys() == {"b64"} and isinstance(value["b64"], str):
        text = re.sub(r"\s+", "", value["b64"].translate(_PLAIN)).rstrip("=")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError as error:  # binascii.Error, or characters beyond ASCII
            raise Refused(400, f'{name} holds a "b64" that is not base64; encode the bytes again') from error
    raise Refused(400, f'{name} holds {shown(value)}; send strings, or bytes as {{"b64": "…"}}')
