"""Read a shard that may be broken: note what is wrong with it, and yield its rows as Arrow's batches of bounded size.

Of an Arrow or npz shard its file is in memory; of Parquet, which may have been left in place and be large, a batch.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from typing import Any

from colchis_steps._data.npz import UNREADABLE, check_npz
from colchis_steps._data.validating.faults import Faults
from colchis_steps._data.validating.npz import columns_of
from colchis_steps._formats.data import DataManifest, Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.ranges import ObjectFile

ROWS = 1 << 17  # of a batch, at most
BATCH = 16 << 20  # bytes of a batch, about
WHOLE, COLUMNS, AMOUNT = "shards are whole", "columns are those of the schema", "rows are as many as the manifest tells"


def batches(store: Objects, manifest: DataManifest, shard: Shard, faults: Faults) -> Iterator[Any]:
    """Yield the shard's rows as RecordBatches that have at least the columns that fit; nothing of a broken file.

    Raises:
        TransientError: the store is away.
    """
    if (place := _verified(store, shard, faults)) is None:
        return
    home, key = place
    rows = 0
    try:
        for batch in _read(home, key, manifest, shard, faults):
            if not rows and shard.format != "npz":
                _names(batch.schema.names, manifest, shard, faults)
            rows += batch.num_rows
            yield batch
    except _unreadable() as error:
        reason = f"{shard.path} cannot be read as {shard.format} ({str(error)[:256]}); import the data again"
        faults.say(WHOLE, shard.path, reason)
        return
    if rows != shard.rows and AMOUNT not in faults:
        reason = f"{shard.path} has {rows} rows where the manifest says {shard.rows}; import the data again"
        faults.say(AMOUNT, shard.path, reason)


def _unreadable() -> tuple[type[BaseException], ...]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise InputError("validation needs pyarrow; pip install 'colchis[data]'") from error
    return (*UNREADABLE, pa.ArrowException)


def _verified(store: Objects, shard: Shard, faults: Faults) -> tuple[Objects, str] | None:
    """Return where the shard's file is, if it has the bytes that the manifest tells."""

    def fault(reason: str) -> None:
        faults.say(WHOLE, shard.path, f"{reason}; import the data again")

    if shard.uri:
        home, _, key = shard.uri.rpartition("/")
        store = open_store(home)
    elif "/" in shard.path or shard.path in {"", ".", ".."}:
        fault(f"shard {shard.path!r} is not a file beside the manifest")
        return None
    else:
        key = shard.path
    try:
        size = store.size(key)
        if size != shard.size:
            fault(
                f"{shard.path} is missing"
                if size is None
                else f"{shard.path} is truncated or altered: {size} bytes where the manifest says {shard.size}"
            )
            return None
        digest = hashlib.sha256()
        for chunk in store.stream(key):
            digest.update(chunk)
    except NotFound:
        fault(f"{shard.path} is missing")
        return None
    if (sha256 := digest.hexdigest()) != shard.sha256:
        fault(f"{shard.path} is corrupt: its sha256 is {sha256} where the manifest says {shard.sha256}")
        return None
    return store, key


def _read(store: Objects, key: str, manifest: DataManifest, shard: Shard, faults: Faults) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if shard.format == "npz":
        content = store.read(key, shard.size)
        check_npz(io.BytesIO(content))
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            found = columns_of(file, manifest.columns, shard, faults)
        _names([name.removesuffix(".npy") for name in file.namelist()], manifest, shard, faults)
        if found:
            yield from _sliced(pa.record_batch(found))
    elif shard.format == "parquet":
        with pq.ParquetFile(ObjectFile(store, key, shard.size), pre_buffer=False, buffer_size=1 << 20) as parquet:
            size = parquet.metadata.row_group(0).total_byte_size if parquet.num_row_groups else 0
            rows = parquet.metadata.row_group(0).num_rows if size else 1
            count = max(256, min(ROWS, BATCH * rows // max(1, size)))
            for batch in parquet.iter_batches(count, use_threads=False):
                batch.validate(full=True)
                yield batch
    else:
        with pa.ipc.open_stream(ObjectFile(store, key, shard.size)) as stream:
            for batch in stream:
                batch.validate(full=True)
                yield from _sliced(batch)


def _sliced(batch: Any) -> Iterator[Any]:
    rows = max(256, min(ROWS, BATCH * batch.num_rows // max(1, batch.nbytes)))
    for start in range(0, max(1, batch.num_rows), rows):
        yield batch.slice(start, rows)


def _names(names: list[str], manifest: DataManifest, shard: Shard, faults: Faults) -> None:
    """Hold the names of a shard's columns against the schema."""
    wanted = [column.name for column in manifest.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    for word, odd in (
        ("has twice the", twice),
        ("lacks", sorted(set(wanted) - set(names))),
        ("has extra", sorted(set(names) - set(wanted))),
    ):
        if odd:
            listed = ", ".join(repr(name) for name in odd)
            reason = f"{shard.path} {word} column {listed}; write it with the columns of the schema, or correct that"
            faults.say(COLUMNS, shard.path, reason)
