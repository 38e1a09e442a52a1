"""Rows on their way from the order of their sources to that of their hashes, in files of a temporary directory.

Rows are scattered over buckets by the first bits of their place, then each bucket is sorted and read: memory is bounded
by a bucket, whatever there is, and what is read does not depend on the order in which rows came.
"""

import contextlib
import errno
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.tables import BATCH, ROWS
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 32 << 20  # bytes that are scattered at a time
ROOM = 64 << 20  # bytes that are sorted at a time
BUCKET = 32 << 20  # bytes that a bucket should have
MOST = 1024  # buckets
FEATURES, ROW = "\0features", "\0row"  # columns of hashes beside those of the data


@dataclass
class Bucket:
    """A file of record batches, one after the other, and how many bytes each has."""

    path: Path
    sizes: list[int] = field(default_factory=list)

    def append(self, batch: "pa.RecordBatch") -> int:
        """Write rows at the end; return the bytes."""
        content = batch.serialize()
        with self.path.open("ab", buffering=0) as file:
            file.write(content)
        self.sizes.append(content.size)
        return int(content.size)

    def read(self, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        """Yield what was written."""
        import pyarrow as pa

        if self.sizes:
            with self.path.open("rb", buffering=0) as file:
                for size in self.sizes:
                    yield pa.ipc.read_record_batch(pa.py_buffer(file.read(size)), schema)


class Spill:
    """Buckets for each split."""

    def __init__(self, directory: Path, schema: "pa.Schema", splits: int, expected: int, most: int) -> None:
        import pyarrow as pa

        self.schema = schema.append(pa.field(FEATURES, pa.uint64())).append(pa.field(ROW, pa.uint64()))
        self.count = max(1, min(MOST, -(-expected // BUCKET)))
        self.buckets = [[Bucket(directory / f"{s}-{i}") for i in range(self.count)] for s in range(splits)]
        self.rows, self.bytes, self.most = [0] * splits, [0] * splits, most
        self.waiting: list[pa.RecordBatch] = []
        self.splits: list[Array] = []
        self.held = 0

    def add(self, batch: "pa.RecordBatch", split: "Array", features: "Array", rows: "Array") -> None:
        """Take rows with the numbers of their splits (-1: left out) and the hashes of their features and of all."""
        import numpy as np
        import pyarrow as pa

        hashed = pa.record_batch([*batch.columns, pa.array(features), pa.array(rows)], self.schema)
        if (split < 0).any():
            hashed, split = hashed.take(pa.array(np.flatnonzero(split >= 0))), split[split >= 0]
        self.waiting.append(hashed)
        self.splits.append(split)
        self.held += hashed.nbytes
        if self.held >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises InputError: the disk is full, or there is more than such sources can hold."""
        import numpy as np
        import pyarrow as pa

        if not self.waiting:
            return
        batch, split = pa.concat_batches(self.waiting), np.concatenate(self.splits)
        self.waiting, self.splits, self.held = [], [], 0
        place = places(batch)
        by = np.lexsort((place, split))
        batch, split = batch.take(pa.array(by)), split[by]
        number = split * self.count + bucket_of(place[by], self.count)
        edges = np.flatnonzero(np.diff(number, prepend=-1, append=-1))
        for begin, end in itertools.pairwise(edges.tolist()):
            s, i = divmod(int(number[begin]), self.count)
            self.rows[s] += end - begin
            piece = batch.slice(begin, end - begin)
            self.bytes[s] += size_of(piece)
            with room():
                self.buckets[s][i].append(piece)
        if sum(self.bytes) > self.most:
            raise InputError(
                f"the sources become more than {self.most} bytes of rows, which files of their size do not hold; "
                "decompress them yourself if that is right"
            )

    def sorted(self, split: int) -> "Iterator[pa.RecordBatch]":
        """Yield a split's rows by their places, and remove what was yielded."""
        for bucket in self.buckets[split]:
            if sum(bucket.sizes) <= ROOM:
                yield from _sorted(list(bucket.read(self.schema)))
            else:
                for low, high in _ranges(bucket, self.schema):
                    yield from _between(bucket, self.schema, low, high)
            bucket.path.unlink(missing_ok=True)


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Raise the error of a full temporary directory as a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InputError(
                f"the temporary directory {tempfile.gettempdir()} is full; an import needs twice as much room there "
                "as the data have: free it, or name another with TMPDIR"
            ) from error
        raise


def places(batch: "pa.RecordBatch") -> "Array":
    """Return where rows belong: by the hash of their features, those of equal ones by that of the whole row."""
    import numpy as np

    features, rows = (batch.column(name).to_numpy() for name in (FEATURES, ROW))
    found: Array = (features & np.uint64(0xFFFFFFFF00000000)) | (rows >> np.uint64(32))
    return found


def bucket_of(place: "Array", count: int) -> "Array":
    """Return the number of the bucket of each place, from 0 on, in their order."""
    import numpy as np

    return (place >> np.uint64(32)).astype(np.int64) * count >> 32


def size_of(batch: "pa.RecordBatch") -> int:
    """Return the bytes of rows without what depends on how they are cut: values, and lengths of text and lists."""
    return sum(_size(column) for column in batch.columns)


def _size(values: Any) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return 4 * len(values) + (pc.sum(pc.binary_length(values)).as_py() or 0)
    if pa.types.is_list(kind):
        return 4 * len(values) + _size(values.flatten())
    if pa.types.is_fixed_size_list(kind):
        return _size(values.flatten())
    return 0 if pa.types.is_null(kind) else len(values) * kind.bit_width // 8


def _sorted(batches: "Sequence[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    import numpy as np
    import pyarrow as pa

    if not batches:
        return
    whole = pa.concat_batches(batches)
    order = np.argsort(places(whole), kind="stable")
    step = max(1, min(ROWS, BATCH * len(whole) // max(1, whole.nbytes)))
    for at in range(0, len(order), step):
        yield whole.take(pa.array(order[at : at + step]))


def _ranges(bucket: Bucket, schema: "pa.Schema") -> list[tuple[int, int]]:
    """Return ranges of places, each with about ROOM bytes or a single place."""
    import numpy as np

    known, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    for batch in bucket.read(schema):
        values, found = np.unique(places(batch), return_counts=True)
        known, back = np.unique(np.concatenate([known, values]), return_inverse=True)
        counts = np.bincount(back, np.concatenate([counts, found])).astype(np.int64)
    most = max(1, counts.sum() * ROOM // sum(bucket.sizes))
    ranges, begin, rows = [], 0, 0
    for i, count in enumerate(counts.tolist()):
        if rows and rows + count > most:
            ranges.append((int(known[begin]), int(known[i - 1])))
            begin, rows = i, 0
        rows += count
    return [*ranges, (int(known[begin]), int(known[-1]))]


def _between(bucket: Bucket, schema: "pa.Schema", low: int, high: int) -> "Iterator[pa.RecordBatch]":
    """Yield the rows with places from ``low`` to ``high``, in order; those of one place as they come."""
    import numpy as np
    import pyarrow as pa

    def cut() -> "Iterator[pa.RecordBatch]":
        for batch in bucket.read(schema):
            found = places(batch)
            begin, end = np.searchsorted(found, np.uint64(low)), np.searchsorted(found, np.uint64(high), side="right")
            if end > begin:
                yield batch.take(pa.array(np.arange(begin, end)))  # a slice would keep all of the batch

    if low == high:
        yield from cut()
    else:
        yield from _sorted(list(cut()))
