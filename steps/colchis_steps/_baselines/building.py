"""A compiled model of the data's columns: their layers joined, two dense ones, and the task's answer."""

from collections.abc import Callable
from typing import Any

from colchis_steps._baselines.branches import branch
from colchis_steps._baselines.seen import Seen, look
from colchis_steps._data.arrays import MASK
from colchis_steps._formats.data import Column
from colchis_steps._step.errors import InputError
from colchis_steps.context import Context

RATES = ((250, 0.01), (2500, 0.003))  # below so many steps, such a learning rate: few steps must be long ones
RATE, RATE_OF_PICTURES = 0.001, 0.003  # else, and at most where there are pictures


def build(context: Context, takes: Callable[[Column], bool], pictures: bool) -> Any:
    """Return a compiled ``keras.Model`` of the columns that ``takes`` says.

    Raises:
        InputError: it takes none, or the task is none that these layers answer.
    """
    import keras

    given, columns = context.hyperparameters, {n: c for n, c in context.columns.items() if takes(c)}
    units, dropout = int(given.get("units", 128)), float(given.get("dropout", 0.2))
    size, rate = int(given.get("image_size", 0)), given.get("learning_rate")
    if context.task.kind not in {"classification", "multilabel", "regression"}:
        raise InputError(
            f"the task is {context.task.kind}, which the built-in entries do not answer; give one of your own"
        )
    seen = look(context, columns)
    inputs = {n: keras.Input(c.shape, name=n, dtype=_dtype(c)) for n, c in context.columns.items()}
    made = {name: branch(column, inputs, context.columns, seen, size) for name, column in columns.items()}
    parts = [part for part in made.values() if part is not None]
    if not parts:
        raise InputError("the data has no feature column that this entry takes; import data that has one")
    x = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    x = keras.layers.Dense(units, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    outputs = _answer(context, seen, x)
    used = {n: made_of for n, made_of in inputs.items() if made.get(n.removesuffix(MASK)) is not None}
    model = keras.Model(used if len(used) > 1 else next(iter(used.values())), outputs)
    chosen = float(rate) if rate is not None else _rate(context, seen, pictures=pictures)
    loss, metrics = _judged(context, seen)
    weighted = {"weighted_metrics": metrics} if context.weight else {"metrics": metrics}
    model.compile(optimizer=keras.optimizers.Adam(chosen), loss=loss, **weighted)
    return model


def _dtype(column: Column) -> str:
    return "string" if column.dtype.startswith(("str", "bytes", "<U", "U")) else column.dtype


def _answer(context: Context, seen: Seen, x: Any) -> Any:
    import keras

    from colchis_steps._baselines.layers import Unscaled

    kind, classes = context.task.kind, len(context.classes)
    if kind == "classification":
        return keras.layers.Dense(classes, activation="softmax", dtype="float32")(x)
    if kind == "multilabel":
        return keras.layers.Dense(classes, activation="sigmoid", dtype="float32")(x)
    mean, deviation = _targets(seen)
    return Unscaled(mean, deviation)(keras.layers.Dense(len(mean), dtype="float32")(x))


def _judged(context: Context, seen: Seen) -> tuple[Any, list[Any]]:
    """Return loss and metrics of the task."""
    import keras

    if context.task.kind == "classification":
        return "sparse_categorical_crossentropy", ["accuracy"]
    if context.task.kind == "multilabel":
        return "binary_crossentropy", ["binary_accuracy"]
    _, deviation = _targets(seen)

    def scaled_squared_error(labels: Any, predictions: Any) -> Any:
        """Return the squared error in standard deviations, so that each target counts alike and 1 is a bare mean."""
        labels = keras.ops.reshape(labels, keras.ops.shape(predictions))
        return keras.ops.mean(keras.ops.square((labels - predictions) / keras.ops.array(deviation, "float32")), axis=-1)

    return scaled_squared_error, ["mae", keras.metrics.RootMeanSquaredError(name="rmse")]


def _targets(seen: Seen) -> tuple[list[float], list[float]]:
    import numpy as np

    return np.atleast_1d(seen.labels.mean).tolist(), np.atleast_1d(seen.labels.deviation).tolist()


def _rate(context: Context, seen: Seen, *, pictures: bool) -> float:
    given = context.hyperparameters
    steps = -(-seen.rows // int(given.get("global_batch", 64))) * int(given.get("epochs", 10))
    found = next((rate for limit, rate in RATES if steps < limit), RATE)
    return min(found, RATE_OF_PICTURES) if pictures else found
