"""The training loop: synchronous steps over all workers that give the same result whatever their number is.

It does what Keras's ``fit`` does, in the same order. All workers take each decision alike: what one of them alone knows
(it was asked to stop, it is time for a checkpoint) travels in the sum of the step, so that all see it after that step.
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
from colchis_steps._savedmodel.outputs import slack
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._training.failures import PeerError
from colchis_steps._training.first import is_judged, see
from colchis_steps._training.hooks import Hooks, Mode
from colchis_steps._training.input import Ready, Source
from colchis_steps._training.measures import Clock, logs_of, rate
from colchis_steps._training.methods import own_methods
from colchis_steps._training.metrics import Metrics
from colchis_steps._training.normalization import Normalization, part_of
from colchis_steps._training.signals import Stop
from colchis_steps._training.splits import ROWS, Splits, add_up, agreed, attempts, find_splits, foreign_metric, halved
from colchis_steps._training.state import State
from colchis_steps._training.steps import Steps, loss_of
from colchis_steps._training.workers import Workers, with_reason

log = logging.getLogger("colchis")


Save = Callable[[Checkpoint, dict[str, Any]], None]


class Loop:
    """A compiled model, its data, and the workers that train it together."""

    def __init__(self, source: Source, workers: Workers, stop: Stop, fingerprint: str, save: Save | None) -> None:
        """Build model, optimizer, metrics and callbacks; ``save`` is the chief's.

        Raises:
            InputError: the model does not take the data, or gives something else than probabilities.
        """
        import tensorflow as tf

        self.source, self.workers, self.stop, self.save = source, workers, stop, save
        self.training, self.model, self.settings = source.training, source.training.model, source.settings
        rows = source.rows("train", ROWS)
        if rows is None:
            raise InputError("there are no rows to train on; let the entry's dataset function give some")
        self.rows, accumulate = rows, self.settings.accumulate
        self.methods = own_methods(self.model, workers)
        self.output = see(self.model, rows, source.columns, source.data.task, self.methods)
        self.state = State(self.training, workers)
        normalization = Normalization(self.model, workers, everywhere=self.settings.sync_batch_norm)
        self.steps = Steps(self.training, workers, accumulate, self._splits(), normalization)
        self.metrics = Metrics(self.model, workers, whole=self.steps.splits.whole)
        if workers.here.chief and not self.steps.alone:
            normalization.warn(part_of(self.settings.global_batch, workers.here.workers, accumulate))
        count = None if self.training.dataset else -(-source.data.rows("train") // self.settings.global_batch)
        self.hooks = Hooks(self.training.callbacks, self.model, self.settings.epochs, count, workers)
        self.clock = Clock()
        self.at = Checkpoint(step=0, batches=0, rows=0, loss=0.0, fingerprint=fingerprint, history=())
        self._due = time.monotonic() + self.settings.checkpoint_seconds
        self._no_wishes = tf.constant([0.0, 0.0])
        self._logs: dict[str, float] = {}  # that a method of the model's own returned for the last batch
        self.model.stop_training = False

    def _splits(self) -> Splits:
        """Find out how loss and metrics of a batch are made of its parts', where it has some."""
        here, accumulate = self.workers.here, self.settings.accumulate
        if here.workers == accumulate == 1:
            return Splits()
        own, count = self.training.train_step or self.methods, self.rows.labels.shape[0]
        if own and accumulate > 1:
            raise InputError(f"accumulate is {accumulate}, and the step is the entry's own; leave accumulate out")
        attempt = attempts(self.model, None if own else loss_of(self.model), self.rows[:3])
        if own:
            name = foreign_metric(self.model)
            if name and count > 1 and not add_up(attempt(slice(count)), halved(attempt, count), slack(self.model)):
                raise InputError(
                    f"the metric {name} is no sum over rows, and the step is the entry's own, so {here.workers} "
                    "workers cannot merge it; leave it out, or train with one worker"
                )
            return Splits()
        found = agreed(find_splits(self.model, attempt, count, slack(self.model)), self.workers)
        if found.whole and accumulate > 1:
            raise InputError(f"accumulate is {accumulate}, and {found.why} needs the whole batch; leave accumulate out")
        if found.whole and here.chief:
            log.info("%s needs the whole batch, so workers exchange their predictions in each step", found.why)
        return found

    def restore(self, at: Checkpoint, arrays: Mapping[str, Any]) -> None:
        """Go on from a checkpoint: the callbacks see its history again, then variables become what they were.

        Raises:
            InputError: they are those of another model.
        """
        self.at = at
        self.hooks.call("on_train_begin")
        for epoch in at.history:
            self.hooks.call("on_epoch_begin", epoch.epoch - 1)
            self.hooks.call("on_epoch_end", epoch.epoch - 1, logs_of(epoch))
        if at.batches:
            self.hooks.call("on_epoch_begin", len(at.history))
        self.metrics.kept = self.state.restore(arrays)
        self.model.stop_training |= at.stopped  # a callback that sees batches has seen none of them again

    def epochs(self) -> Iterator[Epoch]:
        """Train one epoch after the other, beginning where the checkpoint was; return each when it ends.

        Raises:
            InputError: the loss is not finite; the sentence names the step.
            PeerError: a peer is lost, or was asked to stop; all is saved in the latter case.
            TransientError: this worker was asked to stop; all is saved.
        """
        if not self.at.step:
            self.hooks.call("on_train_begin")
        self.state.draw_apart()
        for epoch in range(len(self.at.history) + 1, self.settings.epochs + 1):
            if self.model.stop_training:
                break
            start, rows, spent = time.monotonic(), self.clock.rows, self.clock.waited + self.clock.worked
            if not self.at.batches:
                self.model.reset_metrics()
                self.hooks.call("on_epoch_begin", epoch - 1)
            learning_rate = self._learning_rate()
            train = self._train(epoch)
            found = Epoch(
                epoch=epoch,
                train=train,
                eval=self._evaluate(epoch) if self._is_due(epoch) else {},
                seconds=round(time.monotonic() - start, 3),
                learning_rate=learning_rate,
                examples_per_second=rate(self.clock.rows - rows, self.clock.waited + self.clock.worked - spent),
            )
            self.hooks.call("on_epoch_end", epoch - 1, logs_of(found))
            self.metrics.kept, stopped = [], self._is_stopped()
            self.at = replace(self.at, batches=0, rows=0, loss=0.0, history=(*self.at.history, found), stopped=stopped)
            self._checkpoint()
            yield found
        if self.model.optimizer is not None:
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        self.hooks.call("on_train_end", logs_of(self.at.history[-1]))

    def finish(self) -> None:
        """Wait until the chief has written; whoever is through first leaves, and that harms nobody any more."""
        with contextlib.suppress(TransientError):
            self._met(lambda: self.workers.any(here=True))

    def _train(self, epoch: int) -> dict[str, float]:
        self.metrics.begin(self.at.batches)
        with contextlib.closing(self.source.ready("train", epoch, self.at.batches)) as batches:  # type: ignore[type-var]
            asked_at = time.perf_counter()
            for number, batch in enumerate(batches):
                at = self.at
                self.hooks.begins("train", at.batches)
                begun = time.perf_counter()
                loss, wishes = self._step(self.methods.get("train_step", self.steps.train), batch)
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
                through = self.hooks.ends("train", at.batches, self._train_results)
                self._heed(wishes, self.metrics.values)
                if through and self.hooks.wants("train") and self._is_stopped():
                    break
                asked_at = time.perf_counter()
        self.hooks.ends("train", self.at.batches - 1, self._train_results, last=True)
        if self.clock.exchange is None:  # after the first epoch of this process
            self.source.warn_of_unread()
            numbers = sum(math.prod(v.shape) for v in self.model.trainable_variables)
            self.clock.exchange = float(self._met(lambda: self.workers.exchange_seconds(numbers)))
        self._met(self.state.average)
        results = self._train_results()
        self.metrics.kept = self._met(self.metrics.values)
        return results

    def _train_results(self) -> dict[str, float]:
        return self._results("train", self.at.loss / self.at.rows)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        self.model.reset_metrics()
        self.model.stop_evaluating = False
        kept, seen, total = self.metrics.kept, 0, 0.0

        def results() -> dict[str, float]:
            return self._results("test", total / seen)

        self.hooks.call("on_test_begin")
        with contextlib.closing(self.source.ready("eval", epoch)) as batches:  # type: ignore[type-var]
            for number, batch in enumerate(batches):
                self.hooks.begins("test", number)
                loss, (stop, _) = self._step(self.methods.get("test_step", self.steps.evaluate), batch)
                seen, total = seen + batch.rows, total + loss * batch.rows
                self.hooks.ends("test", number, results)
                if stop:
                    self.hooks.call("on_test_end")  # which gives back what a callback took in on_test_begin
                self._heed((stop, False), lambda: kept)
                if self.model.stop_evaluating:
                    break
        if not seen:
            raise InputError("there are no rows to evaluate on; let the entry's dataset function give some")
        self.hooks.ends("test", number, results, last=True)
        found = results()
        self.hooks.call("on_test_end", found)
        return found

    def _is_due(self, epoch: int) -> bool:
        """Return whether the model is evaluated after this epoch."""
        frequency = self.training.validation_freq
        wanted = epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency
        return wanted and ("test_step" in self.methods or is_judged(self.model))

    def _results(self, mode: Mode, loss: float) -> dict[str, float]:
        """Return loss and metrics of the batches since metrics were reset, of all workers together."""
        name = "train_step" if mode == "train" else "test_step"
        found = self._met(self.metrics.results)
        if name in self.methods:
            return {key: found.get(key, value) for key, value in self._logs.items()}
        return {"loss": self.metrics.own_loss(found, loss), **{k: v for k, v in found.items() if k != "loss"}}

    def _step(self, function: Callable[..., Any], batch: Ready) -> tuple[float, tuple[bool, bool]]:
        """Return the loss of the global batch, and whether to stop, and whether to save."""
        import tensorflow as tf

        wishes = self._no_wishes
        if self.stop.asked or (self.save is not None and time.monotonic() > self._due):
            wishes = tf.constant([float(self.stop.asked), float(self.save is not None)])
        loss, stop, save, *logs = self._met(lambda: function(batch, wishes).numpy().tolist())
        if logs:
            self._logs = function.logs(logs)  # type: ignore[attr-defined]  # it is a method's
        return loss, (stop > 0, save > 0)

    def _is_stopped(self) -> bool:
        """Return whether a callback of any worker wants no more batches, and let that hold for all."""
        if self.hooks.are_any:
            self.model.stop_training = self._met(lambda: self.workers.any(here=bool(self.model.stop_training)))
        return bool(self.model.stop_training)

    def _heed(self, wishes: tuple[bool, bool], metrics: Callable[[], Sequence[Any]]) -> None:
        stop, save = wishes
        if stop or save:
            self._checkpoint(self._met(metrics))
        if stop:
            here = self.workers.here
            saved = f"was asked to stop (SIGTERM); all is saved after step {self.at.step}: run it again and it goes on"
            if self.stop.asked:
                raise TransientError(f"the step {saved}")
            raise PeerError(f"a peer of worker {here.rank} of {here.workers} {saved}")

    def _checkpoint(self, metrics: Sequence[Any] = ()) -> None:
        """Hand the state to the chief's writer; all workers call it, as means over them belong to it."""
        arrays = self._met(lambda: self.state.arrays(metrics))
        if self.save:
            self.save(replace(self.at), arrays)
            self._due = time.monotonic() + self.settings.checkpoint_seconds

    def _learning_rate(self) -> float:
        import numpy as np

        optimizer = self.model.optimizer
        return float(np.asarray(optimizer.learning_rate)) if optimizer is not None else 0.0

    def _met(self, function: Callable[[], Any]) -> Any:
        """Call a function that meets the other workers; turn what TensorFlow raises into a sentence."""
        own = bool(self.training.train_step or self.methods)
        return with_reason(function, self.workers.here, own=own)
