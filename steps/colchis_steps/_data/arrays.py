"""Arrow's columns as NumPy arrays, as training and evaluation take them.

A null is NaN in a column of floats. In others it is 0, "" or b"", and ``<name>__valid`` says where a value is. Rows of
a length of their own are padded to the longest of the data set, and ``<name>__mask`` says where a value is.
"""

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any

import msgspec

from colchis_steps._formats.data import RAGGED, Column
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

VALID, MASK = "__valid", "__mask"
STRICT = {"label", "weight"}  # roles in which a null means nothing
REMEDY = "fill them, leave out their rows, or let the column be nullable"


def as_read(columns: Iterable[Column]) -> dict[str, Column]:
    """Return the columns that ``arrays`` gives for these, by name, in order: without nulls, with fixed shapes."""
    found: dict[str, Column] = {}
    for column in columns:
        shape = tuple(column.longest if length == RAGGED else length for length in column.shape)
        found[column.name] = msgspec.structs.replace(column, shape=shape, nullable=False)
        if RAGGED in column.shape:
            found[column.name + MASK] = Column(column.name + MASK, "bool", shape[:1], column.role)
        if column.nullable and not column.dtype.startswith("float"):
            found[column.name + VALID] = Column(column.name + VALID, "bool", (), column.role)
    return found


def arrays(rows: "pa.RecordBatch | pa.Table", columns: Iterable[Column], where: str) -> "dict[str, Array]":
    """Return the columns' values by the names of ``as_read``, rows first.

    Raises:
        InputError: a column is missing or of another type, has a null that the schema forbids or, in a label or a
            weight, that no one may have, or a number that is not finite.
    """
    found: dict[str, Array] = {}
    for column in columns:
        if column.name not in rows.schema.names:
            raise InputError(f"{where} lacks the column {column.name!r}; import the data again")
        values = _whole(rows.column(column.name))
        strict = not column.nullable or column.role in STRICT
        if values.null_count and strict:
            row = values.is_null().index(True).as_py()
            why = f"is the {column.role}" if column.role in STRICT else "may have none"
            raise InputError(
                f"column {column.name!r} of {where} has {_nulls(values.null_count)}, the first in row {row}, and "
                f"{why}; " + ("leave out such rows" if column.role in STRICT else REMEDY)
            )
        if column.nullable and not column.dtype.startswith("float"):
            found[column.name + VALID] = values.is_valid().to_numpy(zero_copy_only=False)
        if RAGGED in column.shape:
            found[column.name], found[column.name + MASK] = _padded(values, column)
        else:
            found[column.name] = _plain(values, column)
        _check_finite(found[column.name], column, where, nan=not strict)
        dtype = str(found[column.name].dtype)
        if column.dtype not in {"str", "bytes"} and dtype != column.dtype:
            raise InputError(
                f"column {column.name!r} of {where} is {dtype} instead of {column.dtype}; import the data again"
            )
    return found


def _check_finite(values: "Array", column: Column, where: str, *, nan: bool) -> None:
    """Refuse infinity, NaN where it is no null, and weights below 0."""
    import numpy as np

    if values.dtype.kind != "f" or not values.size:
        return
    with np.errstate(invalid="ignore"):
        low, high = np.fmin.reduce(values, None), np.fmax.reduce(values, None)  # they pass NaN over
        at_least = 0 if column.role == "weight" else -np.inf
    if np.isfinite([low, high]).all() and low >= at_least and (nan or not np.isnan(values.sum())):
        return
    odd = np.isinf(values) | (values < at_least) | (np.isnan(values) & (not nan))
    if not odd.any():
        return
    first = tuple(int(index) for index in np.argwhere(odd)[0])
    count, value = int(odd.sum()), values[first]
    what = _nulls(count, "NaN") if np.isnan(value) else f"{_nulls(count, 'value')} such as {value:g}"
    remedy = REMEDY if np.isnan(value) and column.role not in STRICT else "leave out such rows"
    raise InputError(
        f"column {column.name!r} of {where} has {what}, the first in row {first[0]}, and "
        f"{f'is the {column.role}' if column.role in STRICT else 'takes finite numbers'}; {remedy}"
    )


def _nulls(count: int, name: str = "null") -> str:
    return f"{count} {name}{'s' if count > 1 else ''}"


def _whole(values: Any) -> Any:
    """Return a column's one array, without dictionary."""
    import pyarrow as pa

    found = values
    if isinstance(values, pa.ChunkedArray):  # of one chunk nothing is copied
        found = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    if isinstance(found, pa.ChunkedArray):  # of no chunk, or of more text than one array holds
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def _plain(values: Any, column: Column) -> "Array":
    """Return the array of a column whose rows have one shape."""
    import pyarrow as pa

    if column.shape:
        flat = _leaves(values)
        return _plain(flat, Column(column.name, column.type)).reshape(len(values), *column.shape)
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.cast(pa.int64()) if kind.bit_width == 64 else values.cast(pa.int32()).cast(pa.int64())
    elif pa.types.is_decimal(kind):
        values = values.cast(pa.float64())
    if values.null_count and not pa.types.is_floating(values.type):
        values = values.fill_null(_nothing(values.type))
    found: Array = values.to_numpy(zero_copy_only=False)
    return found


def _leaves(values: Any) -> Any:
    """Return the values in the lists of each row, of lists in lists too; a null list is as many nulls."""
    import pyarrow as pa

    while pa.types.is_fixed_size_list(values.type) or pa.types.is_list(values.type):
        if values.null_count and pa.types.is_fixed_size_list(values.type):
            values = values.fill_null([None] * values.type.list_size)
        values = values.flatten()
    return values


def _padded(values: Any, column: Column) -> "tuple[Array, Array]":
    """Return [rows, longest, …] and where it has values, bool [rows, longest]."""
    import numpy as np
    import pyarrow.compute as pc

    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    if len(lengths) and lengths.max() > column.longest:
        raise InputError(
            f"column {column.name!r} has a row of {lengths.max()} values, and the longest is {column.longest}; "
            "import the data again"
        )
    mask = np.arange(column.longest)[None, :] < lengths[:, None]
    inner = _plain(_leaves(values), Column(column.name, column.type))
    shape = column.shape[1:]
    fill: Any = {"str": "", "bytes": b""}.get(column.dtype, 0)
    found = np.full((len(lengths), column.longest, *shape), fill, inner.dtype)
    found[mask] = inner.reshape(-1, *shape) if prod(shape) else inner
    return found, mask


def _nothing(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return ""
    return 0 if pa.types.is_integer(kind) else b""
