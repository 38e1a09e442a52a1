"""Layers of the built-in entries. What they know of the data are constants of theirs: nothing to train or to average.

Importing this imports Keras.
"""

from typing import Any

import keras
import tensorflow as tf

WIDEST = 8.0  # standard deviations from the mean; what lies further out counts as so far
DAY, WEEK, YEAR = 86_400, 7 * 86_400, 365.2425 * 86_400  # seconds
MONDAY = 4 * DAY  # the first one after 1970-01-01, a Thursday
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # in a second


class Scaled(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """[rows, …] numbers to float32 [rows, n]: less the mean, by the deviation, within WIDEST; NaN is the mean.

    ``missing`` adds n columns more, 1 where a value was NaN.
    """

    def __init__(self, mean: Any, deviation: Any, *, missing: bool = False, **options: Any) -> None:
        super().__init__(dtype="float32", autocast=False, trainable=False, **options)
        self.mean, self.deviation, self.missing = mean, deviation, missing

    def call(self, values: Any) -> Any:
        """Scale in float64: the mean of a number may be great beside its deviation."""
        wide = tf.cast(values, tf.float64)
        scaled = (wide - tf.constant(self.mean, tf.float64)) / tf.constant(self.deviation, tf.float64)
        absent = tf.math.is_nan(scaled)
        scaled = tf.clip_by_value(tf.where(absent, tf.zeros_like(scaled), scaled), -WIDEST, WIDEST)
        parts = [tf.cast(scaled, tf.float32)] + ([tf.cast(absent, tf.float32)] if self.missing else [])
        return tf.concat([flat(part) for part in parts], -1)


class Kept(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """[rows, n] and bool [rows]: zero where there was no value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(dtype="float32", autocast=False, trainable=False, **options)

    def call(self, values: Any, valid: Any) -> Any:
        """Return float32 [rows, n]."""
        return values * tf.cast(valid, tf.float32)[:, None]


class Units(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """int64 [rows, …] below ``count`` to float32 [rows, n]: a unit a number, of which one is 1."""

    def __init__(self, count: int, **options: Any) -> None:
        super().__init__(dtype="float32", autocast=False, trainable=False, **options)
        self.count = count

    def call(self, numbers: Any) -> Any:
        """Return a one-hot vector a row."""
        return flat(tf.one_hot(numbers, self.count))


class Dates(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """int64 [rows] of a date or time to float32 [rows, n]: scaled, and its place in year, week and, of a time, day.

    ``unit`` is Arrow's type: ``timestamp[us]``, ``date32[day]``. A place is the sine and cosine of its angle.
    """

    def __init__(self, unit: str, mean: float, deviation: float, **options: Any) -> None:
        super().__init__(dtype="float32", autocast=False, trainable=False, **options)
        name = unit.partition("[")[2].rstrip("]").partition(",")[0]
        self.per_second, self.unit = UNITS.get(name, 1), DAY if name == "day" else 1
        self.with_time = unit.startswith("timestamp")
        self.scaled = Scaled(mean, deviation)

    def call(self, values: Any) -> Any:
        """Count in whole numbers: nanoseconds since 1970 are beyond what floats hold."""
        seconds = tf.cast(values, tf.int64) // self.per_second * self.unit
        periods = [(YEAR, seconds), (WEEK, seconds - MONDAY)] + ([(DAY, seconds)] if self.with_time else [])
        angles = [tf.cast(tf.cast(at, tf.float64) / period % 1.0, tf.float32) * 6.2831853 for period, at in periods]
        return tf.concat([self.scaled(values), *(tf.stack([tf.sin(a), tf.cos(a)], -1) for a in angles)], -1)


class Embedded(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """int64 [rows, …] below ``count`` to [rows, …, width], which is learnt.

    Keras's Embedding has sparse gradients, of which its optimizers square each part alone; so steps of it depend on how
    a batch is parted, and one worker learns other values than two. These are dense.
    """

    def __init__(self, count: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.table = self.add_weight(shape=(count, width), initializer="uniform", name="table")

    def call(self, numbers: Any) -> Any:
        """Look the rows of the table up."""
        return tf.gather(tf.convert_to_tensor(self.table) * 1.0, numbers)


class Mean(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """[rows, longest, n] and bool [rows, longest]: the mean over the places that have a value, and their share."""

    def __init__(self, **options: Any) -> None:
        super().__init__(dtype="float32", autocast=False, trainable=False, **options)

    def call(self, values: Any, mask: Any) -> Any:
        """Return float32 [rows, n + 1]."""
        there = tf.cast(mask, tf.float32)[..., None]
        count = tf.reduce_sum(there, 1)
        mean = tf.reduce_sum(tf.cast(values, tf.float32) * there, 1) / tf.maximum(count, 1.0)
        return tf.concat([mean, count / values.shape[1]], -1)


class Pictures(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """tf.string [rows] of PNG, JPEG, WebP, GIF or BMP to float32 [rows, height, width, 3] from 0 to 1.

    Empty bytes, which stand for no picture, are black; others that cannot be decoded are refused.
    """

    def __init__(self, height: int, width: int, **options: Any) -> None:
        super().__init__(dtype="float32", autocast=False, trainable=False, **options)
        self.size = (height, width)

    def call(self, content: Any) -> Any:
        """Decode each row alone, as sizes differ."""

        def one(row: Any) -> Any:
            decoded = tf.cond(
                tf.equal(tf.strings.length(row), 0),
                lambda: tf.zeros([1, 1, 3], tf.uint8),
                lambda: tf.io.decode_image(row, channels=3, expand_animations=False),
            )
            decoded.set_shape([None, None, 3])
            return tf.image.resize(tf.cast(decoded, tf.float32) / 255.0, self.size, antialias=True)

        found = tf.map_fn(one, content, fn_output_signature=tf.TensorSpec([*self.size, 3], tf.float32))
        found.set_shape([None, *self.size, 3])
        return found

    def compute_output_shape(self, shape: Any) -> Any:
        """Return [rows, height, width, 3]."""
        return (shape[0], *self.size, 3)


class Unscaled(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """[rows, targets] of mean 0 and deviation 1 to the targets' own."""

    def __init__(self, mean: Any, deviation: Any, **options: Any) -> None:
        super().__init__(dtype="float32", trainable=False, **options)
        self.mean, self.deviation = mean, deviation

    def call(self, values: Any) -> Any:
        """Return float32 [rows, targets]."""
        return tf.cast(values, tf.float32) * tf.constant(self.deviation, tf.float32) + tf.constant(
            self.mean, tf.float32
        )


def flat(values: Any) -> Any:
    """Return [rows, n] of [rows, …]."""
    width = 1
    for length in values.shape[1:]:
        width *= length
    return tf.reshape(values, [-1, width])
