"""Columns as clients write them, made what a model takes: nulls, lists of any length, dates as text.

A null is NaN in a column of floats; in others it is 0, "" or false, and the input ``<name>__valid`` is false there. A
list of any length is padded, and the input ``<name>__mask`` says where a value is. Clients need not send these two.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from colchis_steps._serving.config import Written
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor

MOST = 1 << 24  # values that nulls and short lists may become, in a request
VALID, MASK = "__valid", "__mask"  # as training names them
EPOCH, MIDNIGHT = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.time()
MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1, "day": 86_400_000_000}  # in a unit; ns is less than one
Signature = Mapping[str, Tensor]


@dataclass(frozen=True)
class Columns:
    """What is known of a version's inputs and answers beyond its signature."""

    inputs: Signature
    written: Mapping[str, Written] = field(default_factory=dict)
    classes: Sequence[str] = ()
    task: str = ""

    @cached_property
    def read(self) -> Mapping[str, Written]:
        """The columns among the inputs that are written otherwise than the signature has them."""
        return {n: c for n, c in self.written.items() if n in self.inputs and (c.nullable or c.ragged or is_time(c))}

    @cached_property
    def derived(self) -> frozenset[str]:
        """The inputs that are made of others."""
        made = [n + VALID for n, c in self.read.items() if c.nullable] + [
            n + MASK for n, c in self.read.items() if c.ragged
        ]
        return frozenset(self.inputs.keys() & set(made))

    @cached_property
    def needed(self) -> frozenset[str]:
        """The inputs that a client must send: all but these, and those that may be null."""
        return frozenset(self.inputs.keys() - self.derived - {n for n, c in self.read.items() if c.nullable})

    @cached_property
    def own(self) -> tuple[str, ...]:
        """The inputs that are columns of the data."""
        return tuple(name for name in self.inputs if name not in self.derived)

    def takes_nan(self, name: str) -> bool:
        """Return whether NaN, which JSON has not, may have come of a null."""
        return name in self.read and self.read[name].nullable and self.inputs[name].dtype.startswith("float")

    def completed(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return all inputs, rows first, of the columns that were sent, rows first.

        Raises:
            Refused: 400 for a null where none may be, a list that is too long, a date that is none; 413 for too much.
        """
        if not self.read:
            return {name: sent[name] for name in self.inputs if name in sent}
        found = dict(sent)
        rows = next((len(values) for values in sent.values() if isinstance(values, list | np.ndarray)), 0)
        if rows * sum(_size(self.inputs[name]) for name in self.read) > MOST:
            raise Refused(413, f"the request has {rows} rows, too many for lists of any length; send fewer at a time")
        for name, column in self.read.items():
            tensor, values = self.inputs[name], found.get(name, [None] * rows)
            if isinstance(values, np.ndarray):  # of bytes, and so whole
                found |= {n: made for n, made in _whole(name, column, values).items() if n not in found}
                continue
            if not isinstance(values, list):
                continue  # the shape is refused in its turn
            if column.nullable:
                found.setdefault(name + VALID, [value is not None for value in values])
            if column.ragged:
                found.setdefault(name + MASK, [_mask(value, tensor, name) for value in values])
            read = _Reader(name, column, tensor, math.nan if self.takes_nan(name) else FILLS.get(tensor.dtype, 0))
            found[name] = [read.row(value) for value in values]
        return {name: found[name] for name in self.inputs if name in found}


FILLS: Mapping[str, Any] = {"string": "", "bool": False}


def is_time(column: Written) -> bool:
    """Return whether a column's values may come as text of a date or time."""
    return column.type.startswith(("timestamp", "date", "time"))


def time_reader(column: Written, name: str) -> Callable[[Any], Any]:
    """Return what makes whole numbers in the column's unit of ISO 8601; numbers stay. Without a zone it is UTC."""
    kind, unit = column.type.partition("[")[0], column.type.partition("[")[2].rstrip("]").partition(",")[0]

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            micro = _microseconds(kind, value)
        except (ValueError, OverflowError) as error:
            raise Refused(
                400, f"{name} holds {value[:64]!r}, which is no {kind}; send ISO 8601, or a number"
            ) from error
        return micro * 1_000 if unit == "ns" else micro // MICROSECONDS.get(unit, 1)

    return read


def _microseconds(kind: str, text: str) -> int:
    if kind.startswith("time") and not kind.startswith("timestamp"):
        at = dt.time.fromisoformat(text)
        return ((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000 + at.microsecond
    found = dt.datetime.fromisoformat(text)
    return ((found if found.tzinfo else found.replace(tzinfo=dt.UTC)) - EPOCH) // dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class _Reader:
    """Makes a column's values what the model takes; ``fill`` stands for a null."""

    name: str
    column: Written
    tensor: Tensor
    fill: Any

    @cached_property
    def null(self) -> Any:
        return _nested(self.fill, self.tensor.shape[1:])

    @cached_property
    def convert(self) -> Callable[[Any], Any] | None:
        return time_reader(self.column, self.name) if is_time(self.column) else None

    def row(self, value: Any) -> Any:
        """Return one row's value, in the tensor's shape."""
        shape = self.tensor.shape[1:]
        if value is None:
            return self.null if self.column.nullable else self.one(value)
        if self.column.nullable or self.convert:
            value = self._each(value, len(shape))
        if self.column.ragged and isinstance(value, list):
            padding = _nested(FILLS.get(self.tensor.dtype, 0), shape[1:])
            value = value + [padding] * ((shape[0] or len(value)) - len(value))
        return value

    def one(self, value: Any) -> Any:
        if value is None and not self.column.nullable:
            raise Refused(400, f"{self.name} holds null, and the model was trained without nulls there; send a value")
        if value is None:
            return self.fill
        return self.convert(value) if self.convert else value

    def _each(self, value: Any, depth: int) -> Any:
        if depth and isinstance(value, list):
            return [self._each(one, depth - 1) for one in value]
        return self.one(value)


def _whole(name: str, column: Written, values: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """Return what says where values are, of a column that came whole: they are everywhere."""
    made: dict[str, Any] = {name + VALID: np.ones(len(values), bool)} if column.nullable else {}
    return made | ({name + MASK: np.ones(values.shape[:2], bool)} if column.ragged else {})


def _mask(value: Any, tensor: Tensor, name: str) -> list[bool]:
    longest, count = tensor.shape[1] or 0, len(value) if isinstance(value, list) else 0
    if value is not None and not isinstance(value, list):
        shown = msgspec.json.encode(value).decode()[:64]
        raise Refused(400, f"{name} is {shown}; send a list of at most {longest} values")
    if count > longest:
        raise Refused(400, f"{name} has a list of {count} values, and the model takes at most {longest}; send fewer")
    return [True] * count + [False] * (longest - count)


def _nested(value: Any, shape: Sequence[int | None]) -> Any:
    """Return a value in lists of these lengths; the lists are shared, and nothing changes them."""
    for length in reversed(shape):
        value = [value] * (length or 0)
    return value


def _size(tensor: Tensor) -> int:
    return math.prod(length or 1 for length in tensor.shape[1:])
