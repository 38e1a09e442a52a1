"""The default entry: a small classifier for pictures and vectors, built from the data's schema alone.

Hyper-parameters: ``learning_rate`` (0.001), ``units`` (128, of the hidden layer), ``dropout`` (0.2).
"""

from typing import Any

from colchis_steps._step.errors import InputError
from colchis_steps.context import Context


def build(context: Context) -> Any:
    """Build a compiled ``keras.Model``: each column is scaled to 0…1, flattened, and joined into two dense layers.

    Raises:
        InputError: there is no feature column, or one is not numeric.
    """
    import keras

    given = context.hyperparameters
    inputs, parts = {}, []
    for name, column in context.columns.items():
        if not column.dtype.startswith(("float", "int", "uint", "bool")):
            raise InputError(
                f"column {name!r} is {column.dtype}, not numeric; give an entry of your own, in which a layer such as "
                "TextVectorization or StringLookup makes numbers of it"
            )
        inputs[name] = keras.Input(column.shape, name=name, dtype=column.dtype)
        low = column.minimum or 0.0
        high = 1.0 if column.maximum is None else column.maximum
        scale = 1.0 / (high - low) if high > low else 1.0
        parts.append(keras.layers.Flatten()(keras.layers.Rescaling(scale, -low * scale)(inputs[name])))
    if not parts:
        raise InputError("the data has no feature column; import data that has one beside the label")
    x = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    x = keras.layers.Dense(int(given.get("units", 128)), activation="relu")(x)
    x = keras.layers.Dropout(float(given.get("dropout", 0.2)))(x)
    outputs = keras.layers.Dense(len(context.classes), activation="softmax")(x)
    model = keras.Model(inputs if len(inputs) > 1 else inputs[name], outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(float(given.get("learning_rate", 0.001))),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
