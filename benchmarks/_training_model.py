"""The model that all contenders of `training` train, on the same files from the same first weights.

It takes 28 x 28 grey values and knows ten classes: two convolutions and two dense layers, 0.1 million
numbers; ``width`` makes it larger (a dense layer of so many units).
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

SIDE, CLASSES, WIDTH = 28, 10, 64
RATE, MOMENTUM = 0.02, 0.9


def model_of(keras: Any, width: int = WIDTH) -> Any:
    """Return the compiled model as this package (``keras`` or ``tf_keras``) makes it."""
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE), name="image", dtype="uint8")
    x = layers.Reshape((SIDE, SIDE, 1))(layers.Rescaling(1 / 255)(inputs))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(width, activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))
    model.compile(
        keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def begin(model: Any, seed: int = 0) -> None:
    """Return the model its first weights: those of any framework's own seed differ."""
    random = np.random.default_rng(seed)
    shapes = [weights.shape for weights in model.get_weights()]
    model.set_weights(
        [
            random.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
            if len(shape) > 1
            else np.zeros(shape, np.float32)
            for shape in shapes
        ]
    )


class Turns:
    """Epochs that wait for their turn, so that contenders which have started once run one after the other.

    A turn is $RACE_EPOCHS epochs (1), from the begin of the first to that of the one after the last, with all that
    comes between: evaluation, checkpoint. The first line that is told is the start's: seconds since the race started
    the command, CPU seconds of this process.
    """

    def __init__(self) -> None:
        self.epoch, self.epochs = 0, int(os.environ.get("RACE_EPOCHS", "1"))
        self.race = socket.socket(socket.AF_UNIX)
        self.race.connect(os.environ["RACE_TURNS"])
        self.race.sendall(f"{os.environ['RACE_NAME']}\n".encode())
        self.begun = float(os.environ["RACE_BEGAN"]), 0.0

    def next(self) -> None:
        """At the begin of an epoch: where a turn ends, tell what it took, wall and CPU seconds; wait for the next."""
        self.epoch += 1
        if (self.epoch - 1) % self.epochs:
            return
        wall, cpu = time.time() - self.begun[0], time.process_time() - self.begun[1]
        self.race.sendall(f"{wall} {cpu}\n".encode())
        if not self.race.recv(1):
            raise SystemExit("the race has ended before this contender")
        self.begun = time.time(), time.process_time()


def callback_of(keras: Any) -> Any:
    """Return the callback that lets epochs wait for their turns; with $RACE_STEPS, one that notes the steps there."""
    if "RACE_STEPS" in os.environ:
        return _notes(keras, Path(os.environ["RACE_STEPS"]))
    turns = Turns()

    class Waits(keras.callbacks.Callback):  # type: ignore[misc]  # its package is an argument
        def on_epoch_begin(self, _epoch: int, _logs: Any = None) -> None:
            turns.next()

    return Waits()


def _notes(keras: Any, path: Path) -> Any:
    ends: list[float] = []

    class Notes(keras.callbacks.Callback):  # type: ignore[misc]  # its package is an argument
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names them
            ends.append(time.time())

        def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
            path.write_text(json.dumps(ends))

    return Notes()


def _note_writes(path: Path) -> None:
    """Note in a line each when our trainer's thread begins and has ended to write a checkpoint."""
    from colchis_steps._training import checkpoints

    write = checkpoints.write

    def noted(*arguments: Any) -> None:
        begun = time.time()
        write(*arguments)
        with path.open("a") as file:
            print(begun, time.time(), file=file)

    checkpoints.write = noted  # type: ignore[assignment]  # it takes the same


def build(context: Any) -> Any:
    """Return our trainer the same: the entry of the contender colchis."""
    import keras

    if "RACE_STEPS" in os.environ:
        _note_writes(Path(os.environ["RACE_STEPS"] + ".writes"))

    from colchis_steps.context import Training

    model = model_of(keras, context.hyperparameters.get("width", WIDTH))
    begin(model)
    return Training(model, callbacks=[] if context.rank else [callback_of(keras)])
