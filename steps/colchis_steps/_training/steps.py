"""What happens in one step, as TensorFlow graphs: forward, backward, the sum over all workers, the optimizer.

Keras 3's ``fit`` fails under MultiWorkerMirroredStrategy (keras#20585), and optimizers under it clip gradients before
they are summed. So the strategy is used for what it does well, sums over workers, and Keras sees a single process:
each worker computes the gradients of its part of the global batch, the sums are the same on all of them, and the
optimizer applies them to plain variables that therefore stay equal. A worker drives one device.
"""

from collections.abc import Callable
from typing import Any

from colchis_steps._savedmodel.outputs import forward_of
from colchis_steps._step.errors import InputError
from colchis_steps._training.input import Ready, Rows
from colchis_steps._training.normalization import Normalization
from colchis_steps._training.splits import Splits, labelled
from colchis_steps._training.workers import Workers
from colchis_steps.context import Step, Training


class Steps:
    """The functions of a step for a model; each gives float32 [3]: loss, how many want to stop, how many to save."""

    def __init__(
        self, training: Training, workers: Workers, accumulate: int, splits: Splits, normalization: Normalization
    ) -> None:
        self.training, self.model, self.workers = training, training.model, workers
        self.parts, self.splits, self.normalization = accumulate, splits, normalization
        self.alone = workers.here.workers == accumulate == 1
        self.forward, self.loss = forward_of(self.model), loss_of(self.model)
        moving = [v for v in self.model.non_trainable_variables if v.dtype.startswith("float")]
        self._moving = [v for v in moving if not normalization.keeps(v)]
        self._sums: list[Any] = []
        self._used: list[bool] = []
        self._whole_step = self._graph(self._own if training.train_step else self._train)
        self._evaluation, self._add, self._end = (
            self._graph(function) for function in (self._evaluate, self._accumulate, self._apply)
        )

    def train(self, batch: Ready, wishes: Any) -> Any:
        """Train on this worker's part of a global batch, in as many parts as there shall be."""
        import tensorflow as tf

        if self.parts == 1:
            return self._whole_step(batch.mine, batch.total, wishes)
        if not self._sums:
            self._sums = [tf.Variable(tf.zeros(v.shape, v.dtype)) for v in self.model.trainable_variables]
            self._sums.append(tf.Variable(0.0))
        size = batch.mine.labels.shape[0] // self.parts
        for at in range(0, size * self.parts, size):
            self._add(batch.mine.part(at, size), batch.total)
        return self._end(wishes)

    def evaluate(self, batch: Ready, wishes: Any) -> Any:
        """Evaluate this worker's part of a global batch."""
        return self._evaluation(batch.mine, batch.total, wishes)

    def _graph(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import tensorflow as tf

        return function if self.model.run_eagerly else tf.function(function, reduce_retracing=False)

    def _train(self, mine: Rows, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        gradients, loss = self._gradients(mine, total)
        used = [(g, v) for g, v in zip(gradients, self.variables, strict=True) if g is not None]
        *sums, summed = self.workers.sum([*(g for g, _ in used), tf.concat([[loss], wishes], 0)])
        if used:
            self.model.optimizer.apply(sums, [v for _, v in used])
        return summed

    def _own(self, mine: Rows, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        def count(predictions: Any) -> None:
            self._count(mine.cut(mine.count), tf.nest.map_structure(lambda found: found[: mine.count], predictions))

        mask = tf.sequence_mask(mine.count, mine.labels.shape[0], tf.float32)
        weights = mask if mine.weights is None else mask * mine.weights
        step = Step(self.model, mine.inputs, mine.labels, weights, total, self.workers.sum, count)
        loss = self.training.train_step(step)  # type: ignore[misc]  # it is there
        if loss is None:
            raise InputError("the entry's train_step gives nothing; let it return this worker's share of the loss")
        return self.workers.sum([tf.concat([[tf.cast(loss, tf.float32)], wishes], 0)])[0]

    def _accumulate(self, part: Rows, total: Any) -> None:
        import tensorflow as tf

        gradients, loss = self._gradients(part, total)
        self._used = [gradient is not None for gradient in gradients]
        for total_so_far, gradient in zip(self._sums, [*gradients, loss], strict=True):
            if gradient is not None:
                total_so_far.assign_add(tf.convert_to_tensor(gradient))

    def _apply(self, wishes: Any) -> Any:
        import tensorflow as tf

        *own, loss = self._sums
        used = [(g, v) for g, v, is_used in zip(own, self.variables, self._used, strict=True) if is_used]
        *sums, summed = self.workers.sum([*(g.value() for g, _ in used), tf.concat([[loss.value()], wishes], 0)])
        self.model.optimizer.apply(sums, [v for _, v in used])
        for total_so_far in self._sums:
            total_so_far.assign(tf.zeros_like(total_so_far))
        return summed

    def _evaluate(self, mine: Rows, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        rows = mine.cut(self._seen(mine))
        predictions = self.forward(rows.inputs, training=False)
        _, loss = self._loss(mine, rows, predictions, total, training=False)
        return self.workers.sum([tf.concat([[loss], wishes], 0)])[0]

    @property
    def variables(self) -> list[Any]:
        """The variables that are trained."""
        return list(self.model.trainable_variables)

    def _seen(self, part: Rows) -> Any:
        """Return how many rows the model sees: padding is at the end, and a part that has nothing else takes a row."""
        import tensorflow as tf

        return part.count if self.alone else tf.maximum(part.count, 1)

    def _gradients(self, part: Rows, total: Any) -> tuple[list[Any], Any]:
        import tensorflow as tf

        rows, before = part.cut(self._seen(part)), [] if self.alone else [tf.identity(v.value) for v in self._moving]
        self.normalization.present = tf.cast(part.count > 0, tf.float32)
        with tf.GradientTape() as tape:
            predictions = self.forward(rows.inputs, training=True)
            target, share = self._loss(part, rows, predictions, total, training=True)
            scaled = self.model.optimizer.scale_loss(target)
        gradients = tape.gradient(scaled, [v.value for v in self.variables]) if self.variables else []
        if before:  # statistics of padding are not kept
            for variable, value in zip(self._moving, before, strict=True):
                variable.assign(tf.where(part.count > 0, variable.value, value))
        if not self.alone:
            gradients = [g if g is None else tf.convert_to_tensor(g) for g in gradients]
        return gradients, share

    def _loss(self, part: Rows, rows: Rows, predictions: Any, total: Any, *, training: bool) -> tuple[Any, Any]:
        """Count into the metrics; return what to differentiate, and this part's share of the batch's loss.

        Gradients and shares sum over all parts to those of the global batch.
        """
        import tensorflow as tf

        if self.alone:
            value = self._value(rows, predictions, training=training)
            self._count(rows, predictions)
            return value, value
        is_there, losses = tf.cast(part.count > 0, tf.float32), [tf.cast(p, tf.float32) for p in self.model.losses]
        mean = tf.cast(part.count, tf.float32) / total
        sums = [p for p, is_sum in zip(losses, self.splits.penalties, strict=False) if is_sum]
        summed = (is_there - mean) * tf.add_n(sums or [tf.constant(0.0)])  # what is missing where all has this share
        if self.splits.whole:
            value, surrogate = self._of_whole(part, predictions, tf.cast(total, tf.int32), training=training)
            return mean * value + (1.0 - mean) * surrogate + summed, mean * value + summed
        value = self._value(rows, predictions, training=training)
        tf.cond(part.count > 0, lambda: self._count(rows, predictions), lambda: None)
        if not self.splits.mean:
            summed += (is_there - mean) * (value - tf.add_n([*losses, tf.constant(0.0)]))
        return mean * value + summed, mean * value + summed

    def _of_whole(self, part: Rows, predictions: Any, total: Any, *, training: bool) -> tuple[Any, Any]:
        """Return the loss of the whole batch, and what has its gradient by way of this worker's predictions alone.

        The predictions of each worker add to the gradient of the batch; penalties, which all compute, count once.
        """
        import tensorflow as tf

        with tf.GradientTape() as tape:
            floats = [p for p in tf.nest.flatten(predictions) if p.dtype.is_floating]
            tape.watch(floats)
            every, gathered = self._gathered(part, predictions, total)
            value = self._value(every, gathered, training=training)
        self._count(every, gathered)
        if not training:
            return value, 0.0
        found = [(p, g) for p, g in zip(floats, tape.gradient(value, floats), strict=True) if g is not None]
        parts = [tf.reduce_sum(tf.cast(p, tf.float32) * tf.stop_gradient(tf.cast(g, tf.float32))) for p, g in found]
        return value, tf.add_n(parts) if parts else 0.0

    def _gathered(self, part: Rows, predictions: Any, total: Any) -> tuple[Rows, Any]:
        """Return the whole global batch and its predictions, of which only this worker's carry a gradient.

        The inputs are among it where a method of the model's own may read them, and can be exchanged.
        """
        import tensorflow as tf

        size = part.labels.shape[0]

        def gather(found: Any) -> Any:
            if found is None or found.dtype == tf.string:
                return None
            every = self.workers.gather(found, size)[:total]
            mask = getattr(found, "_keras_mask", None)  # AutoGraph knows no :=
            if mask is not None:
                every._keras_mask = self.workers.gather(mask, size)[:total]
            return every

        inputs = tf.nest.map_structure(gather, part.inputs) if self.splits.inputs else None
        return Rows(inputs, gather(part.labels), gather(part.weights), total), tf.nest.map_structure(
            gather, predictions
        )

    def _value(self, rows: Rows, predictions: Any, *, training: bool) -> Any:
        import tensorflow as tf

        part = labelled(rows.inputs, rows.labels, predictions)
        return tf.cast(self.loss(*part, rows.weights, training=training), tf.float32)

    def _count(self, rows: Rows, predictions: Any) -> None:
        """Update the compiled metrics."""
        self.model.compute_metrics(*labelled(rows.inputs, rows.labels, predictions), rows.weights)


def loss_of(model: Any) -> Callable[..., Any]:
    """Return the model's ``compute_loss``; a method of before Keras 3.3 has no argument ``training``."""
    import inspect

    if "training" in inspect.signature(model.compute_loss).parameters:
        return model.compute_loss  # type: ignore[no-any-return]
    return lambda *part, training: model.compute_loss(*part)  # noqa: ARG005, PLW0108 - training is dropped
