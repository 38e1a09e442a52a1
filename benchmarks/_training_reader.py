"""A contender of the case `input`: reads all rows of each epoch in an order of its own, in batches, and trains nothing.

Reads   DATA  the directory of a data set, by our own pipeline or by tf.data
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._training_model import SIDE, Turns


def ours(directory: Path, batch: int) -> Iterator[Iterator[tuple[Any, int]]]:
    """Yield the batches of each epoch: each shard verified, four shards shuffled together, tensors made by a thread."""
    from colchis_steps._data.dataset import open_data
    from colchis_steps._formats.hyperparameters import settings
    from colchis_steps._training.input import Source
    from colchis_steps._training.rendezvous import Place
    from colchis_steps.context import Context, Training

    data, chosen = open_data(directory.as_uri()), settings(f'{{"global_batch": {batch}}}')
    context = Context(chosen.all, data.features, "label", data.classes, chosen.seed)
    source, epoch = Source(data, chosen, Place(), context, Training(None), data.features), 0
    while True:
        epoch += 1
        yield ((ready.mine.inputs, ready.rows) for ready in source.ready("train", epoch))  # the last one is filled up


def tf_data(directory: Path, batch: int) -> Iterator[Iterator[tuple[Any, int]]]:
    """Yield the same with tf.data: files in another order each epoch, four at a time, rows kept after the first."""
    import tensorflow as tf

    def load(path: bytes) -> tuple[Any, Any]:
        with np.load(path.decode()) as columns:
            return columns["image"], columns["label"]

    def rows(path: Any) -> Any:
        image, label = tf.numpy_function(load, [path], (tf.uint8, tf.int64))
        image = tf.ensure_shape(image, (None, SIDE, SIDE))
        return tf.data.Dataset.from_tensor_slices((image, tf.ensure_shape(label, (None,))))

    paths = sorted(str(path) for path in directory.glob("train-*.npz"))
    per_file = len(np.load(paths[0])["label"])
    found = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths))
    found = found.interleave(rows, cycle_length=4, num_parallel_calls=tf.data.AUTOTUNE).cache()
    found = found.shuffle(4 * per_file).batch(batch).prefetch(tf.data.AUTOTUNE)
    while True:
        yield ((inputs, len(labels)) for inputs, labels in found)


def main() -> int:
    """Read the epochs when their turns come; each must have all rows."""
    reader, place, batch, epochs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    wanted = int(sys.argv[5])
    batches = {"colchis": ours, "tf-data": tf_data}[reader](place, batch)
    turns = Turns()
    for _ in range(epochs):
        turns.next()
        seen = 0
        for inputs, rows in next(batches):
            seen += rows
            last = inputs
        if seen != wanted or last.shape[1:] != (SIDE, SIDE):
            raise SystemExit(f"{reader} read {seen} rows of {last.shape[1:]} instead of {wanted}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
