"""A part of the input: fetched whole and verified, then read a bounded number of rows at a time."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import arrays
from colchis_steps._data.npz import UNREADABLE, load_npz
from colchis_steps._formats.data import Column, Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

ROWS = 4096  # at most, of one call of the model
BYTES = 8 << 20  # at most, of one call's rows, unless a single row has more
PAGES = 1 << 20  # bytes of a column of Parquet that are read at a time


@dataclass(frozen=True)
class Rows:
    """Some rows: the features as the model sees them, and the keys as they came."""

    features: "dict[str, Array]"
    keys: "dict[str, pa.Array]"
    count: int


def fetch(store: Objects, key: str, shard: Shard, path: Path) -> None:
    """Write the part to the path, verified.

    Raises:
        InputError: it is missing, or not what it was when it was planned or imported.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as out:
        for block in store.stream(key):
            digest.update(block)
            size += len(block)
            out.write(block)
    if (size, digest.hexdigest()) != (shard.size, shard.sha256):
        raise InputError(
            f"{store.url}/{key} has {size} bytes of sha256 {digest.hexdigest()} instead of {shard.size} of "
            f"{shard.sha256}; it is damaged or was changed: put it right, or predict the new file to another place"
        )


def read(path: Path, shard: Shard, columns: Sequence[Column], keys: Collection[str]) -> Iterator[Rows]:
    """Yield the part's rows in order; ``columns`` are features that the model takes.

    Raises:
        InputError: it is not of the format it says, lacks a column, or holds what the columns forbid.
    """
    import pyarrow as pa

    names = [*dict.fromkeys([*(column.name for column in columns), *keys])]
    where, done = shard.path, 0
    try:
        for batch in _batches(path, shard.format, names, where):
            if isinstance(batch, dict):
                features = {column.name: batch[column.name] for column in columns}
                own = {name: pa.array(batch[name]) for name in keys}
                count = len(next(iter(batch.values())))
            else:
                features = arrays(_cast(batch, columns, where), columns, f"{where}, from row {done} on,")
                own, count = {name: batch.column(name) for name in keys}, batch.num_rows
            done += count
            yield Rows(features, own, count)
    except UNREADABLE as error:
        raise InputError(f"{where} cannot be read as {shard.format} ({str(error)[:128]}); make it anew") from error
    if done != shard.rows:
        raise InputError(f"{where} has {done} rows instead of {shard.rows}; make it anew")


def _batches(path: Path, kind: str, names: Sequence[str], where: str) -> Iterator[Any]:
    """Yield record batches, or of an npz dictionaries of arrays, with these columns."""
    if kind == "npz":
        found = load_npz(path.read_bytes())
        _hold(found, names, where)
        width = max(1, sum(found[name][:1].nbytes for name in names))
        step = max(1, min(ROWS, BYTES // width))
        for at in range(0, len(found[names[0]]), step):
            yield {name: found[name][at : at + step] for name in names}
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "parquet":
        file = pq.ParquetFile(path, buffer_size=PAGES, pre_buffer=False)
        _hold(file.schema_arrow.names, names, where)
        for batch in file.iter_batches(ROWS, columns=list(names)):
            yield from _bounded(batch)
        return
    with pa.OSFile(str(path)) as opened, pa.ipc.open_stream(opened) as stream:
        _hold(stream.schema.names, names, where)
        for batch in stream:
            yield from _bounded(batch.select(list(names)))


def _bounded(batch: "pa.RecordBatch") -> "Iterator[pa.RecordBatch]":
    width = max(1, batch.nbytes // max(1, batch.num_rows))
    step = max(1, min(ROWS, BYTES // width))
    for at in range(0, batch.num_rows, step):
        yield batch.slice(at, step)


def _hold(there: Collection[str], names: Sequence[str], where: str) -> None:
    import difflib

    for name in names:
        if name not in there:
            close = difflib.get_close_matches(name, list(there), 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(list(there)[:8])}"
            raise InputError(f"{where} lacks the column {name!r}; {hint}")


def _cast(batch: "pa.RecordBatch", columns: Sequence[Column], where: str) -> "pa.RecordBatch":
    """Let whole numbers stand where the version knows floats, and the like: what loses nothing."""
    import pyarrow as pa

    for column in columns:
        at = batch.schema.get_field_index(column.name)
        found = batch.column(at)
        if column.shape or str(found.type) == column.type or not _known(column.type):
            continue
        try:
            batch = batch.set_column(at, column.name, found.cast(pa.type_for_alias(column.type)))
        except pa.ArrowException as error:
            raise InputError(
                f"column {column.name!r} of {where} is {found.type}, and the model was trained on {column.type} "
                f"({str(error)[:128]}); convert it"
            ) from error
    return batch


def _known(kind: str) -> bool:
    import pyarrow as pa

    try:
        pa.type_for_alias(kind)
    except ValueError:
        return False
    return True
