"""The training loop: synchronous steps over all workers that give the same result whatever their number is.

Keras 3's ``fit`` fails under MultiWorkerMirroredStrategy (keras#20585), and optimizers under it clip gradients before
they are summed. So the strategy is used for what it does well, sums over workers, and Keras sees a single process:
each worker computes the gradients of its part of the global batch, the sums are the same on all of them, and the
optimizer applies them to plain variables that therefore stay equal. A worker drives one device.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colchis_steps._data import Batch, DataSet
from colchis_steps._rendezvous import Place
from colchis_steps._reports import Epoch
from colchis_steps._step import InputError, TransientError
from colchis_steps._training_entry import Settings

REDUCTIONS = {"sum_over_batch_size", "mean", "sum"}
log = logging.getLogger("colchis")


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
        """Give each tensor's sum over the workers, in one exchange; call it alike on all of them."""
        import tensorflow as tf

        if self.strategy is None or not tensors:
            return list(tensors)

        def exchange(*parts: Any) -> Any:
            placed = [tf.identity(part) for part in parts]  # on this replica's device, where the sum looks for them
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, placed)

        return list(self.strategy.run(exchange, args=tuple(tensors)))

    def agree(self, variables: Sequence[Any]) -> None:
        """Give the chief's values to all workers (of variables with floating-point values)."""
        chosen = [v for v in variables if v.dtype.startswith(("float", "bfloat"))]
        parts = self.sum([v.value * (1.0 if self.here.chief else 0.0) for v in chosen])
        if self.strategy is not None:
            for variable, value in zip(chosen, parts, strict=True):
                variable.assign(value)


@dataclass
class Loop:
    """A compiled model, its data, and the workers that train it together."""

    model: Any
    data: DataSet
    settings: Settings
    workers: Workers

    def __post_init__(self) -> None:
        """Build model, optimizer and metrics, and make the step functions.

        Raises:
            InputError: the model does not take the data, or computes its loss in a way that cannot be shared out.
        """
        import tensorflow as tf

        check_loss(self.model)
        first = next(self._batches("train", None, 0))
        try:
            predictions = self.model(self._inputs(first), training=False)
            classes = len(self.data.classes)
            if tuple(predictions.shape) != (len(first.labels), classes):
                raise InputError(
                    f"the model gives {list(predictions.shape)} for {len(first.labels)} rows instead of "
                    f"[{len(first.labels)}, {classes}]; let its last layer give one probability a class"
                )
            self.model.optimizer.build(self.model.trainable_variables)
            self.model.compute_metrics(self._inputs(first), first.labels, predictions, tf.constant(first.weights))
        except (ValueError, TypeError, AttributeError, tf.errors.InvalidArgumentError) as error:
            raise InputError(
                f"the model does not take the data's features {self._kinds()}: {_reason(error)}; "
                "let its inputs be named, shaped and typed like them"
            ) from error
        self.workers.agree([*self.model.variables, *self.model.optimizer.variables])
        self._train_step = tf.function(self._train, reduce_retracing=False)
        self._eval_step = tf.function(self._evaluate, reduce_retracing=False)
        self.examples, self.seconds = 0, 0.0

    def epochs(self, done: Sequence[Epoch]) -> Iterator[Epoch]:
        """Train one epoch after the other, beginning after those that are done; give each when it ends.

        Raises:
            InputError: the loss is not finite; the sentence names the step.
            TransientError: a peer is lost.
        """
        import tensorflow as tf

        for variable in self.model.non_trainable_variables:
            if variable.dtype == "uint32":  # a seed generator's [seed, counter]: equal ones draw the same masks
                variable.assign(variable.value + tf.constant([self.workers.here.rank, 0], tf.uint32))
        for epoch in range(len(done) + 1, self.settings.epochs + 1):
            start = time.monotonic()
            train = self._pass("train", epoch, self._train_step)
            moving = [v for v in self.model.non_trainable_variables if v.dtype.startswith("float")]
            for variable, total in zip(moving, self._sum([v.value for v in moving]), strict=True):
                variable.assign(total / self.workers.here.workers)  # batch statistics: each worker has seen its part
            found = self._pass("eval", epoch, self._eval_step)
            yield Epoch(epoch=epoch, train=train, eval=found, seconds=round(time.monotonic() - start, 3))

    def state(self) -> dict[str, Any]:
        """Give copies of all variables by name."""
        import numpy as np

        return {name: np.array(variable.value) for name, variable in self._named().items()}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Set the variables to what they were.

        Raises:
            InputError: they are those of another model.
        """
        variables = self._named()
        wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
        if wanted != (found := {name: tuple(array.shape) for name, array in arrays.items()}):
            name = next(name for name in [*wanted, *found] if wanted.get(name) != found.get(name))
            raise InputError(
                f"the checkpoint is of another model ({name} is {found.get(name)} instead of {wanted.get(name)}); "
                "give another --run"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])

    def _named(self) -> dict[str, Any]:
        parts = (("model", self.model.variables), ("optimizer", self.model.optimizer.variables))
        return {f"{part}/{i:04}": variable for part, variables in parts for i, variable in enumerate(variables)}

    def finish(self) -> None:
        """Wait until the chief has written; whoever is through first leaves, and that harms nobody any more."""
        import tensorflow as tf

        with contextlib.suppress(TransientError):
            self._sum([tf.constant(1.0)])

    def _pass(self, split: str, epoch: int, function: Callable[..., Any]) -> dict[str, float]:
        """Run the function over the split once; give its mean loss and the compiled metrics."""
        self.model.reset_metrics()
        training = split == "train"
        rows, total = 0, 0.0
        before = (epoch - 1) * -(-self.data.rows(split) // self.settings.global_batch)
        start, first = time.monotonic(), 0
        for step, batch in enumerate(self._batches(split, self.settings.seed if training else None, epoch), 1):
            loss = float(self._told(function, self._inputs(batch), batch.labels, batch.weights, float(batch.total)))
            if training and not math.isfinite(loss):
                raise InputError(
                    f"loss is {loss} at step {before + step} (epoch {epoch}); "
                    "lower the learning rate, or look for such values in the data"
                )
            if step == 1:  # it also builds the graph, which is no measure of speed
                start, first = time.monotonic(), batch.total
            rows, total = rows + batch.total, total + loss * batch.total
        if training:
            self.examples, self.seconds = self.examples + rows - first, self.seconds + time.monotonic() - start
        variables = self.model.metrics_variables
        for variable, value in zip(variables, self._sum([v.value for v in variables]), strict=True):
            variable.assign(value)
        return {"loss": total / rows} | _scalars(self.model.get_metrics_result())

    def _train(self, inputs: Any, labels: Any, weights: Any, total: Any) -> Any:
        import tensorflow as tf

        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            predictions = self.model(inputs, training=True)
            loss = self._loss(inputs, labels, predictions, weights, total, training=True)
            scaled = self.model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        used = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        *sums, loss = self.workers.sum([*(tf.convert_to_tensor(g) for g, _ in used), loss])
        self.model.optimizer.apply(sums, [v for _, v in used])
        self._count(inputs, labels, predictions, weights)
        return loss

    def _evaluate(self, inputs: Any, labels: Any, weights: Any, total: Any) -> Any:
        predictions = self.model(inputs, training=False)
        loss = self._loss(inputs, labels, predictions, weights, total, training=False)
        self._count(inputs, labels, predictions, weights)
        return self.workers.sum([loss])[0]

    def _loss(self, inputs: Any, labels: Any, predictions: Any, weights: Any, total: Any, *, training: bool) -> Any:
        """Give this worker's share of the loss: over all workers the shares sum to the loss of the global batch."""
        import tensorflow as tf

        if getattr(self.model.loss, "reduction", "mean") != "sum":  # the mean is over this worker's rows, so weigh it
            weights = weights * (tf.cast(tf.shape(weights)[0], tf.float32) / total)
        loss = self.model.compute_loss(inputs, labels, predictions, weights, training=training)
        if self.workers.here.workers > 1 and self.model.losses:  # penalties count once, not once a worker
            loss -= tf.add_n(self.model.losses) * (1.0 - 1.0 / self.workers.here.workers)
        return loss

    def _count(self, inputs: Any, labels: Any, predictions: Any, weights: Any) -> None:
        """Update the metrics with the data's rows alone: padding is at the end."""
        import tensorflow as tf

        rows = tf.cast(tf.reduce_sum(weights), tf.int32)
        part = tf.nest.map_structure(lambda tensor: tensor[:rows], (inputs, labels, predictions, weights))
        self.model.compute_metrics(*part)

    def _sum(self, tensors: Sequence[Any]) -> list[Any]:
        return list(self._told(self.workers.sum, list(tensors)))

    def _told(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that meets the other workers; turn what TensorFlow raises into a sentence."""
        import tensorflow as tf

        here = self.workers.here
        try:
            return function(*arguments)
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            message = f"the model fails on the data: {_reason(error)}; correct the entry"
            raise InputError(message) from error
        except tf.errors.ResourceExhaustedError as error:
            raise InputError("a training step needs more memory than there is; lower global_batch") from error
        except tf.errors.OpError as error:
            if here.workers == 1:
                raise
            raise TransientError(
                f"worker {here.rank} of {here.workers} lost its peers ({_reason(error)}); "
                "run it again, and it goes on from the last checkpoint"
            ) from error

    def _batches(self, split: str, seed: int | None, epoch: int) -> Iterator[Batch]:
        here = self.workers.here
        size = self.settings.global_batch
        return self.data.batches(split, size, seed=seed, epoch=epoch, rank=here.rank, workers=here.workers)

    def _inputs(self, batch: Batch) -> Any:
        import tensorflow as tf

        tensors = {name: tf.constant(values) for name, values in batch.features.items()}
        return as_inputs(tensors)

    def _kinds(self) -> str:
        return ", ".join(f"{c.name} {c.dtype}{list(c.shape)}" for c in self.data.features.values())


def as_inputs(features: dict[str, Any]) -> Any:
    """Give a model its features: a lone one as it is, several by name."""
    return next(iter(features.values())) if len(features) == 1 else features


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


def _scalars(found: dict[str, Any]) -> dict[str, float]:
    """Give the metrics as numbers; one that is a vector becomes ``name[0]``, ``name[1]`` and so on."""
    import numpy as np

    flat: dict[str, float] = {}
    for name, value in found.items():
        values = np.asarray(value, dtype=np.float64).ravel()
        if name != "loss":
            flat |= {name if len(values) == 1 else f"{name}[{i}]": float(v) for i, v in enumerate(values)}
    return flat


def _reason(error: Exception) -> str:
    """Give the line of TensorFlow's message that says what is wrong: most of it is a traceback, told as text."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("in user code"):
        return lines[-1].strip()[:256]
    noise = ("Graph execution error", "Detected at", "Additional GRPC", " ", "\t", ":", "<")
    return " ".join(next((line for line in lines if not line.startswith(noise)), lines[0]).split())[:256]
