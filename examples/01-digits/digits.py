"""A small convolutional network for 8x8 pictures of handwritten digits: the entry is ``digits:build``."""

import keras

from colchis_steps.context import Context


def build(context: Context) -> keras.Model:
    """Return the compiled model; scaling and reshaping are layers, so serving does what training did."""
    image = context.columns["image"]
    inputs = keras.Input(image.shape, name="image", dtype=image.dtype)
    x = keras.layers.Rescaling(1 / (image.maximum or 1))(inputs)
    x = keras.layers.Reshape((*image.shape, 1))(x)
    for filters in context.hyperparameters.get("filters", [32, 64, 64]):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(context.hyperparameters.get("dropout", 0.4))(x)
    outputs = keras.layers.Dense(len(context.classes), activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(context.hyperparameters.get("learning_rate", 0.003)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
