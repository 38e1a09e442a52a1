"""Read a shard that may be broken: say what is wrong with it, and return the columns that are right."""

import hashlib
import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from colchis_steps._data.npz import UNREADABLE, check_npz, read_header
from colchis_steps._formats.data import Column, DataManifest, Shard
from colchis_steps._store.api import NotFound, Objects

if TYPE_CHECKING:
    import numpy as np


@dataclass
class Inspected:
    """A shard: ``faults`` are pairs of a rule and why it does not hold; ``arrays`` the columns that fit the schema."""

    rows: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    arrays: "dict[str, np.ndarray]" = field(default_factory=dict)


def rules(columns: tuple[Column, ...]) -> Iterator[str]:
    """Name each rule that a shard of these columns is held against, in the order in which they matter."""
    yield "shards are whole"
    yield "columns are those of the schema"
    for column in columns:
        yield f"{column.name}: dtype is {column.dtype}"
        yield f"{column.name}: shape of a row is {column.shape}"
        yield f"{column.name}: no nulls"
        yield f"{column.name}: no infinities"
        if bounds := limits(column):
            yield f"{column.name}: within {bounds[0]:g} and {bounds[1]:g}"
    yield "rows are as many as the manifest tells"


def limits(column: Column) -> tuple[float, float] | None:
    """Return the least and the greatest value that the schema allows; a label's classes are numbered from 0.

    A bound that is not a number bounds nothing: it comes of data with NaN.
    """
    if column.classes is not None:
        return (0, len(column.classes) - 1)
    low = -math.inf if column.minimum is None or math.isnan(column.minimum) else column.minimum
    high = math.inf if column.maximum is None or math.isnan(column.maximum) else column.maximum
    return (low, high) if math.isfinite(low) or math.isfinite(high) else None


def known(column: Column) -> bool:
    """Return whether NumPy knows the column's dtype, and may load it: Python objects it may not."""
    import numpy as np

    try:
        return not np.dtype(column.dtype).hasobject
    except TypeError:
        return False


def inspect(store: Objects, manifest: DataManifest, shard: Shard) -> Inspected:
    """Read a shard and hold it against the manifest; at most the bytes that the manifest tells are in memory.

    Raises:
        TransientError: the store is away.
    """
    found = Inspected()
    content = _content(store, shard, found)
    if content is None:
        return found
    try:
        check_npz(io.BytesIO(content))
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            _columns(file, manifest.columns, shard, found)
    except UNREADABLE as error:
        reason = f"{shard.path} cannot be read as npz ({str(error)[:256]}); import the data again"
        found.faults.append(("shards are whole", reason))
    return found


def _content(store: Objects, shard: Shard, found: Inspected) -> bytes | None:
    def fault(reason: str) -> None:
        found.faults.append(("shards are whole", f"{reason}; import the data again"))

    if "/" in shard.path or shard.path in {"", ".", ".."}:
        fault(f"shard {shard.path!r} is not a file beside the manifest")
        return None
    try:
        size = store.size(shard.path)
        if size != shard.size:
            fault(
                f"{shard.path} is missing"
                if size is None
                else f"{shard.path} is truncated or altered: {size} bytes where the manifest says {shard.size}"
            )
            return None
        content = store.read(shard.path)
    except NotFound:
        fault(f"{shard.path} is missing")
        return None
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != shard.sha256:
        fault(f"{shard.path} is corrupt: its sha256 is {sha256} where the manifest says {shard.sha256}")
        return None
    return content


def _columns(file: zipfile.ZipFile, columns: tuple[Column, ...], shard: Shard, found: Inspected) -> None:
    names = {name.removesuffix(".npy") for name in file.namelist()}
    wanted = {column.name for column in columns}
    for word, odd in (("lacks", wanted - names), ("has extra", names - wanted)):
        if odd:
            listed = ", ".join(repr(name) for name in sorted(odd))
            reason = f"{shard.path} {word} column {listed}; write it with the columns of the schema, or correct that"
            found.faults.append(("columns are those of the schema", reason))
    for column in columns:
        if column.name in names:
            with file.open(f"{column.name}.npy") as member:
                _column(member, column, shard, found)


def _column(member: IO[bytes], column: Column, shard: Shard, found: Inspected) -> None:
    import numpy as np

    def fault(rule: str, reason: str) -> None:
        found.faults.append((f"{column.name}: {rule}", f"column {column.name!r} of {shard.path} has {reason}"))

    shape, fortran, dtype = read_header(member)
    if fortran and len(shape) > 1:
        raise ValueError("it is in Fortran order; save it with numpy.ascontiguousarray")
    rows = shape[0] if shape else 0
    if rows != shard.rows:
        reason = f"{shard.path} has {rows} rows of {column.name!r} where the manifest says {shard.rows}"
        found.faults.append(("rows are as many as the manifest tells", f"{reason}; import the data again"))
    found.rows = min(rows, shard.rows)
    if dtype != np.dtype(column.dtype):
        reason = (
            f"dtype {dtype} where the schema says {column.dtype}; write it as {column.dtype}, or correct the schema"
        )
        fault(f"dtype is {column.dtype}", reason)
    if shape[1:] != column.shape:
        reason = f"rows of shape {shape[1:]} where the schema says {column.shape}; write them so, or correct the schema"
        fault(f"shape of a row is {column.shape}", reason)
    if dtype != np.dtype(column.dtype) or shape[1:] != column.shape or rows != shard.rows:
        return
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    values = member.read(size + 1)
    if len(values) != size:
        raise ValueError(f"{column.name}.npy holds {len(values)} of {size} bytes")
    array = found.arrays[column.name] = np.frombuffer(values, dtype).reshape(shape)
    if dtype.kind == "f" and not np.isfinite(array).all():
        for rule, what, odd in (
            ("nulls", "nulls (NaN)", np.isnan(array)),
            ("infinities", "infinities", np.isinf(array)),
        ):
            if count := int(odd.sum()):
                row = np.argwhere(odd)[0][0]
                fault(f"no {rule}", f"{count} {what}, the first in row {row}; fill them, or leave out their rows")
    if (bounds := limits(column)) and dtype.kind in "biuf":
        outside = (array < bounds[0]) | (array > bounds[1])
        if outside.any():
            first = tuple(np.argwhere(outside)[0])
            what = "label" if column.classes is not None else "value"
            reason = (
                f"{what} {array[first]} in row {first[0]}, outside {bounds[0]:g} to {bounds[1]:g} "
                f"({int(outside.sum())} such values); correct the rows, or the schema"
            )
            fault(f"within {bounds[0]:g} and {bounds[1]:g}", reason)
