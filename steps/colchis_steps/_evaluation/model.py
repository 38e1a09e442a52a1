"""An exported model, loaded to be evaluated, and the golden rows that it answers."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import Batch, DataSet
from colchis_steps._formats.models import Golden
from colchis_steps._savedmodel.checking import check_operations, read_graph
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._savedmodel.outputs import tensor_dtype
from colchis_steps._savedmodel.values import plain
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BATCH = 256


GOLDEN_ROWS, GOLDEN_VALUES = 32, 100_000  # at most, of the test split, and numbers in them


class Model:
    """A SavedModel in a directory."""

    def __init__(self, directory: Path, name: str, allowed: Collection[str] = ()) -> None:
        tf = load_tensorflow()
        check_operations(read_graph(directory, name), name, allowed)
        self.name = name
        try:
            self.loaded = tf.saved_model.load(str(directory))
            self.function = self.loaded.signatures["serving_default"]
            self.judged = dict(self.loaded.signatures).get("probability", self.function)  # if it serves classes alone
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise InputError(
                f"{name} is not a SavedModel with a signature serving_default ({str(error)[:128]}); train it again"
            ) from error

    @property
    def inputs(self) -> list[str]:
        """The columns that the model takes."""
        return sorted(self.function.structured_input_signature[1])

    def mismatch(self, data: DataSet) -> str:
        """Return why the model does not fit the data, if so."""
        inputs = {n: (s.dtype.name, s.shape.as_list()) for n, s in self.function.structured_input_signature[1].items()}
        wanted = {c.name: (tensor_dtype(c.dtype), [None, *c.shape]) for c in data.features.values()}
        if not inputs or not inputs.items() <= wanted.items():  # columns such as weights are no inputs
            return f"{self.name} takes {_kinds(inputs)}, and the data has {_kinds(wanted)}"
        output = self.judged.structured_outputs.get("probability")
        if output is None or output.shape.as_list() != [None, len(data.classes)]:
            found = f"{output.shape.as_list()}" if output is not None else "none"
            return f"{self.name} has the output probability {found}, and the data has {len(data.classes)} classes"
        return ""

    def probabilities(self, batch: Batch) -> "Array":
        """Return what the model gives each row of the data in the batch: float [rows, classes]."""
        import tensorflow as tf

        features = {name: tf.constant(batch.features[name][: batch.total]) for name in self.inputs}
        found: Array = self.judged(**features)["probability"].numpy()
        return found

    def golden(self, data: DataSet, run: str) -> Golden:
        """Return the first rows of the test split, with all that the model answers to them."""
        import tensorflow as tf

        batch = next(iter(data.batches("test", BATCH)))
        values = sum(math.prod(data.features[name].shape) for name in self.inputs)
        rows = max(1, min(GOLDEN_ROWS, batch.total, GOLDEN_VALUES // max(1, values)))
        features = {name: batch.features[name][:rows] for name in self.inputs}
        answer = self.function(**{name: tf.constant(found) for name, found in features.items()})
        inputs = {name: plain(found) for name, found in features.items()}
        return Golden(run, inputs, {name: plain(found.numpy()) for name, found in answer.items()})


def _kinds(tensors: Mapping[str, tuple[str, list[int | None]]]) -> str:
    return ", ".join(f"{name} {dtype}{shape[1:]}" for name, (dtype, shape) in sorted(tensors.items())) or "nothing"
