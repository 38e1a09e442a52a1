"""Batch normalization over the rows of all workers, in place of each worker's own."""

import logging
import math
from typing import Any

from colchis_steps._training.workers import Workers

FEW = 16  # rows in a part, from which on statistics of a batch are rough
log = logging.getLogger("colchis")


class Normalization:
    """The BatchNormalization layers of a model that are synchronized: all of them, or those that say so themselves.

    ``present`` is float32: 1 while a part has rows of the data, else 0; a step sets it before the model is called.
    """

    def __init__(self, model: Any, workers: Workers, *, everywhere: bool) -> None:
        import keras

        found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
        self.workers = workers
        self.present: Any = None
        self.layers = [layer for layer in found if everywhere or layer.synchronized]
        self.plain = [layer for layer in found if layer not in self.layers]
        if workers.here.workers > 1:
            for layer in self.layers:
                layer._moments = self._moments(layer)

    def warn(self, rows: int) -> None:
        """Say so where layers see few rows of a batch."""
        if self.plain and rows < FEW:
            log.warning(
                "BatchNormalization %s sees parts of %d rows: give the hyper-parameter sync_batch_norm, or a larger "
                "global_batch",
                self.plain[0].name,
                rows,
            )

    def keeps(self, variable: Any) -> bool:
        """Return whether a variable holds statistics that are the same on all workers."""
        return any(variable is own for layer in self.layers for own in layer.non_trainable_variables)

    def _moments(self, layer: Any) -> Any:
        import tensorflow as tf

        def moments(inputs: Any, mask: Any) -> tuple[Any, Any]:
            """Return mean and variance over the rows of all workers, shaped like the layer's."""
            axes = [i for i in range(len(inputs.shape)) if i != layer.axis % len(inputs.shape)]
            present = tf.cast(1.0 if self.present is None else self.present, inputs.dtype)
            weights = tf.ones_like(inputs) if mask is None else tf.cast(mask, inputs.dtype)[..., None]
            weights = tf.broadcast_to(weights, tf.shape(inputs)) * present
            count = tf.reduce_sum(weights, axes)
            shift = tf.cast(layer.moving_mean.value, inputs.dtype)  # near the mean: less is lost where it is subtracted
            shape = [-1 if i not in axes else 1 for i in range(len(inputs.shape))]
            moved = inputs - tf.stop_gradient(tf.reshape(shift, shape))
            sums = [tf.reduce_sum(moved * weights, axes), tf.reduce_sum(moved * moved * weights, axes), count]
            total, squares, rows = self.workers.sum_with_gradient(sums)
            mean = total / rows
            return shift + mean, tf.maximum(squares / rows - mean * mean, 0.0)

        return moments


def part_of(batch: int, workers: int, accumulate: int) -> int:
    """Return how many rows of a global batch a part has at most."""
    return math.ceil(math.ceil(batch / workers) / accumulate)
