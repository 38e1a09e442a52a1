"""Write SavedModels for the tests: digits (trained for seconds), tiny/1 to tiny/3, two, nan, bare, paint/1 and paint/2.

tiny/N answers class N to whatever image; two has two inputs, one of them text, and one output; nan answers NaN; bare
has no signature; paint/1 gives bright pixels class 0 and dark ones class 1, and paint/2 does the opposite.
Argument: where.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

top = Path(sys.argv[1])
IMAGE = tf.TensorSpec([None, 8, 8], tf.uint8, name="image")


def save(directory: str, function: Callable[..., Any], *inputs: tf.TensorSpec, **variables: tf.Variable) -> None:
    """Save the function as the signature that servers call."""
    module = tf.Module()
    for name, variable in variables.items():
        setattr(module, name, variable)
    module.call = tf.function(function, input_signature=inputs)
    tf.saved_model.save(module, str(top / directory), {"serving_default": module.call})


def tiny(directory: str, answer: int) -> None:
    """Save a model that answers one class, or NaN where that is below 0."""
    row = np.full(10, 0.01 if answer >= 0 else np.nan, np.float32)
    row[answer] += 0.9
    variable = tf.Variable(row)

    def call(image: tf.Tensor) -> dict[str, tf.Tensor]:
        probability = tf.tile(variable[tf.newaxis], [tf.shape(image)[0], 1])
        return {"class": tf.argmax(probability, axis=-1), "probability": probability}

    save(directory, call, IMAGE, row=variable)


def two(scale: tf.Tensor, text: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the scale times the length of the text."""
    return {"length": scale * tf.cast(tf.strings.length(text), tf.float32)}


def paint(directory: str, bright: float) -> None:
    """Save a model that tells bright pixels from dark ones; ``bright`` (1 or 0) is class 0's share of the former."""

    def call(image: tf.Tensor) -> dict[str, tf.Tensor]:
        share = tf.where(image[:, 4, 4, 0] > 127, bright, 1 - bright)
        return {"probability": tf.stack([share, 1 - share], axis=1)}

    save(directory, call, tf.TensorSpec([None, 9, 9, 2], tf.uint8, name="image"))


paint("paint/1", 1.0)
paint("paint/2", 0.0)
for number in (1, 2, 3):
    tiny(f"tiny/{number}", number)
tiny("nan", -1)
save("two", two, tf.TensorSpec([None], tf.float32, name="scale"), tf.TensorSpec([None], tf.string, name="text"))
tf.saved_model.save(tf.Module(), str(top / "bare"))

keras.utils.set_random_seed(7)
digits = load_digits()
image = keras.Input((8, 8), dtype="uint8", name="image")
hidden = keras.layers.Rescaling(1 / 16)(image)
hidden = keras.layers.Reshape((8, 8, 1))(hidden)
hidden = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(hidden)
hidden = keras.layers.Conv2D(32, 3, activation="relu")(hidden)
hidden = keras.layers.Dropout(0.3)(keras.layers.Flatten()(hidden))
model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(hidden))
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(digits.images.astype("uint8"), digits.target, epochs=10, batch_size=64, verbose=0)


def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the class beside the probabilities, as a served classifier does."""
    probability = model(image, training=False)
    return {"class": tf.argmax(probability, axis=-1), "probability": probability}


archive = keras.export.ExportArchive()
archive.track(model)
archive.add_endpoint("serving_default", tf.function(classify, input_signature=[IMAGE]))
archive.write_out(str(top / "digits"), verbose=False)
