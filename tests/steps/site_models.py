"""Three models as people write them after Keras's guides: of text, of a table, and of two inputs with a frozen base.

This file is a user's code, which tests push into a store with base.npz beside it; they do not import it.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from colchis_steps.context import Context


def column(context: Context, name: str) -> Any:
    """Return all training rows of a column: what preprocessing layers adapt to, the same on every worker."""
    return np.concatenate([rows[name] for rows in context.blocks("train", 0)])


def text(context: Context) -> Any:
    """Tell a sentence's topic from its words; the topic's name is a second output."""
    vectorize = keras.layers.TextVectorization(max_tokens=500, output_sequence_length=12)
    vectorize.adapt(column(context, "sentence"))
    sentence = keras.Input((1,), name="sentence", dtype="string")
    x = keras.layers.Embedding(500, 16)(vectorize(sentence))
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling1D()(x))
    topic = keras.layers.Dense(len(context.classes), activation="softmax", name="topic")(x)
    names = keras.layers.StringLookup(vocabulary=list(context.classes), num_oov_indices=0, invert=True, name="name")
    model = keras.Model(sentence, {"topic": topic, "name": names(keras.ops.argmax(topic, axis=-1))})
    loss = {"topic": "sparse_categorical_crossentropy", "name": None}
    model.compile(keras.optimizers.Adam(0.02), loss, metrics={"topic": ["accuracy"]})
    return model


def table(context: Context) -> Any:
    """Tell from a table's row who leaves: one unit with logits over encoded strings, codes, counts and numbers."""
    contract, town = (keras.Input((1,), name=name, dtype="string") for name in ("contract", "town"))
    lookup = keras.layers.StringLookup(output_mode="multi_hot")
    lookup.adapt(column(context, "contract"))
    towns = sorted(set(column(context, "town")))  # a town that is none of these is refused, an empty one too
    known = keras.layers.StringLookup(vocabulary=towns, mask_token=None, num_oov_indices=0, output_mode="one_hot")
    inputs, parts = {"contract": contract, "town": town}, [lookup(contract), known(town)]
    inputs["tariff"] = keras.Input((1,), name="tariff", dtype="int64")
    codes = keras.layers.IntegerLookup(output_mode="multi_hot")
    codes.adapt(column(context, "tariff"))
    parts.append(codes(inputs["tariff"]))
    inputs["calls"] = keras.Input((1,), name="calls", dtype="int64")
    parts.append(keras.layers.CategoryEncoding(num_tokens=8, output_mode="multi_hot")(inputs["calls"]))
    for name in ("age", "minutes"):
        inputs[name] = keras.Input((1,), name=name)
        scale = keras.layers.Normalization(axis=None)
        scale.adapt(column(context, name))
        parts.append(scale(inputs[name]))
    x = keras.layers.Dense(16, activation="relu")(keras.layers.Concatenate()(parts))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    return model


def parcels(context: Context) -> Any:
    """Tell how a parcel is striped and whether it is heavy: a picture goes through a trained base that stays as it is.

    The new head gets what the base sees, and the numbers of the scales.
    """
    picture = keras.Input((8, 8), name="picture", dtype="uint8")
    scales = keras.Input((3,), name="scales")
    seen = keras.Input((8, 8, 1))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(seen))
    base = keras.Model(seen, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)), name="base")
    with np.load(Path(__file__).with_name("base.npz")) as trained:
        base.set_weights([trained[name] for name in sorted(trained.files)])
    base.trainable = False
    x = keras.layers.Rescaling(1 / 255)(keras.layers.Reshape((8, 8, 1))(picture))
    standard = keras.layers.Normalization()
    standard.adapt(column(context, "scales"))
    x = keras.layers.Concatenate()([base(x, training=False), standard(scales)])
    x = keras.layers.Dense(16, activation="relu")(x)
    model = keras.Model([picture, scales], keras.layers.Dense(len(context.classes), activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
