"""Generated rows of twenty columns, as tables of a business have them, and the data set that they are."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from colchis_steps._formats.data import Column, DataManifest, Division, Shard, Split, Task, data_digest
from colchis_steps._formats.documents import encode

BATCH = 1 << 17  # rows, also of a row group
SHARES = {"train": 0.7, "eval": 0.15, "test": 0.15}
PER_ROW = 108.0  # bytes of Parquet, about
WORDS = [f"{first}{second}" for first in ("north", "south", "east", "west") for second in ("shire", "port", "field")]
EPOCH = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)
FLOATS = [f"f{i:02}" for i in range(10)]
COLUMNS = (
    *(Column(name, "double", nullable=i < 3) for i, name in enumerate(FLOATS)),
    *(Column(f"g{i}", "float") for i in range(2)),
    Column("age", "int32"),
    Column("visits", "int64"),
    Column("account", "int64"),
    Column("active", "bool"),
    Column("region", "string"),
    Column("product", "string", nullable=True),
    Column("seen", "timestamp[us]", role="time"),
    Column("label", "string", role="label"),
)


def batch(start: int, rows: int, seed: int) -> Any:
    """Return rows as a RecordBatch; the same for the same start."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng([seed, start])
    arrays: dict[str, Any] = {}
    for i, name in enumerate(FLOATS):
        values = np.round(random.normal(i, 1 + i, rows), 3 + i % 4)
        arrays[name] = pa.array(values, mask=random.random(rows) < 0.02) if i < 3 else pa.array(values)
    for i in range(2):
        arrays[f"g{i}"] = pa.array(random.gamma(2, 3, rows).astype(np.float32))
    arrays["age"] = pa.array(random.integers(18, 90, rows, np.int32))
    arrays["visits"] = pa.array(random.poisson(30, rows).astype(np.int64))
    arrays["account"] = pa.array(random.integers(0, 1 << 40, rows))
    arrays["active"] = pa.array(random.random(rows) < 0.8)
    words = np.array(WORDS)
    arrays["region"] = pa.array(words[random.integers(0, len(words), rows)])
    products = np.char.add("product-", random.integers(0, 2000, rows).astype(str))
    arrays["product"] = pa.array(products, mask=random.random(rows) < 0.05)
    arrays["seen"] = pa.array(EPOCH + random.integers(0, 30 * 86_400, rows) * 1_000_000, pa.timestamp("us"))
    arrays["label"] = pa.array(np.array(["no", "yes"])[(random.random(rows) < 0.2).astype(int)])
    return pa.record_batch(arrays)


def batches(rows: int, seed: int = 0) -> Iterator[Any]:
    """Yield so many rows."""
    for start in range(0, rows, BATCH):
        yield batch(start, min(BATCH, rows - start), seed)


def write_parquet(path: Path, rows: int, seed: int, *, one_group: bool = False) -> None:
    """Write rows as zstd Parquet, in row groups of BATCH rows, or in one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = batch(0, 1, seed)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        if one_group:
            writer.write_table(pa.Table.from_batches(batches(rows, seed)), row_group_size=rows)
        else:
            for rows_of in batches(rows, seed):
                writer.write_batch(rows_of)


def write_data_set(directory: Path, mib: float, *, one_group: bool = False) -> int:
    """Write a data set of Parquet parts of about that size together; return its rows."""
    directory.mkdir(parents=True)
    rows, splits = int(mib * (1 << 20) / PER_ROW), {}
    for seed, (name, share) in enumerate(SHARES.items()):
        path, count = directory / f"{name}-00000.parquet", int(rows * share)
        write_parquet(path, count, seed, one_group=one_group)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        splits[name] = Split(count, "", (Shard(path.name, count, path.stat().st_size, sha256, "parquet"),))
    task = Task("classification", ("label",), ("no", "yes"))
    manifest = DataManifest("race", "", task, COLUMNS, splits, Division("given"), "2026-01-01T00:00:00Z")
    manifest.digest = data_digest(manifest)
    (directory / "manifest.json").write_bytes(encode(manifest))
    return sum(split.rows for split in splits.values())


def write_csv(path: Path, mib: float) -> None:
    """Write a CSV of about that size."""
    import pyarrow.csv as pc

    with path.open("wb") as file, pc.CSVWriter(file, batch(0, 1, 0).schema) as writer:
        start = 0
        while file.tell() < mib * (1 << 20):
            writer.write_batch(batch(start, BATCH // 4, 0))
            start += BATCH // 4
