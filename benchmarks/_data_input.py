"""Contenders of the race `data`, case `input`: one shuffled epoch of twenty numeric columns, in batches of 256 rows.

Reads   <directory>/{arrow,npz}/         data sets of the same rows; <directory>/rows.tfrecord for tf.data
Prints  JSON: wall_s and cpu_s of the epoch, after the libraries are imported
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

READERS = ("npz", "tf-data")
ROWS = 8192  # of a shard
EARLIER = 512  # of one of an earlier release
BATCH = 256
NAMES = [f"x{i:02}" for i in range(20)]


def prepare(directory: Path, mib: int) -> None:
    """Write the same rows for each contender; ``mib`` is their size in memory."""
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from colchis_steps._data.rows import shard_bytes
    from colchis_steps._formats.data import Column, DataManifest, Division, Shard, Split, Task, data_digest
    from colchis_steps._formats.documents import encode

    shards: dict[str, list[Shard]] = {"arrow": [], "npz": []}
    for kind in shards:
        (directory / kind).mkdir(parents=True)
    with tf.io.TFRecordWriter(str(directory / "rows.tfrecord")) as records:
        for number in range(max(2, mib * (1 << 20) // (84 * ROWS))):
            random = np.random.default_rng(number)
            arrays: dict[str, Any] = {name: random.normal(size=ROWS).astype(np.float32) for name in NAMES}
            arrays["label"] = random.integers(0, 2, ROWS)
            sink = pa.BufferOutputStream()
            batch = pa.record_batch({name: pa.array(values) for name, values in arrays.items()})
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            parts = [("arrow", ROWS, sink.getvalue().to_pybytes())]
            for start in range(0, ROWS, EARLIER):
                few = {name: values[start : start + EARLIER] for name, values in arrays.items()}
                parts.append(("npz", EARLIER, shard_bytes(few)))
            for kind, count, content in parts:
                path = directory / kind / f"train-{len(shards[kind]):05}.{kind}"
                path.write_bytes(content)
                shards[kind].append(Shard(path.name, count, len(content), hashlib.sha256(content).hexdigest(), kind))
            rows = np.stack([arrays[name] for name in NAMES], axis=1)
            for row, label in zip(rows, arrays["label"].tolist(), strict=True):
                feature = {
                    "x": tf.train.Feature(float_list=tf.train.FloatList(value=row)),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                records.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    columns = (*(Column(name, "float") for name in NAMES), Column("label", "int64", role="label"))
    for kind, found in shards.items():
        splits = {"train": Split(sum(shard.rows for shard in found), "", tuple(found))}
        task = Task("classification", ("label",), ("0", "1"))
        manifest = DataManifest("race", "", task, columns, splits, Division("given"), "2026-01-01T00:00:00Z")
        manifest.digest = data_digest(manifest)
        (directory / kind / "manifest.json").write_bytes(encode(manifest))


def read(kind: str, directory: Path) -> int:
    """Read an epoch as the trainer does; return its rows."""
    from colchis_steps._data.dataset import open_data

    data = open_data((directory / kind).as_uri())
    return sum(batch.total for batch in data.batches("train", BATCH, seed=1))


def tf_data(directory: Path) -> int:
    """Read an epoch by tf.data at its best: records parsed a batch at a time, in parallel, made ahead."""
    import tensorflow as tf

    wanted = {"x": tf.io.FixedLenFeature([20], tf.float32), "label": tf.io.FixedLenFeature([], tf.int64)}
    data = tf.data.TFRecordDataset(str(directory / "rows.tfrecord"), num_parallel_reads=tf.data.AUTOTUNE)
    data = data.shuffle(4 * ROWS, seed=1).batch(BATCH)
    data = data.map(lambda rows: tf.io.parse_example(rows, wanted), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return sum(int(found["label"].shape[0]) for found in data)


def main() -> None:
    """Run a contender."""
    name, directory = sys.argv[1], Path(sys.argv[2])
    if name == "tf-data":
        import tensorflow as tf  # noqa: F401 - so that its start does not count
    else:
        import pyarrow.compute
        import pyarrow.parquet  # noqa: F401

    wall, cpu = time.perf_counter(), time.process_time()
    rows = tf_data(directory) if name == "tf-data" else read("npz" if name == "npz" else "arrow", directory)
    told = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "rows": rows,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
