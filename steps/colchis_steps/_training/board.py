"""TensorBoard's view of a training: event files in the store, written without the tensorboard package.

Writes  runs/<run>/training/tensorboard/{train,eval}/events.out.tfevents.…, after each epoch; a thread does, while the
        next epoch runs
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from colchis_steps._formats.keys import training_key
from colchis_steps._formats.runs import Epoch
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import Objects

log = logging.getLogger("colchis")


class Board:
    """Two event files, of training and of the eval split; a store that is away costs the picture, not the training."""

    def __init__(self, store: Objects, run: str, directory: Path) -> None:
        self.store, self.run, self.directory = store, run, directory
        self._writers: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(1, "tensorboard")
        self._last: Future[None] | None = None
        self._newest = 0

    def write(self, epoch: Epoch) -> None:
        """Hand an epoch's numbers over."""
        self._newest = epoch.epoch
        self._last = self._thread.submit(self._write, epoch)

    def wait(self) -> None:
        """Wait until all is written."""
        if self._last:
            self._last.result()

    def _write(self, epoch: Epoch) -> None:
        import tensorflow as tf

        rates = {"learning_rate": epoch.learning_rate, "examples_per_second": epoch.examples_per_second}
        for name, values in {"train": epoch.train | rates, "eval": epoch.eval}.items():
            if name not in self._writers:
                self._writers[name] = tf.summary.create_file_writer(str(self.directory / name))
            with self._writers[name].as_default():
                for tag, value in values.items():
                    tf.summary.write(tag, tf.constant(value, tf.float32), step=epoch.epoch, metadata=_scalar())
            self._writers[name].flush()
        if epoch.epoch < self._newest:
            return  # the next one stores the files
        try:
            for path in sorted(self.directory.rglob("events.*")):
                name = path.relative_to(self.directory).as_posix()
                self.store.write(training_key(self.run, f"tensorboard/{name}"), path.read_bytes())
        except (StepError, OSError) as error:
            log.warning("the files for TensorBoard were not stored: %s", error)


def _scalar() -> Any:
    import tensorflow as tf

    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    return tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=1)  # 1: DATA_CLASS_SCALAR
