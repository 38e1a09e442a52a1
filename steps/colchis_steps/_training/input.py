"""The input of a training: a worker's part of each global batch, made ready by a thread while the step before runs."""

import functools
import logging
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from colchis_steps._data.arrays import MASK
from colchis_steps._data.dataset import Batch, DataSet
from colchis_steps._formats.data import Column
from colchis_steps._formats.hyperparameters import Settings
from colchis_steps._savedmodel.export import as_inputs
from colchis_steps._step.errors import InputError
from colchis_steps._training import rows
from colchis_steps._training.entry import asked, asked_each
from colchis_steps._training.given import Given
from colchis_steps._training.rendezvous import Place
from colchis_steps.context import Context, Training

log = logging.getLogger("colchis")
T = TypeVar("T")
AHEAD = 2  # batches that wait for their step


class Rows(NamedTuple):
    """Rows as tensors, padding at the end: ``count`` (int32 scalar) are of the data, ``weights`` are the user's."""

    inputs: Any
    labels: Any
    weights: Any  # float32 [rows], or None
    count: Any

    def cut(self, count: Any) -> "Rows":
        """Return the first ``count`` rows."""
        import tensorflow as tf

        inputs = tf.nest.map_structure(lambda part: part[:count], self.inputs)
        return Rows(inputs, self.labels[:count], None if self.weights is None else self.weights[:count], count)

    @property
    def data(self) -> tuple[Any, ...]:
        """What Keras gives a ``train_step``: inputs and labels, and the weights where there are some."""
        return (self.inputs, self.labels) if self.weights is None else (self.inputs, self.labels, self.weights)

    def part(self, at: int, size: int) -> "Rows":
        """Return ``size`` rows from row ``at`` on, some of which may be padding."""
        import tensorflow as tf

        inputs = tf.nest.map_structure(lambda part: part[at : at + size], self.inputs)
        weights = None if self.weights is None else self.weights[at : at + size]
        return Rows(inputs, self.labels[at : at + size], weights, tf.clip_by_value(self.count - at, 0, size))


@dataclass(frozen=True)
class Ready:
    """This worker's part of a global batch, and how many rows that has over all workers."""

    mine: Rows
    total: Any  # float32 scalar: the same as ``rows``
    rows: int


@dataclass(frozen=True)
class Source:
    """Where batches come from: the stored rows, or what the user's functions make of them."""

    data: DataSet
    settings: Settings
    here: Place
    context: Context
    training: Training
    columns: Mapping[str, Column]  # that the model takes

    def warn_of_unread(self) -> None:
        """Warn of hyper-parameters that nobody has read so far: a name may be misspelt."""
        if isinstance(given := self.context.hyperparameters, Given) and self.here.chief:
            for name, meant in given.unread().items():
                hint = f" (did you mean {meant!r}?)" if meant else ""
                log.warning("nobody has read the hyper-parameter %r%s", name, hint)

    def batches(self, split: str, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Return this worker's parts of the global batches of an epoch, without the first ``skip`` ones.

        Raises:
            InputError: the data is damaged; the entry's functions raise or give other columns than the data has.
        """
        here, chosen = self.here, self.settings
        blocks = None
        if function := self.training.dataset:
            items = asked_each("dataset", rows.itemised(function, self.data.manifest.label), self.context, split, epoch)
            blocks = rows.blocks_of(items, self.data.columns, self.data.task, split, self.weight)
        found = self.data.batches(
            split,
            chosen.global_batch,
            seed=chosen.seed if split == "train" else None,
            epoch=epoch,
            rank=here.rank,
            workers=here.workers,
            skip=skip,
            parts=chosen.accumulate,
            blocks=blocks,
        )
        if split != "train" or not self.training.transform:
            return found
        return (self._transformed(batch, epoch, number) for number, batch in enumerate(found, skip))

    def ready(self, split: str, epoch: int, skip: int = 0) -> Iterator[Ready]:
        """Return the same as tensors; a thread makes them while the step before runs, the copy to the device too."""
        return ahead(self._ready(split, batch) for batch in self.batches(split, epoch, skip))

    def rows(self, split: str, count: int) -> Rows | None:
        """Return the first ``count`` rows of the first epoch, the same on every worker; None where there is none."""
        found = next(replace(self, here=Place()).batches(split, 1), None)
        if found is None:
            return None
        count = min(count, found.total)
        first = Batch(
            {name: values[:count] for name, values in found.features.items()},
            found.labels[:count],
            found.weights[:count],
            count,
            {name: values[:count] for name, values in found.others.items()},
        )
        return self._rows(split, first, count)

    @property
    def weight(self) -> str:
        """The column of the rows' weights: the one that the entry names, else the data's; empty where there is none."""
        return self.training.weights or self.data.weight

    @functools.cached_property
    def _is_stepwise(self) -> bool:
        """Whether the model answers each place of a sequence: then what is padded has no weight."""
        shape = getattr(self.training.model, "output_shape", None)
        longest = self.data.columns[self.data.manifest.label].shape[:1]
        return isinstance(shape, tuple) and self.data.task.kind == "sequence" and shape[1:2] == longest

    @functools.cached_property
    def class_weights(self) -> Any:
        """The weight of each class, float32 [classes], or None where all weigh alike.

        Balanced ones are n / (k * count) of the train split, where k classes of n rows occur (King and Zeng, Logistic
        Regression in Rare Events Data, 2001, as scikit-learn has it). Of the entry's, those not given are 1, as in
        Keras.
        """
        import numpy as np

        classes = self.context.classes
        if self.settings.class_weight == "balanced":
            label, counts = self.data.manifest.label, np.zeros(len(classes), np.int64)
            for block in self.data.blocks("train"):
                counts += np.bincount(block[label], minlength=len(classes))
            there = counts > 0
            return np.where(there, counts.sum() / (there.sum() * np.maximum(counts, 1)), 1.0).astype(np.float32)
        if not self.training.class_weight:
            return None
        found = np.ones(len(classes), np.float32)
        for key, weight in self.training.class_weight.items():
            found[classes.index(key) if isinstance(key, str) else key] = weight
        return found

    def _ready(self, split: str, batch: Batch) -> Ready:
        import tensorflow as tf

        mine = self._rows(split, batch, int(batch.weights.sum()))
        return Ready(mine, tf.constant(float(batch.total)), batch.total)

    def _rows(self, split: str, batch: Batch, count: int) -> Rows:
        import tensorflow as tf

        weights = None
        if name := self.weight:
            weights = (batch.others if name in batch.others else batch.features)[name].astype("float32")
        if split == "train" and self.class_weights is not None:
            balance = self.class_weights[batch.labels]
            weights = balance if weights is None else weights * balance
        if (mask := batch.others.get(self.data.manifest.label + MASK)) is not None and self._is_stepwise:
            weights = mask.astype("float32") if weights is None else weights[:, None] * mask.astype("float32")
        inputs = as_inputs({name: tf.constant(batch.features[name]) for name in self.columns})
        return Rows(
            inputs, tf.constant(batch.labels), None if weights is None else tf.constant(weights), tf.constant(count)
        )

    def _transformed(self, batch: Batch, epoch: int, number: int) -> Batch:
        import numpy as np

        label = self.context.label
        random = np.random.default_rng([self.settings.seed, epoch, number, self.here.rank])
        given = {**batch.features, label: batch.labels} if label else dict(batch.features)
        kinds = {name: _kind(values) for name, values in given.items()}
        found = dict(asked("transform", self.training.transform, given, random))
        for name, kind in kinds.items():
            if (actual := _kind(found[name]) if name in found else None) != kind:
                raise InputError(f"the entry's transform gives {name!r} as {actual} instead of {kind}; correct it")
        labels = found[label] if label else batch.labels
        return replace(batch, features={name: found[name] for name in batch.features}, labels=labels)


def _kind(values: Any) -> tuple[str, tuple[int, ...]]:
    """Return dtype and shape; text of any length is of one dtype."""
    return "text" if values.dtype.kind in "UO" else str(values.dtype), values.shape


def inputs_of(training: Training, columns: Mapping[str, Column]) -> dict[str, Column]:
    """Return the columns that the model takes: those that its inputs name, else all but the weights."""
    names = [str(tensor.name) for tensor in getattr(training.model, "inputs", None) or ()]
    known = {name: column for name, column in columns.items() if name in names}
    return known if known and len(known) == len(names) else {n: c for n, c in columns.items() if n != training.weights}


def blocks_of(data: DataSet, seed: int) -> Any:
    """Return the function that a context offers as ``blocks``."""
    return lambda split, epoch: data.blocks(split, seed=seed if split == "train" else None, epoch=epoch)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items; a thread makes up to AHEAD of them before they are asked for."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
    over = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not over.is_set():
            try:
                ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(item, None)
                if over.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that asks
            put(None, error)

    threading.Thread(target=work, name="input", daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error:
                raise error
            yield item  # type: ignore[misc]  # without an error there is one
    finally:
        over.set()
