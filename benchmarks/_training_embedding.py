"""The case `embedding` of `training`: a model most of whose numbers a step does not touch.

A million rows of 32 numbers, of which a batch of 64 rows reads 640 at most; SGD, whose step is then that of the few.
Both contenders train in one process, in turn, with the same batches: ``python -m benchmarks._training_embedding RUNS``.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from benchmarks._table import Row, row
from benchmarks._training_place import OURS, SINGLE, Place

WORDS, NUMBERS, LENGTH, BATCH, STEPS, CLASSES = 1_000_000, 32, 10, 64, 40, ("a", "b", "c")


def embedding(place: Place, runs: int) -> list[Row]:
    """Train in a process of their own; a run is an epoch of STEPS steps."""
    command = [sys.executable, "-m", "benchmarks._training_embedding", str(runs)]
    done = subprocess.run(command, env=place.variables(), stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return [
        row("embedding", name, [{"wall_s": s, "step_ms": 1000 * s / STEPS} for s in found[name]])
        for name in (OURS, SINGLE)
    ]


def model_of() -> Any:
    """Return the compiled model, with the same first weights each time."""
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((LENGTH,), name="words", dtype="int64")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(WORDS, NUMBERS)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(len(CLASSES), activation="softmax")(x))
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def watch() -> Any:
    """Return a callback that notes the seconds of each epoch's steps, validation left out."""
    import keras

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []
            self.losses: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names them
            self.begun = time.perf_counter()

        def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            self.seconds.append(time.perf_counter() - self.begun)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.losses.append(float((logs or {})["loss"]))

    return Watch()


def rows() -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """Return the rows by split."""
    random, found = np.random.default_rng(0), {}
    for split, count in {"train": BATCH * STEPS, "eval": BATCH}.items():
        words = random.integers(0, WORDS, (count, LENGTH))
        found[split] = {"words": words, "label": random.integers(0, len(CLASSES), count)}
    return found


def by_fit(given: dict[str, Any], epochs: int) -> Any:
    """Train by Keras."""
    seen, (x, y), (vx, vy) = watch(), given["train"].values(), given["eval"].values()
    model_of().fit(
        x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=[seen], validation_data=(vx, vy)
    )
    return seen


def by_loop(given: dict[str, Any], epochs: int) -> Any:
    """Train by our loop, with one worker."""
    from colchis_steps._data.dataset import open_data
    from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
    from colchis_steps._formats.documents import encode, now
    from colchis_steps._formats.hyperparameters import settings
    from colchis_steps._training.input import Source
    from colchis_steps._training.loop import Loop
    from colchis_steps._training.rendezvous import Place as Alone
    from colchis_steps._training.signals import Stop
    from colchis_steps._training.workers import Workers
    from colchis_steps.context import Context, Training

    columns = Column("words", "int64", (LENGTH,)), Column("label", "int64", (), 0.0, 2.0, CLASSES)
    splits: dict[str, tuple[Shard, ...]] = {
        split: (Shard(f"{split}.npz", BATCH * STEPS, 1, "0" * 64),)
        for split in given  # never read
    }
    with TemporaryDirectory() as home:
        digest = data_digest("words", "label", columns, splits)
        content = encode(DataManifest("words", digest, "label", columns, splits, "", now()))
        Path(home, "manifest.json").write_bytes(content)
        data = open_data(Path(home).as_uri())
    chosen, seen = settings(json.dumps({"epochs": epochs, "global_batch": BATCH})), watch()
    context = Context(chosen.all, data.features, "label", CLASSES, 1)
    training = Training(model_of(), callbacks=[seen], dataset=lambda _, split, __: [given[split]])
    source = Source(data, chosen, Alone(), context, training, data.features)
    list(Loop(source, Workers(Alone(), 60.0), Stop(75, 60), "", None).epochs())
    return seen


def main() -> None:
    """Print the seconds of each contender's epochs, the first of each run left out."""
    from colchis_steps._savedmodel.library import load_tensorflow

    load_tensorflow()
    given, contenders = rows(), dict[str, Callable[[dict[str, Any], int], Any]]({OURS: by_loop, SINGLE: by_fit})
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(int(sys.argv[1])):
        losses = []
        for name, train in contenders.items():
            seen = train(given, 3)
            found[name].append(min(seen.seconds[1:]))
            losses.append(seen.losses)
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
