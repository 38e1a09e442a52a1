"""The parts of a split: Arrow IPC streams of about 64 MiB, in the order of their rows' hashes."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.hashing import row_hashes
from colchis_steps._data.importing.division import NAMES
from colchis_steps._data.importing.spill import FEATURES, ROW, Spill, room
from colchis_steps._data.importing.tables import BATCH, ROWS
from colchis_steps._formats.data import Shard, Split
from colchis_steps._store.api import Objects
from colchis_steps._store.sums import Sums, read_sums

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

log = logging.getLogger("colchis")
PART = 64 << 20  # bytes of a part, about


@dataclass
class Twins:
    """Counts rows whose features an earlier row has, and among them those whose label differs."""

    label: Sequence[str]
    equal: int = 0
    other: int = 0
    last: Any = None

    def add(self, batch: "pa.RecordBatch") -> None:
        """Take in rows in the order of their features' hashes."""
        import numpy as np
        import pyarrow as pa

        if self.last is not None:
            batch = pa.concat_batches([self.last, batch])
        self.last = batch.slice(len(batch) - 1)
        hashes = batch.column(FEATURES).to_numpy()
        second = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
        self.equal += len(second)
        if len(second) and self.label:
            mine, before = (row_hashes(batch.take(pa.array(rows)), self.label) for rows in (second, second - 1))
            self.other += int((mine != before).sum())


@dataclass(frozen=True)
class Made:
    """A split's parts, and the files that hold them."""

    split: Split
    files: tuple[tuple[Path, Sums], ...]


def make(spill: Spill, split: str, directory: Path, shard_rows: int | None, twins: Twins) -> Made:
    """Write the parts of a split; all have as many rows, but for the last.

    Equal rows have equal bytes: batches are as long as the rows' size tells, however they came.
    """
    import pyarrow as pa

    number = NAMES.index(split)
    rows, size = spill.rows[number], spill.bytes[number]
    each = shard_rows or max(1, -(-rows // max(1, -(-size // PART))))
    step = max(1, min(ROWS, BATCH * rows // max(1, size)))
    digest, shards, files = hashlib.sha256(), [], []
    schema = pa.schema(list(spill.schema)[:-2])
    for i, batches in enumerate(_cut(spill.sorted(number), each, step)):
        path = directory / f"{split}-{i:05}.arrow"
        count = 0
        with room(), path.open("wb") as file, pa.ipc.new_stream(file, schema) as stream:
            for batch in batches:
                twins.add(batch)
                digest.update(_little(batch.column(ROW).to_numpy()))
                stream.write_batch(batch.select(schema.names))
                count += len(batch)
        sums = read_sums(path)
        shards.append(Shard(path.name, count, sums.size, sums.sha256))
        files.append((path, sums))
    return Made(Split(rows, f"sha256:{digest.hexdigest()}", tuple(shards)), tuple(files))


def _cut(batches: "Iterator[pa.RecordBatch]", each: int, step: int) -> "Iterator[Iterator[pa.RecordBatch]]":
    """Yield iterators over ``each`` rows, which are read one after the other, ``step`` rows at a time."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []  # its rows are fewer than a step, or in one batch

    def take(count: int) -> "pa.RecordBatch":
        while sum(map(len, waiting)) < count and (batch := next(batches, None)) is not None:
            waiting.append(batch)
        whole = pa.concat_batches(waiting) if len(waiting) > 1 else waiting[0]
        waiting[:] = [whole.slice(count)] if len(whole) > count else []
        return whole.slice(0, count)

    def some() -> "Iterator[pa.RecordBatch]":
        left = each
        while left and there():
            yield (batch := take(min(step, left)))
            left -= len(batch)

    def there() -> bool:
        if not waiting and (batch := next(batches, None)) is not None:
            waiting.append(batch)
        return bool(waiting)

    while there():
        yield some()


def _little(values: "np.ndarray[Any, Any]") -> bytes:
    return values.astype("<u8").tobytes()


def store(objects: Objects, key: str, path: Path, sums: Sums) -> None:
    """Store a part; one that is there and was altered is written anew."""
    if objects.upload(key, path, sums=sums):
        return
    digest = hashlib.sha256()
    for piece in objects.stream(key):
        digest.update(piece)
    if digest.hexdigest() != sums.sha256:
        log.warning("%s/%s was altered; it is written anew", objects.url, key)
        objects.write(key, path.read_bytes())
