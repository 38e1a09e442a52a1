"""The arrays of an npz shard that fit the schema, as Arrow's columns."""

import zipfile
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from colchis_steps._data.npz import read_header
from colchis_steps._data.validating.faults import Faults
from colchis_steps._formats.data import Column, Shard

if TYPE_CHECKING:
    import numpy as np


def columns_of(file: zipfile.ZipFile, columns: Iterable[Column], shard: Shard, faults: Faults) -> dict[str, Any]:
    """Return the columns whose dtype, shape and number of rows are right. Raises ValueError: one is damaged."""
    names, found = set(file.namelist()), {}
    for column in columns:
        if f"{column.name}.npy" in names:
            with file.open(f"{column.name}.npy") as member:
                array = _array(member, column, shard, faults)
            if array is not None:
                found[column.name] = as_arrow(array)
    return found


def as_arrow(array: "np.ndarray[Any, Any]") -> Any:
    """Return an array, rows first, as an Arrow array; rows of a shape become lists of fixed sizes."""
    import numpy as np
    import pyarrow as pa

    found = pa.array(np.ascontiguousarray(array).ravel())
    for length in array.shape[:0:-1]:
        found = pa.FixedSizeListArray.from_arrays(found, length)
    return found


def _array(member: IO[bytes], column: Column, shard: Shard, faults: Faults) -> "np.ndarray[Any, Any] | None":
    import numpy as np

    def fault(rule: str, reason: str) -> None:
        faults.say(f"{column.name}: {rule}", shard.path, f"column {column.name!r} of {shard.path} has {reason}")

    shape, fortran, dtype = read_header(member)
    if fortran and len(shape) > 1:
        raise ValueError("it is in Fortran order; save it with numpy.ascontiguousarray")
    rows = shape[0] if shape else 0
    if rows != shard.rows:
        reason = f"{shard.path} has {rows} rows of {column.name!r} where the manifest says {shard.rows}"
        faults.say("rows are as many as the manifest tells", shard.path, f"{reason}; import the data again")
    wanted = np.dtype(column.dtype) if column.dtype not in {"str", "bytes"} else dtype
    if (
        dtype != wanted
        or (column.dtype == "str" and dtype.kind != "U")
        or (column.dtype == "bytes" and dtype.kind != "S")
    ):
        reason = (
            f"dtype {dtype} where the schema says {column.dtype}; write it as {column.dtype}, or correct the schema"
        )
        fault(f"dtype is {column.dtype}", reason)
    elif shape[1:] != column.shape:
        reason = f"rows of shape {shape[1:]} where the schema says {column.shape}; write them so, or correct the schema"
        fault(f"shape of a row is {column.shape}", reason)
    elif rows == shard.rows:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        values = member.read(size + 1)
        if len(values) != size:
            raise ValueError(f"{column.name}.npy holds {len(values)} of {size} bytes")
        return np.frombuffer(values, dtype).reshape(shape)
    return None
