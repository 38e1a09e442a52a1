"""A small text classifier: TextVectorization inside the model, so that a client sends plain messages."""

from typing import Any

import keras

from colchis_steps.context import Context


def build(context: Context) -> Any:
    """Return a compiled model of the one text column: words, embedded and averaged."""
    (name,) = context.columns
    words = keras.layers.TextVectorization(int(context.hyperparameters.get("words", 2000)), output_sequence_length=32)
    words.adapt([str(text) for rows in context.blocks("train", 0) for text in rows[name]])
    message = keras.Input((), name=name, dtype="string")
    x = keras.layers.Embedding(words.vocabulary_size(), 16, mask_zero=True)(words(message))
    x = keras.layers.GlobalAveragePooling1D()(x)
    x = keras.layers.Dense(32, activation="relu")(x)
    model = keras.Model(message, keras.layers.Dense(len(context.classes), activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
