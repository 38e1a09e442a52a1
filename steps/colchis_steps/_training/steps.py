"""What happens in one step, as TensorFlow graphs: forward, backward, the sum over all workers, the optimizer.

Keras 3's ``fit`` fails under MultiWorkerMirroredStrategy (keras#20585), and optimizers under it clip gradients before
they are summed. So the strategy is used for what it does well, sums over workers, and Keras sees a single process:
each worker computes the gradients of its part of the global batch, the sums are the same on all of them, and the
optimizer applies them to plain variables that therefore stay equal. A worker drives one device.
"""

import statistics
import time
from collections.abc import Sequence
from typing import Any

from colchis_steps._savedmodel.export import as_inputs
from colchis_steps._step.errors import InputError
from colchis_steps._training.rendezvous import Place
from colchis_steps.context import Step, Training

REDUCTIONS = {"sum_over_batch_size", "mean", "sum"}


class Workers:
    """Sums over all workers; alone there is nothing to sum. Make it before anything else touches TensorFlow."""

    def __init__(self, here: Place, seconds: float) -> None:
        import tensorflow as tf

        self.here, self.strategy = here, None
        if here.workers > 1:
            if gpus := tf.config.list_physical_devices("GPU"):
                tf.config.set_visible_devices(gpus[here.rank % len(gpus)], "GPU")
            options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=seconds)
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
            self.sum = tf.function(self.sum, reduce_retracing=False)  # type: ignore[method-assign]

    def sum(self, tensors: Sequence[Any]) -> list[Any]:
        """Return each tensor's sum over the workers, in one exchange a dtype; call it alike on all of them."""
        import tensorflow as tf

        if self.strategy is None or not tensors:
            return list(tensors)

        def exchange(*parts: Any) -> Any:
            placed = [tf.identity(part) for part in parts]  # on this replica's device, where the sum looks for them
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, placed)

        dtypes = list(dict.fromkeys(tensor.dtype for tensor in tensors))
        groups = [[i for i, tensor in enumerate(tensors) if tensor.dtype == dtype] for dtype in dtypes]
        flat = [tf.concat([tf.reshape(tensors[i], [-1]) for i in group], 0) for group in groups]
        sums: dict[int, Any] = {}
        for group, total in zip(groups, self.strategy.run(exchange, args=tuple(flat)), strict=True):
            parts = tf.split(total, [tf.size(tensors[i]) for i in group])
            sums |= {i: tf.reshape(part, tf.shape(tensors[i])) for i, part in zip(group, parts, strict=True)}
        return [sums[i] for i in range(len(tensors))]

    def agree(self, variables: Sequence[Any]) -> None:
        """Return the chief's values to all workers (of variables with floating-point values)."""
        chosen = [v for v in variables if v.dtype.startswith(("float", "bfloat"))]
        parts = self.sum([v.value * (1.0 if self.here.chief else 0.0) for v in chosen])
        if self.strategy is not None:
            for variable, value in zip(chosen, parts, strict=True):
                variable.assign(value)

    def exchange_seconds(self, numbers: int) -> float:
        """Measure the sum of so many float32 numbers, alone; 0 where there is one worker."""
        import tensorflow as tf

        if self.strategy is None:
            return 0.0
        taken, values = [], tf.zeros([numbers])
        for _ in range(6):
            start = time.perf_counter()
            self.sum([values])[0][:1].numpy()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken[1:])  # the first builds the graph


class Steps:
    """The functions of a step for a model; each gives float32 [3]: loss, how many want to stop, how many to save."""

    def __init__(self, training: Training, workers: Workers, accumulate: int) -> None:
        import tensorflow as tf

        self.training, self.model, self.workers, self.parts = training, training.model, workers, accumulate
        function = self._own if training.train_step else self._train
        self.whole = tf.function(function, reduce_retracing=False)
        self.evaluate = tf.function(self._evaluate, reduce_retracing=False)
        self._add = tf.function(self._accumulate, reduce_retracing=False)
        self._end = tf.function(self._apply, reduce_retracing=False)
        self._sums: list[Any] = []
        self._used: list[bool] = []

    def train(self, inputs: Any, labels: Any, weights: Any, total: Any, wishes: Any) -> Any:
        """Train on this worker's part of a global batch of ``total`` rows, in as many parts as there shall be."""
        import tensorflow as tf

        if self.parts == 1:
            return self.whole(inputs, labels, weights, total, wishes)
        if not self._sums:
            self._sums = [tf.Variable(tf.zeros(v.shape, v.dtype)) for v in self.model.trainable_variables]
            self._sums.append(tf.Variable(0.0))
        size = len(labels) // self.parts
        for at in range(0, len(labels), size):
            part = tf.nest.map_structure(lambda tensor, at=at: tensor[at : at + size], (inputs, labels, weights))
            self._add(*part, total)
        return self._end(wishes)

    def _train(self, inputs: Any, labels: Any, weights: Any, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        gradients, loss = self._gradients(inputs, labels, weights, total)
        used = [(g, v) for g, v in zip(gradients, self.variables, strict=True) if g is not None]
        *sums, summed = self.workers.sum([*(g for g, _ in used), tf.concat([[loss], wishes], 0)])
        self.model.optimizer.apply(sums, [v for _, v in used])
        return summed

    def _own(self, inputs: Any, labels: Any, weights: Any, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        def count(predictions: Any) -> None:
            self._count(inputs, labels, predictions, weights)

        step = Step(self.model, inputs, labels, weights, total, self.workers.sum, count)
        loss = self.training.train_step(step)  # type: ignore[misc]  # it is there
        if loss is None:
            raise InputError("the entry's train_step gives nothing; let it return this worker's share of the loss")
        return self.workers.sum([tf.concat([[tf.cast(loss, tf.float32)], wishes], 0)])[0]

    def _accumulate(self, inputs: Any, labels: Any, weights: Any, total: Any) -> None:
        gradients, loss = self._gradients(inputs, labels, weights, total)
        self._used = [gradient is not None for gradient in gradients]
        for total_so_far, gradient in zip(self._sums, [*gradients, loss], strict=True):
            if gradient is not None:
                total_so_far.assign_add(gradient)

    def _apply(self, wishes: Any) -> Any:
        import tensorflow as tf

        *own, loss = self._sums
        used = [(g, v) for g, v, is_used in zip(own, self.variables, self._used, strict=True) if is_used]
        *sums, summed = self.workers.sum([*(g.value() for g, _ in used), tf.concat([[loss.value()], wishes], 0)])
        self.model.optimizer.apply(sums, [v for _, v in used])
        for total_so_far in self._sums:
            total_so_far.assign(tf.zeros_like(total_so_far))
        return summed

    def _evaluate(self, inputs: Any, labels: Any, weights: Any, total: Any, wishes: Any) -> Any:
        import tensorflow as tf

        predictions = self.model(inputs, training=False)
        loss = self._loss((inputs, labels, weights), predictions, total, training=False)
        self._count(inputs, labels, predictions, weights)
        return self.workers.sum([tf.concat([[loss], wishes], 0)])[0]

    @property
    def variables(self) -> list[Any]:
        """The variables that are trained."""
        return list(self.model.trainable_variables)

    def _gradients(self, inputs: Any, labels: Any, weights: Any, total: Any) -> tuple[list[Any], Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            predictions = self.model(inputs, training=True)
            loss = self._loss((inputs, labels, weights), predictions, total, training=True)
            scaled = self.model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in self.variables])
        self._count(inputs, labels, predictions, weights)
        return [g if g is None else tf.convert_to_tensor(g) for g in gradients], loss

    def _loss(self, part: Any, predictions: Any, total: Any, *, training: bool) -> Any:
        """Return this part's share of the loss: over all workers the shares sum to the loss of the global batch."""
        import tensorflow as tf

        inputs, labels, weights = part
        parts = self.workers.here.workers * (self.parts if training else 1)
        if getattr(self.model.loss, "reduction", "mean") != "sum":  # the mean is over this part's rows, so weigh it
            weights = weights * (tf.cast(tf.shape(weights)[0], tf.float32) / total)
        loss = self.model.compute_loss(inputs, labels, predictions, weights, training=training)
        if parts > 1 and self.model.losses:  # penalties count once
            loss -= tf.add_n(self.model.losses) * (1.0 - 1.0 / parts)
        return tf.cast(loss, tf.float32)

    def _count(self, inputs: Any, labels: Any, predictions: Any, weights: Any) -> None:
        """Update the metrics with the data's rows alone: padding is at the end."""
        import tensorflow as tf

        rows = tf.cast(tf.reduce_sum(weights), tf.int32)
        part = tf.nest.map_structure(lambda tensor: tensor[:rows], (inputs, labels, predictions, weights))
        self.model.compute_metrics(*part)


def check_loss(model: Any) -> None:
    """Refuse losses whose parts over several workers do not sum to the whole.

    Raises:
        InputError: the model has several losses, or one with another reduction.
    """
    if isinstance(model.loss, dict | list | tuple):
        raise InputError("the model is compiled with several losses; give it one, for the one label")
    if (reduction := getattr(model.loss, "reduction", "mean")) not in REDUCTIONS:
        raise InputError(
            f"the model's loss has the reduction {reduction!r}; compile it with sum_over_batch_size (or sum)"
        )


def first_step(training: Training, features: dict[str, Any], labels: Any, classes: int) -> None:
    """Let the model see some rows, so that all variables are there.

    Raises:
        InputError: it gives no probability a class for them.
        ValueError, TypeError, AttributeError, tf.errors.InvalidArgumentError: it does not take them.
    """
    import tensorflow as tf

    model, inputs = training.model, as_inputs({name: tf.constant(values) for name, values in features.items()})
    predictions = model(inputs, training=False)
    if tuple(predictions.shape) != (len(labels), classes):
        raise InputError(
            f"the model gives {list(predictions.shape)} for {len(labels)} rows instead of [{len(labels)}, {classes}]; "
            "let its last layer give one probability a class"
        )
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(inputs, labels, predictions, tf.ones([len(labels)]))


def reason(error: Exception) -> str:
    """Return the line of TensorFlow's message that says what is wrong: most of it is a traceback, as text."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("in user code"):
        return lines[-1].strip()[:256]
    noise = ("Graph execution error", "Detected at", "Additional GRPC", " ", "\t", ":", "<")
    return " ".join(next((line for line in lines if not line.startswith(noise)), lines[0]).split())[:256]
