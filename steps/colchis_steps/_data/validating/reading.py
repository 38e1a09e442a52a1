"""Read a shard that may be broken: note what is wrong with it, and yield its rows as Arrow's batches of bounded size.

Of an npz shard its file is in memory; of Arrow and Parquet, which may have been left in place and be large, a batch.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from typing import IO, Any, cast

from colchis_steps._data.npz import UNREADABLE, check_npz
from colchis_steps._data.shards import AHEAD, BUFFER, home
from colchis_steps._data.validating.faults import Faults
from colchis_steps._data.validating.npz import columns_of
from colchis_steps._formats.data import DataManifest, Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Conflict, NotFound, Objects
from colchis_steps._store.ranges import ObjectFile

ROWS = 1 << 17  # of a batch, at most
BATCH = 16 << 20  # bytes of a batch, about
WHOLE, COLUMNS, AMOUNT = "shards are whole", "columns are those of the schema", "rows are as many as the manifest tells"


def batches(store: Objects, manifest: DataManifest, shard: Shard, faults: Faults) -> Iterator[Any]:
    """Yield the shard's rows as RecordBatches that have at least the columns that fit; nothing of a broken file.

    Raises:
        TransientError: the store is away.
    """
    if (file := _verified(store, shard, faults)) is None:
        return
    rows = 0
    try:
        for batch in _read(file, manifest, shard, faults):
            if not rows and shard.format != "npz":
                _names(batch.schema.names, manifest, shard, faults)
            rows += batch.num_rows
            yield batch
    except Conflict:
        faults.say(WHOLE, shard.path, f"{shard.path} was changed while it was read; import the data again")
        return
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


def _verified(store: Objects, shard: Shard, faults: Faults) -> IO[bytes] | None:
    """Return the shard's file, which can be read while it is the one that has the bytes that the manifest tells."""

    def fault(reason: str) -> None:
        faults.say(WHOLE, shard.path, f"{reason}; import the data again")

    if not shard.uri and ("/" in shard.path or shard.path in {"", ".", ".."}):
        fault(f"shard {shard.path!r} is not a file beside the manifest")
        return None
    place, key = home(store, shard)
    if (entry := place.find(key)) is None:
        fault(f"{shard.path} is missing")
        return None
    if entry.size != shard.size:
        fault(f"{shard.path} is truncated or altered: {entry.size} bytes where the manifest says {shard.size}")
        return None
    digest = hashlib.sha256()
    try:
        for chunk in place.stream(key, tag=entry.tag):
            digest.update(chunk)
    except (NotFound, Conflict):
        fault(f"{shard.path} was changed while it was read")
        return None
    if (sha256 := digest.hexdigest()) != shard.sha256:
        fault(f"{shard.path} is corrupt: its sha256 is {sha256} where the manifest says {shard.sha256}")
        return None
    return cast("IO[bytes]", io.BufferedReader(ObjectFile(place, key, shard.size, entry.tag), AHEAD))


def _read(file: IO[bytes], manifest: DataManifest, shard: Shard, faults: Faults) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if shard.format == "npz":
        content = io.BytesIO(file.read())
        check_npz(content)
        with zipfile.ZipFile(content) as archive:
            found = columns_of(archive, manifest.columns, shard, faults)
        _names([name.removesuffix(".npy") for name in archive.namelist()], manifest, shard, faults)
        if found:
            yield from _sliced(pa.record_batch(found))
    elif shard.format == "parquet":
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER) as parquet:
            size = parquet.metadata.row_group(0).total_byte_size if parquet.num_row_groups else 0
            rows = parquet.metadata.row_group(0).num_rows if size else 1
            count = max(256, min(ROWS, BATCH * rows // max(1, size)))
            for batch in parquet.iter_batches(count, use_threads=False):
                batch.validate(full=True)
                yield batch
    else:
        with pa.ipc.open_stream(file) as stream:
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
