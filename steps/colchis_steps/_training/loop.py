"""The training loop: synchronous steps over all workers that give the same result whatever their number is.

All workers take each decision alike: what one of them alone knows (it was asked to stop, it is time for a checkpoint)
travels in the sum of the step, so that all see it after the same step.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import Checkpoint
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._training.entry import asked
from colchis_steps._training.failures import PeerError
from colchis_steps._training.input import Ready, Source
from colchis_steps._training.measures import Clock, logs_of, rate, scalars
from colchis_steps._training.signals import Stop
from colchis_steps._training.steps import Steps, Workers, check_loss, first_step, reason

log = logging.getLogger("colchis")


Save = Callable[[Checkpoint, dict[str, Any]], None]


class Loop:
    """A compiled model, its data, and the workers that train it together."""

    def __init__(self, source: Source, workers: Workers, stop: Stop, fingerprint: str, save: Save | None) -> None:
        """Build model, optimizer, metrics and callbacks; ``save`` is the chief's.

        Raises:
            InputError: the model does not take the data, or computes its loss in a way that cannot be shared out.
        """
        import keras
        import tensorflow as tf

        self.source, self.workers, self.stop, self.save = source, workers, stop, save
        self.training, self.model, self.settings = source.training, source.training.model, source.settings
        check_loss(self.model)
        first = next(source.batches("train", 1), None)
        if first is None:
            raise InputError("there are no rows to train on; let the entry's dataset function give some")
        try:
            first_step(self.training, first.features, first.labels, len(source.context.classes))
        except (ValueError, TypeError, AttributeError, tf.errors.InvalidArgumentError) as error:
            kinds = ", ".join(f"{c.name} {c.dtype}{list(c.shape)}" for c in source.data.features.values())
            raise InputError(
                f"the model does not take the data's features {kinds}: {reason(error)}; "
                "let its inputs be named, shaped and typed like them"
            ) from error
        self.optimizers = [self.model.optimizer, *self.training.optimizers]
        workers.agree([*self.model.variables, *(v for o in self.optimizers for v in o.variables)])
        self.steps = Steps(self.training, workers, self.settings.accumulate)
        self.callbacks = keras.callbacks.CallbackList(
            list(self.training.callbacks), model=self.model, epochs=self.settings.epochs, steps=None, verbose=0
        )
        self.clock = Clock()
        self.at = Checkpoint(step=0, batches=0, rows=0, loss=0.0, fingerprint=fingerprint, history=())
        self._metrics: list[Any] = []  # sums over the workers of those at the end of the epoch's training
        self._due = time.monotonic() + self.settings.checkpoint_seconds
        self._no_wishes = tf.constant([0.0, 0.0])

    def restore(self, at: Checkpoint, arrays: Mapping[str, Any]) -> None:
        """Go on from a checkpoint: the callbacks see its history again, then variables become what they were.

        Raises:
            InputError: they are those of another model.
        """
        self.at = at
        self._call("on_train_begin")
        for epoch in at.history:
            self._call("on_epoch_begin", epoch.epoch - 1)
            self._call("on_epoch_end", epoch.epoch - 1, logs_of(epoch))
        for i, callback in enumerate(self.training.callbacks):
            if found := [arrays[name] for name in sorted(arrays) if name.startswith(f"best/{i:04}/")]:
                callback.best_weights = found
        variables = self._named()
        kept = {name: array for name, array in arrays.items() if not name.startswith(("best/", "metrics/"))}
        wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
        if wanted != (actual := {name: tuple(array.shape) for name, array in kept.items()}):
            name = next(name for name in [*wanted, *actual] if wanted.get(name) != actual.get(name))
            raise InputError(
                f"the checkpoint is of another model ({name} is {actual.get(name)} instead of {wanted.get(name)}); "
                "give another --run"
            )
        for name, variable in variables.items():
            variable.assign(kept[name])
        self._metrics = [arrays[name] for name in sorted(arrays) if name.startswith("metrics/")]

    def epochs(self) -> Iterator[Epoch]:
        """Train one epoch after the other, beginning where the checkpoint was; return each when it ends.

        Raises:
            InputError: the loss is not finite; the sentence names the step.
            PeerError: a peer is lost, or was asked to stop; all is saved in the latter case.
            TransientError: this worker was asked to stop; all is saved.
        """
        import tensorflow as tf

        if not self.at.step:
            self._call("on_train_begin")
        for variable in self.model.non_trainable_variables:
            if variable.dtype == "uint32":  # a seed generator's [seed, counter]: equal ones draw the same masks
                variable.assign(variable.value + tf.constant([self.workers.here.rank, 0], tf.uint32))
        for epoch in range(len(self.at.history) + 1, self.settings.epochs + 1):
            if self.model.stop_training:
                break
            start, rows, spent = time.monotonic(), self.clock.rows, self.clock.waited + self.clock.worked
            if not self.at.batches:
                self._call("on_epoch_begin", epoch - 1)
            learning_rate = self._learning_rate()
            train = self._train(epoch)
            found = Epoch(
                epoch=epoch,
                train=train,
                eval=self._evaluate(epoch),
                seconds=round(time.monotonic() - start, 3),
                learning_rate=learning_rate,
                examples_per_second=rate(self.clock.rows - rows, self.clock.waited + self.clock.worked - spent),
            )
            self.at = replace(self.at, batches=0, rows=0, loss=0.0, history=(*self.at.history, found))
            self._metrics = []
            self._call("on_epoch_end", epoch - 1, logs_of(found))
            self._checkpoint()
            yield found
        self._call("on_train_end")

    def finish(self) -> None:
        """Wait until the chief has written; whoever is through first leaves, and that harms nobody any more."""
        import tensorflow as tf

        with contextlib.suppress(TransientError):
            self._sum([tf.constant(1.0)])

    def _train(self, epoch: int) -> dict[str, float]:
        import tensorflow as tf

        self._begin_metrics()
        batches = self.source.ready("train", epoch, self.at.batches)
        with contextlib.closing(batches):  # type: ignore[type-var]  # it is a generator
            asked_at = time.perf_counter()
            for number, batch in enumerate(batches):
                begun = time.perf_counter()
                loss, stop = self._step(self.steps.train, batch)
                at = self.at
                if not math.isfinite(loss):
                    raise InputError(
                        f"loss is {loss} at step {at.step + 1} (epoch {epoch}); "
                        "lower the learning rate, or look for such values in the data"
                    )
                rows, total = at.rows + batch.rows, at.loss + loss * batch.rows
                self.at = replace(at, step=at.step + 1, batches=at.batches + 1, rows=rows, loss=total)
                ended = time.perf_counter()
                if number:
                    self.clock.steps, self.clock.rows = self.clock.steps + 1, self.clock.rows + batch.rows
                    self.clock.waited += begun - asked_at
                    self.clock.worked += ended - begun
                if self.training.callbacks:
                    self._call("on_train_batch_end", at.batches, {"loss": loss})
                self._heed(stop)
                asked_at = time.perf_counter()
        if self.clock.exchange is None:
            numbers = sum(math.prod(v.shape) for v in self.model.trainable_variables)
            self.clock.exchange = float(self._with_reason(self.workers.exchange_seconds, numbers))
        for variable, mean in zip(*self._moving(), strict=True):
            variable.assign(tf.cast(mean, variable.dtype))
        self._metrics = self._sum([v.value for v in self.model.metrics_variables])
        return {"loss": self.at.loss / self.at.rows} | self._results(self._metrics)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        self.model.reset_metrics()
        rows, total = 0, 0.0
        with contextlib.closing(self.source.ready("eval", epoch)) as batches:  # type: ignore[type-var]
            for batch in batches:
                loss, stop = self._step(self.steps.evaluate, batch)
                rows, total = rows + batch.rows, total + loss * batch.rows
                self._heed(stop, metrics=self._metrics)
        if not rows:
            raise InputError("there are no rows to evaluate on; let the entry's dataset function give some")
        return {"loss": total / rows} | self._results(self._sum([v.value for v in self.model.metrics_variables]))

    def _step(self, function: Callable[..., Any], batch: Ready) -> tuple[float, tuple[bool, bool]]:
        """Return the loss of the global batch, and whether to stop, and whether to save."""
        import tensorflow as tf

        wishes = self._no_wishes
        if self.stop.asked or (self.save is not None and time.monotonic() > self._due):
            wishes = tf.constant([float(self.stop.asked), float(self.save is not None)])
        summed = self._with_reason(function, batch.inputs, batch.labels, batch.weights, batch.total, wishes)
        loss, stop, save = summed.numpy().tolist()
        return loss, (stop > 0, save > 0)

    def _heed(self, wishes: tuple[bool, bool], metrics: Sequence[Any] | None = None) -> None:
        stop, save = wishes
        if stop or save:
            self._checkpoint(self._sum([v.value for v in self.model.metrics_variables]) if metrics is None else metrics)
        if stop:
            here = self.workers.here
            saved = f"was asked to stop (SIGTERM); all is saved after step {self.at.step}: run it again and it goes on"
            if self.stop.asked:
                raise TransientError(f"the step {saved}")
            raise PeerError(f"a peer of worker {here.rank} of {here.workers} {saved}")

    def _checkpoint(self, metrics: Sequence[Any] = ()) -> None:
        """Hand the state to the chief's writer; all workers call it, as means over them belong to it."""
        import numpy as np

        moving, means = self._moving()
        if self.save:
            named = self._named()
            # numpy() copies once; np.array would copy its copy, in which training waits for fresh memory
            state = {name: variable.value.numpy() for name, variable in named.items()}
            names = {id(variable): name for name, variable in named.items()}
            state |= {names[id(v)]: mean.numpy() for v, mean in zip(moving, means, strict=True)}
            state |= {f"metrics/{i:04}": np.array(value) for i, value in enumerate(metrics)}
            for i, callback in enumerate(self.training.callbacks):
                best = getattr(callback, "best_weights", None) or ()
                state |= {f"best/{i:04}/{j:04}": np.array(value) for j, value in enumerate(best)}
            self.save(replace(self.at), state)
            self._due = time.monotonic() + self.settings.checkpoint_seconds

    def _moving(self) -> tuple[list[Any], list[Any]]:
        """Return batch statistics and their means: each worker has seen its part, and they are linear in it."""
        moving = [v for v in self.model.non_trainable_variables if v.dtype.startswith("float")]
        return moving, [total / self.workers.here.workers for total in self._sum([v.value for v in moving])]

    def _begin_metrics(self) -> None:
        self.model.reset_metrics()
        if self.at.batches and self.workers.here.chief:  # the others begin at zero, as sums are taken
            for variable, value in zip(self.model.metrics_variables, self._metrics, strict=True):
                variable.assign(value)

    def _results(self, sums: Sequence[Any]) -> dict[str, float]:
        for variable, value in zip(self.model.metrics_variables, sums, strict=True):
            variable.assign(value)
        return scalars(self.model.get_metrics_result())

    def _named(self) -> dict[str, Any]:
        parts = [("model", self.model.variables)]
        parts += [(f"optimizer/{i}" if i else "optimizer", o.variables) for i, o in enumerate(self.optimizers)]
        return {f"{part}/{i:04}": variable for part, variables in parts for i, variable in enumerate(variables)}

    def _learning_rate(self) -> float:
        import numpy as np

        return float(np.asarray(self.model.optimizer.learning_rate))

    def _call(self, hook: str, *arguments: Any) -> None:
        if self.training.callbacks:
            asked(f"callbacks' {hook}", getattr(self.callbacks, hook), *arguments)

    def _sum(self, tensors: Sequence[Any]) -> list[Any]:
        return list(self._with_reason(self.workers.sum, list(tensors)))

    def _with_reason(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that meets the other workers; turn what TensorFlow raises into a sentence."""
        import tensorflow as tf

        here = self.workers.here
        try:
            return function(*arguments)
        except InputError as error:  # AutoGraph adds where it was raised
            raise InputError(reason(error).removeprefix("InputError: ")) from error
        except (tf.errors.InvalidArgumentError, ValueError, TypeError, AttributeError, LookupError, NameError) as error:
            what = "the entry's train_step raised" if self.training.train_step else "the model fails on the data:"
            raise InputError(f"{what} {reason(error)}; correct the entry") from error
        except tf.errors.ResourceExhaustedError as error:
            raise InputError("a training step needs more memory than there is; raise accumulate") from error
        except tf.errors.OpError as error:
            if here.workers == 1:
                raise
            raise PeerError(
                f"worker {here.rank} of {here.workers} lost its peers ({reason(error)}); "
                "run it again, and it goes on from the last checkpoint"
            ) from error
