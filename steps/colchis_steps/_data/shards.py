"""A shard of a data set: its bytes, verified, and the rows in them."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

from colchis_steps._data.arrays import arrays
from colchis_steps._data.npz import UNREADABLE, load_npz
from colchis_steps._formats.data import Column, Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Conflict, Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.ranges import ObjectFile

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

BUFFER = 1 << 20  # bytes of a Parquet column that are read at a time
AHEAD = 4 << 20  # bytes that are asked of a store at a time
ROWS = 1 << 16  # of a batch, at most
BATCH = 4 << 20  # bytes of a batch, about


def home(store: Objects, shard: Shard) -> tuple[Objects, str]:
    """Return where a shard's bytes are: beside the manifest, or in the place where it was left."""
    if not shard.uri:
        return store, shard.path
    place, _, key = shard.uri.rpartition("/")
    return open_store(place), key


def check_shard(store: Objects, shard: Shard) -> str:
    """Hold a shard's bytes against the manifest, in little memory; return the tag of the object that has them.

    Raises:
        InputError: it is missing, truncated or altered.
    """
    place, key = home(store, shard)
    entry = place.find(key)
    if entry is None or entry.size != shard.size:
        raise _damaged(store, shard, "missing" if entry is None else f"{entry.size} bytes instead of {shard.size}")
    digest = hashlib.sha256()
    for piece in place.stream(key, tag=entry.tag):
        digest.update(piece)
    if (actual := digest.hexdigest()) != shard.sha256:
        raise _damaged(store, shard, f"sha256 {actual} instead of {shard.sha256}")
    return entry.tag


def shard_bytes(store: Objects, shard: Shard) -> bytes:
    """Return a shard as it is stored.

    Raises:
        InputError: it is missing, truncated or altered.
    """
    place, key = home(store, shard)
    size = place.size(key)
    if size is not None and size != shard.size:  # before it is in memory
        raise _damaged(store, shard, f"{size} bytes instead of {shard.size}")
    content = place.read(key)
    if (actual := hashlib.sha256(content).hexdigest()) != shard.sha256:
        raise _damaged(store, shard, f"sha256 {actual} instead of {shard.sha256}")
    return content


def named(store: Objects, shard: Shard) -> str:
    """Return what sentences call a shard."""
    return f"shard {shard.uri or shard.path} of {store.url}"


def read_shard(store: Objects, shard: Shard, columns: Sequence[Column]) -> "dict[str, Array]":
    """Return the arrays of a shard by the names of ``as_read``.

    Raises:
        InputError: as ``shard_bytes``; or it is not of the format it says, or one that needs too much memory.
    """
    if shard.format == "npz":
        return read_npz(store, shard)
    return arrays(read_rows(store, shard, [column.name for column in columns]), columns, named(store, shard))


def read_npz(store: Objects, shard: Shard) -> "dict[str, Array]":
    """Return the arrays of an npz. Raises InputError as ``read_shard``."""
    content = shard_bytes(store, shard)
    try:
        return load_npz(content)
    except UNREADABLE as error:
        reason = f"({str(error)[:128]}); import the data again"
        raise InputError(f"{named(store, shard)} is not an npz of plain arrays {reason}") from error


def read_rows(store: Objects, shard: Shard, columns: Sequence[str]) -> "pa.RecordBatch":
    """Return the rows of a shard of Arrow or Parquet, all at a time. Raises InputError as ``read_shard``."""
    pa = _pyarrow(store, shard)
    if shard.format == "parquet":
        found = list(parquet_rows(store, shard, columns, check_shard(store, shard)))
        return pa.concat_batches(found)
    content = shard_bytes(store, shard)
    try:
        with pa.ipc.open_stream(pa.BufferReader(content)) as stream:
            batches = [batch.select(columns) for batch in stream]
            return pa.concat_batches(batches) if batches else stream.schema.empty_table().to_batches()[0]
    except (pa.ArrowException, KeyError) as error:
        raise _of_another_format(store, shard, error) from error


def first_rows(store: Objects, shard: Shard, columns: Sequence[Column], count: int) -> "dict[str, Array]":
    """Return the first rows of a shard, as ``read_shard`` does, without all of a large one."""
    if shard.format != "parquet":
        return {name: values[:count] for name, values in read_shard(store, shard, columns).items()}
    rows = next(parquet_rows(store, shard, [column.name for column in columns], check_shard(store, shard)))
    return arrays(rows.slice(0, count), columns, named(store, shard))


def parquet_rows(
    store: Objects, shard: Shard, columns: Sequence[str], tag: str, start: int = 0
) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a Parquet shard from row ``start`` on, in batches of bounded size.

    ``tag`` is what ``check_shard`` gave. Raises InputError where it is no such file, or was changed since.
    """
    pa = _pyarrow(store, shard)
    import pyarrow.parquet as pq

    place, key = home(store, shard)
    content = cast(IO[bytes], io.BufferedReader(ObjectFile(place, key, shard.size, tag), AHEAD))
    try:
        with content, pq.ParquetFile(content, pre_buffer=False, buffer_size=BUFFER) as file:
            groups, skip = list[int](), start
            for i in range(file.num_row_groups):
                rows = file.metadata.row_group(i).num_rows
                if groups or skip < rows:
                    groups.append(i)
                else:
                    skip -= rows
            size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
            count = max(1, min(ROWS, BATCH * shard.rows // max(1, size)))
            for batch in file.iter_batches(count, row_groups=groups, columns=list(columns), use_threads=False):
                rest = batch.slice(min(skip, len(batch)))
                skip -= len(batch) - len(rest)
                if len(rest):
                    yield rest
    except Conflict as error:
        raise InputError(f"{named(store, shard)} was changed while it was read; import the data again") from error
    except (OSError, pa.ArrowException) as error:
        raise _of_another_format(store, shard, error) from error


def _pyarrow(store: Objects, shard: Shard) -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise InputError(f"{named(store, shard)} needs pyarrow to be read; pip install 'colchis[data]'") from error
    return pa


def _damaged(store: Objects, shard: Shard, reason: str) -> InputError:
    return InputError(f"{named(store, shard)} is damaged: {reason}; import the data again")


def _of_another_format(store: Objects, shard: Shard, error: Exception) -> InputError:
    reason = f"({str(error)[:128]}); import the data again"
    return InputError(f"{named(store, shard)} is no {shard.format} file {reason}")
