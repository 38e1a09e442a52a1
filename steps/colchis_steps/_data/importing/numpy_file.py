"""npz: its arrays are columns, read some rows at a time."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from math import prod
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.files import SPLITS, File
from colchis_steps._data.importing.tables import BATCH, ROWS, Table
from colchis_steps._data.npz import UNREADABLE, check_npz, read_header
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_SPLIT = re.compile(rf"(.+)_({'|'.join(SPLITS)})")
LABELS = ("label", "y")  # arrays that are (n,) though they may be written as (n, 1)


def tables(file: File) -> list[Table]:
    """Return the file's table, or one for each split where its arrays are named so: x_train, y_train, x_test, y_test.

    Raises:
        InputError: it is no npz of plain arrays with one row for each other's.
    """
    with file.open() as content:
        try:
            check_npz(content)
            with zipfile.ZipFile(content) as archive:
                headers = {info.filename: _header(archive, info) for info in archive.infolist()}
        except UNREADABLE as error:
            raise InputError(
                f"{file.where} is not an npz of plain arrays ({str(error)[:256]}); write it with numpy.savez"
            ) from error
    names = {name.removesuffix(".npy"): name for name in headers}
    parts = {name: found for name in names if (found := _SPLIT.fullmatch(name))}
    if not parts or len(parts) < len(names):
        return [_table(file, {name: names[name] for name in names}, headers, file.split)]
    splits = dict.fromkeys(SPLITS[found[2]] for found in parts.values())
    return [
        _table(file, {f[1]: names[n] for n, f in parts.items() if SPLITS[f[2]] == split}, headers, split)
        for split in splits
    ]


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> "tuple[tuple[int, ...], bool, np.dtype[Any]]":
    with archive.open(info) as member:
        return read_header(member)


def _table(file: File, columns: Mapping[str, str], headers: Mapping[str, Any], split: str) -> Table:
    import pyarrow as pa

    shown = ", ".join(f"{name} {headers[member][2]}{list(headers[member][0])}" for name, member in columns.items())
    counts = {headers[member][0][:1] for member in columns.values()}
    if len(counts) != 1 or counts == {()}:
        raise InputError(f"{file.where} has the arrays {shown}; give each as many rows as the others")
    if counts == {(0,)}:
        raise InputError(f"{file.where} has the arrays {shown}, and no rows; get it anew")
    fields = []
    for name, member in columns.items():
        shape, fortran, dtype = headers[member]
        if fortran and len(shape) > 1:
            raise InputError(f"{file.where}: {name!r} is in Fortran's order; write numpy.ascontiguousarray of it")
        fields.append(pa.field(name, _type(dtype, _inner(name, shape), file.where, name)))

    def batches(wanted: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        chosen = {name: columns[name] for name in wanted.names}
        return _read(file, chosen, headers, pa.schema([pa.schema(fields).field(name) for name in chosen]))

    return Table(file.where, pa.schema(fields), file.size, batches, split, "")


def _inner(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return () if name in LABELS and shape[1:] == (1,) else shape[1:]


def _type(dtype: "np.dtype[Any]", shape: tuple[int, ...], where: str, name: str) -> "pa.DataType":
    import pyarrow as pa

    try:
        found = {"U": pa.string(), "S": pa.binary()}.get(dtype.kind) or pa.from_numpy_dtype(dtype.newbyteorder("="))
    except pa.ArrowNotImplementedError as error:
        raise InputError(f"{where}: {name!r} is {dtype}; give numbers, text, or dates") from error
    for length in reversed(shape):
        if not length:
            raise InputError(f"{where}: {name!r} has rows of the shape {list(shape)}, without a value; leave it out")
        found = pa.list_(found, length)
    return found


def _read(
    file: File, columns: Mapping[str, str], headers: Mapping[str, Any], schema: "pa.Schema"
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    kinds = {name: headers[member] for name, member in columns.items()}
    total = next(iter(kinds.values()))[0][0]
    width = sum(prod(shape[1:]) * dtype.itemsize for shape, _, dtype in kinds.values())
    step = max(1, min(ROWS, BATCH // max(1, width)))
    with file.open() as content, zipfile.ZipFile(content) as archive, ExitStack() as stack:
        members = {name: stack.enter_context(archive.open(member)) for name, member in columns.items()}
        try:
            for member in members.values():
                read_header(member)
            for at in range(0, total, step):
                rows = min(step, total - at)
                yield pa.record_batch(
                    [_values(members[n], kinds[n], rows, schema.field(n).type) for n in columns], schema
                )
        except UNREADABLE as error:
            raise InputError(f"{file.where} is damaged ({str(error)[:256]}); write it anew") from error


def _values(member: Any, kind: Any, rows: int, wanted: "pa.DataType") -> "pa.Array":
    import numpy as np
    import pyarrow as pa

    shape, _, dtype = kind
    size = rows * prod(shape[1:]) * dtype.itemsize
    content = member.read(size)
    if len(content) < size:
        raise ValueError("an array ends before its last row")
    values = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="), copy=False)
    lengths, leaf = [], wanted
    while pa.types.is_fixed_size_list(leaf):
        lengths.append(leaf.list_size)
        leaf = leaf.value_type
    found = pa.array(values, leaf)
    for length in reversed(lengths):
        found = pa.FixedSizeListArray.from_arrays(found, length)
    return found
