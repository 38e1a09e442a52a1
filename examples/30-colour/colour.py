"""A small network that tells a pixel's colour from the grey values around it: the entry is ``colour:build``."""

import keras

from colchis_steps.context import Context


def build(context: Context) -> keras.Model:
    """Return the compiled model: the two scales that a row holds are its channels."""
    image = context.columns["image"]
    given = context.hyperparameters
    inputs = keras.Input(image.shape, name="image", dtype=image.dtype)
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for filters in given.get("filters", [48, 64]):
        x = keras.layers.Conv2D(filters, 3, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(given.get("units", 192), activation="relu")(x)
    x = keras.layers.Dropout(given.get("dropout", 0.2))(x)
    outputs = keras.layers.Dense(len(context.classes), activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(given.get("learning_rate", 0.002)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
