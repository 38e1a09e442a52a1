"""The input of a training: a worker's part of each global batch, made ready by a thread while the step before runs."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from colchis_steps._data.dataset import Batch, DataSet
from colchis_steps._formats.hyperparameters import Settings
from colchis_steps._savedmodel.export import as_inputs
from colchis_steps._step.errors import InputError
from colchis_steps._training.entry import asked, asked_each
from colchis_steps._training.rendezvous import Place
from colchis_steps.context import Context, Training

T = TypeVar("T")
AHEAD = 2  # batches that wait for their step


@dataclass(frozen=True)
class Ready:
    """A worker's part of a global batch as tensors: what a step takes; ``rows`` counts those of the whole batch."""

    inputs: Any
    labels: Any
    weights: Any
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

    def batches(self, split: str, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Return this worker's parts of the global batches of an epoch, without the first ``skip`` ones.

        Raises:
            InputError: the data is damaged; the entry's functions raise or give other columns than the data has.
        """
        here, chosen = self.here, self.settings
        blocks = None
        if function := self.training.dataset:
            blocks = asked_each("dataset", function, self.context, split, epoch)
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
        return ahead(map(_ready, self.batches(split, epoch, skip)))

    def _transformed(self, batch: Batch, epoch: int, number: int) -> Batch:
        import numpy as np

        label = self.context.label
        random = np.random.default_rng([self.settings.seed, epoch, number, self.here.rank])
        rows = {**batch.features, label: batch.labels}
        kinds = {name: (str(values.dtype), values.shape) for name, values in rows.items()}
        found = dict(asked("transform", self.training.transform, rows, random))
        for name, kind in kinds.items():
            if (actual := (str(found[name].dtype), found[name].shape) if name in found else None) != kind:
                raise InputError(f"the entry's transform gives {name!r} as {actual} instead of {kind}; correct it")
        return replace(batch, features={name: found[name] for name in batch.features}, labels=found[label])


def _ready(batch: Batch) -> Ready:
    import tensorflow as tf

    inputs = as_inputs({name: tf.constant(values) for name, values in batch.features.items()})
    total = tf.constant(float(batch.total))
    return Ready(inputs, tf.constant(batch.labels), tf.constant(batch.weights), total, batch.total)


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
