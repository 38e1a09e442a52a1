"""A rival of `training`, in an environment of its own: ``fit`` of Keras 3 or of tf_keras, or a bare step.

Reads   --data/*.npz      the race's shards, --order which rows come when: int64 [epochs, rows]
Writes  --told            JSON: the loss of each epoch
        $RACE_TURNS       the race's socket: epochs wait for their turn
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._training_model import WIDTH, Turns, begin, callback_of, model_of


def rows_of(directory: Path, split: str = "train") -> tuple[Any, Any]:
    """Return all rows of a split, in the order of the shards."""
    parts = [np.load(path) for path in sorted(directory.glob(f"{split}-*.npz"))]
    return tuple(np.concatenate([part[name] for part in parts]) for name in ("image", "label"))  # type: ignore[return-value]


def fit(args: argparse.Namespace, strategy: Any, keras: Any) -> list[float]:
    """Train with the package's own ``fit`` and tf.data at its best: rows in memory, batches made ahead.

    After each epoch it does what our trainer does too: evaluate the eval split, save.
    """
    import contextlib

    import tensorflow as tf

    order = np.load(args.order)[: args.epochs]
    images, labels = rows_of(args.data)
    steps = order.shape[1] // args.batch
    taken = order[:, : steps * args.batch].ravel()
    images, labels = tf.constant(images), tf.constant(labels)
    data = tf.data.Dataset.from_tensor_slices(taken).batch(args.batch, drop_remainder=True)
    data = data.map(lambda at: (tf.gather(images, at), tf.gather(labels, at)), num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = data.with_options(options).prefetch(tf.data.AUTOTUNE)
    held_out = tf.data.Dataset.from_tensor_slices(rows_of(args.data, "eval")).batch(args.batch).with_options(options)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = model_of(keras, args.width)
    begin(model)
    callbacks = [] if args.rank else [callback_of(keras)]
    if args.backup:
        callbacks.append(keras.callbacks.BackupAndRestore(args.backup, save_freq=args.backup_steps or "epoch"))
    history = model.fit(
        data, epochs=args.epochs, steps_per_epoch=steps, validation_data=held_out, callbacks=callbacks, verbose=0
    )
    return [float(loss) for loss in history.history["loss"]]


def bare(args: argparse.Namespace) -> list[float]:
    """Take the same number of steps on one batch that never changes: no input, no metrics, no look at the loss."""
    import keras
    import tensorflow as tf

    model = model_of(keras, args.width)
    begin(model)
    images, labels = rows_of(args.data)
    images, labels = tf.constant(images[: args.batch]), tf.constant(labels[: args.batch])
    model.optimizer.build(model.trainable_variables)

    def take() -> Any:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(images, labels, model(images, training=True))
        model.optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]))
        return loss

    step = tf.function(take)
    steps = np.load(args.order).shape[1] // args.batch
    turns = Turns()
    for _ in range(args.epochs):
        turns.next()
        for _ in range(steps):
            loss = step()
        loss.numpy()
    return []


def spawn(args: argparse.Namespace) -> int:
    """Start this program once a worker, with TF_CONFIG; give the first exit code that is none of success."""
    holders = [socket.create_server(("127.0.0.1", 0), reuse_port=True) for _ in range(args.workers)]
    addresses = [f"127.0.0.1:{holder.getsockname()[1]}" for holder in holders]
    for holder in holders:
        holder.close()
    children = []
    for rank in range(args.workers):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        words = [sys.executable, "-m", "benchmarks._training_rivals", *sys.argv[1:], f"--rank={rank}"]
        children.append(subprocess.Popen(words, env=os.environ | {"TF_CONFIG": json.dumps(config)}))
    if args.pids:
        args.pids.write_text(" ".join(str(child.pid) for child in children))
    return next((code for child in children if (code := child.wait())), 0)


def main() -> int:
    """Train as what the flags say."""
    p = argparse.ArgumentParser(prog="benchmarks._training_rivals")
    p.add_argument("contender", choices=["single", "tf-keras", "bare-step", "import"])
    p.add_argument("--data", type=Path)
    p.add_argument("--order", type=Path)
    p.add_argument("--told", type=Path)
    p.add_argument("--pids", type=Path, help="where to write the workers' process ids")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--epochs", type=int)
    p.add_argument("--batch", type=int)
    p.add_argument("--width", type=int, default=WIDTH)
    p.add_argument("--backup", default="", help="a directory: save there in BackupAndRestore's way")
    p.add_argument("--backup-steps", type=int, default=0)
    p.add_argument("--rank", type=int)
    args = p.parse_args()
    if args.workers > 1 and args.rank is None:
        return spawn(args)
    import tensorflow as tf

    strategy = None
    if args.workers > 1:
        if gpus := tf.config.list_physical_devices("GPU"):
            tf.config.set_visible_devices(gpus[args.rank % len(gpus)], "GPU")
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if args.contender == "import":
        Turns().next()
        return 0
    if args.contender == "bare-step":
        losses = bare(args)
    else:
        import importlib

        losses = fit(args, strategy, importlib.import_module("tf_keras" if args.contender == "tf-keras" else "keras"))
    if not args.rank and args.told:
        args.told.write_text(json.dumps(losses))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
