"""A data set as files that any program reads: ``<split>/part-00000.parquet``, and the manifest as ``_manifest.json``.

Labels are as they came, or, of sets of v1, the names of their classes.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import DataSet
from colchis_steps._data.npz import load_npz
from colchis_steps._data.shards import shard_bytes
from colchis_steps._formats.data import Column, Shard
from colchis_steps._formats.documents import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

MANIFEST = "_manifest.json"  # readers of a directory of Parquet pass over it


def export(data: DataSet, directory: Path) -> None:
    """Write all splits that have rows, part by part; a part's bytes are verified before.

    Raises:
        InputError: a part is missing or damaged.
    """
    import pyarrow.parquet as pq

    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, split in data.manifest.splits.items():
        for number, shard in enumerate(split.parts if split.rows else ()):
            path = directory / name / f"part-{number:05}.parquet"
            path.parent.mkdir(exist_ok=True)
            content = shard_bytes(data.store, shard)
            if shard.format == "parquet":
                path.write_bytes(content)
                continue
            writer = None
            for batch in _batches(content, shard, data):
                writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
                writer.write_batch(batch)
            if writer:
                writer.close()
    (directory / MANIFEST).write_bytes(encode(data.manifest))


def _batches(content: bytes, shard: Shard, data: DataSet) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    if shard.format == "npz":
        arrays = load_npz(content)
        columns = [column for column in data.manifest.columns if column.name in arrays]
        yield pa.record_batch({column.name: _column(arrays[column.name], column) for column in columns})
        return
    with pa.ipc.open_stream(pa.BufferReader(content)) as stream:
        yield from stream


def _column(values: Any, column: Column) -> "pa.Array":
    import pyarrow as pa

    if column.classes:
        return pa.array(column.classes).take(pa.array(values))
    found = pa.array(values.reshape(-1))
    for length in reversed(values.shape[1:]):
        found = pa.FixedSizeListArray.from_arrays(found, length)
    return found
