"""The layers of one column, up to a vector a row."""

import logging
from collections.abc import Mapping
from typing import Any

from colchis_steps._baselines.kinds import is_ragged, kind_of
from colchis_steps._baselines.seen import Seen, frequent_words
from colchis_steps._data.arrays import MASK, VALID
from colchis_steps._formats.data import Column
from colchis_steps._step.errors import InputError

FEW = 32  # values that get a unit each; more are embedded
VOCABULARY, LONGEST = 20_000, 256  # words or values that are known, and words of a row that are read, at most
LARGEST = 128  # pixels of a picture's side, where no size is asked for
SMALL = 7  # pixels of a side at which convolution ends
log = logging.getLogger("colchis")


def branch(column: Column, inputs: Mapping[str, Any], columns: Mapping[str, Column], seen: Seen, size: int) -> Any:
    """Return the tensor [rows, n] that is made of the column's input, or None where it tells nothing.

    ``size`` is the side of pictures; 0: the most common of the data, up to LARGEST.
    """
    from colchis_steps._baselines import layers

    kind, ragged = kind_of(column, columns), is_ragged(column, columns)
    name, found = column.name, inputs[column.name]
    if kind == "picture":
        return _picture(column, found, seen, size)
    words = seen.words.get(name)
    if kind == "text" or (ragged and words):
        return _text(column, found, inputs, seen, ragged=ragged)
    moments = seen.moments.get(name)
    if moments is None:
        return None
    if kind == "date":
        made = layers.Dates(column.type, float(moments.mean), float(moments.deviation))(found)
    elif ragged:
        scaled = layers.Scaled(moments.mean, moments.deviation)
        made = layers.Mean()(_each(scaled, found), inputs[name + MASK])
    else:
        made = layers.Scaled(moments.mean, moments.deviation, missing=moments.missing)(found)
        if words and 2 < len(words.values) <= FEW:
            made = _joined([made, _known(words.frequent(FEW, 1), found, kind="number")])
    return layers.Kept()(made, inputs[name + VALID]) if name + VALID in inputs else made


def _text(column: Column, found: Any, inputs: Mapping[str, Any], seen: Seen, *, ragged: bool) -> Any:
    """Return a unit a value where those are few, else the mean of what is learnt of values or words."""
    import keras

    from colchis_steps._baselines import layers

    words, number = seen.words[column.name], column.dtype.startswith(("int", "uint"))
    if words.sentences and not ragged and not column.shape and len(words.values) > FEW:
        vocabulary = frequent_words(words, VOCABULARY)
        length = max(1, min(words.longest, LONGEST))
        numbers = keras.layers.TextVectorization(vocabulary=vocabulary, output_sequence_length=length)(found)
        embedded = layers.Embedded(len(vocabulary) + 2, 32)(numbers)
        return layers.Mean()(embedded, keras.ops.not_equal(numbers, 0))  # which stands behind the last word
    few = len(words.values) <= FEW
    vocabulary = words.frequent(VOCABULARY, 1 if few else 2)  # what occurs once teaches what an unknown value is
    if not vocabulary:
        log.warning("column %r is left out: each row has another value; is it a key?", column.name)
        return None
    if not ragged and few:
        return _known(vocabulary, found, kind="number" if number else "text")
    lookup = keras.layers.IntegerLookup if number else keras.layers.StringLookup
    numbers = lookup(vocabulary=vocabulary)(found)
    width = min(32, 4 + int(len(vocabulary) ** 0.5))
    embedded = layers.Embedded(len(vocabulary) + 1, width)(numbers)
    if ragged:
        return layers.Mean()(embedded, inputs[column.name + MASK])
    return keras.layers.Flatten()(embedded) if column.shape else embedded


def _known(vocabulary: list[Any], found: Any, kind: str) -> Any:
    """Return [rows, n]: 1 at the value's place, or at the first one where it is unknown."""
    import keras

    from colchis_steps._baselines.layers import Units

    lookup = keras.layers.IntegerLookup if kind == "number" else keras.layers.StringLookup
    return Units(len(vocabulary) + 1)(lookup(vocabulary=vocabulary)(found))


def _picture(column: Column, found: Any, seen: Seen, size: int) -> Any:
    """Return what a small convolutional network sees in a picture, flattened."""
    import keras

    from colchis_steps._baselines import layers

    if column.dtype == "bytes":
        height, width = (size, size) if size else _common_size(column.name, seen)
        x = layers.Pictures(height, width)(found)
    else:
        low, high = column.minimum or 0.0, 255.0 if column.maximum is None else column.maximum
        scale = 1.0 / (high - low) if high > low else 1.0
        height, width, channels = (*column.shape, 1)[:3]
        x = keras.layers.Reshape((height, width, channels))(keras.layers.Rescaling(scale, -low * scale)(found))
    filters = 32
    while True:
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
        filters, height, width = min(2 * filters, 128), height // 2, width // 2
        if min(height, width) <= SMALL:
            return keras.layers.Flatten()(x)


def _common_size(name: str, seen: Seen) -> tuple[int, int]:
    """Return height and width that most of the first pictures have, with the longer side at most LARGEST."""
    from collections import Counter

    import tensorflow as tf

    sizes: Counter[tuple[int, int]] = Counter()
    for content in seen.pictures.get(name, ()):
        try:
            shape = tf.io.decode_image(content, expand_animations=False).shape
        except tf.errors.InvalidArgumentError as error:
            raise InputError(
                f"column {name!r} has a picture that is no PNG, JPEG, WebP, GIF or BMP; leave it out, or convert it"
            ) from error
        sizes[(int(shape[0]), int(shape[1]))] += 1
    if not sizes:
        raise InputError(f"column {name!r} has no picture in the split 'train'; leave the column out")
    height, width = min(sizes, key=lambda size: (-sizes[size], size))
    scale = min(1.0, LARGEST / max(height, width))
    return max(8, round(height * scale)), max(8, round(width * scale))


def _each(scaled: Any, found: Any) -> Any:
    """Apply a layer of [rows, …] to each place of [rows, places, …], where it keeps shapes: one value becomes [1]."""
    import keras

    shape = tuple(found.shape[1:])
    places, width = shape[0], 1
    for length in shape[1:]:
        width *= length
    return keras.layers.Reshape((places, width))(scaled(found))


def _joined(parts: list[Any]) -> Any:
    import keras

    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
