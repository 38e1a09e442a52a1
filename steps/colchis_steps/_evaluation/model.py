"""An exported model, loaded to be evaluated, and the golden rows that it answers."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import Batch, DataSet
from colchis_steps._evaluation.tasks import OUTPUTS, width
from colchis_steps._formats.models import Golden
from colchis_steps._program.opening import open_model
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Arrays, ModelError, Program, ValuesError, tensor_dtype
from colchis_steps._tensors.values import plain

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BATCH = 256
GOLDEN_ROWS, GOLDEN_VALUES = 32, 100_000  # at most, of the test split, and numbers in them
GOLDEN_BYTES = 4 << 20  # of text and pictures in them


class Model:
    """A model of any format in a directory; ``name`` is what sentences call it."""

    def __init__(self, directory: Path, name: str, allowed: Collection[str] = ()) -> None:
        self.name, self.served = name, open_model(directory, allowed, name)
        self.judged = self.served.by_signature("probability") or self.served  # if it serves classes alone

    @property
    def inputs(self) -> list[str]:
        """The columns that the model takes."""
        return sorted(self.served.inputs)

    def outputs(self, kind: str) -> tuple[str, ...]:
        """Return the outputs that are judged: the one of a known task, else all that are numbers."""
        if kind in OUTPUTS:
            return (OUTPUTS[kind],)
        return tuple(sorted(name for name, tensor in self.judged.outputs.items() if tensor.dtype != "string"))

    def mismatch(self, data: DataSet) -> str:
        """Return why the model does not fit the data, if so."""
        inputs = {name: (tensor.dtype, tensor.shape) for name, tensor in self.served.inputs.items()}
        wanted = {c.name: (tensor_dtype(c.dtype), (None, *c.shape)) for c in data.features.values()}
        if not inputs or not inputs.items() <= wanted.items():  # columns such as weights are no inputs
            return f"{self.name} takes {_kinds(inputs)}, and the data has {_kinds(wanted)}"
        kind = data.task.kind
        if kind not in OUTPUTS:
            return (
                "" if self.outputs(kind) else f"{self.name} has no output of numbers, so that nothing can be measured"
            )
        name, wide = OUTPUTS[kind], width(data)
        output = self.judged.outputs.get(name)
        shape = list(output.shape) if output else None
        if shape is None or len(shape) != 2 or shape[1] not in {None, wide}:
            has = "targets" if kind == "regression" else "labels" if kind == "multilabel" else "classes"
            return f"{self.name} has the output {name} {shape or 'none'}, and the data has {wide} {has}"
        return ""

    def answers(self, batch: Batch, outputs: Sequence[str]) -> "dict[str, Array]":
        """Return what the model gives each row of the data in the batch, by output: [rows, …].

        Raises:
            InputError: an output has another number of rows, or the model fails at these values.
        """
        given = self._asked(self.judged, {name: batch.features[name][: batch.total] for name in self.inputs})
        found = {name: given[name] for name in outputs}
        for name, values in found.items():
            if values.ndim == 0 or len(values) != batch.total:
                raise InputError(
                    f"{self.name} gives the output {name} {list(values.shape)} for {batch.total} rows; let it give one "
                    "answer a row"
                )
        return found

    def golden(self, batch: Batch, data: DataSet, run: str) -> Golden:
        """Return the first rows of a batch of the data, with all that the model answers to them."""
        values = sum(math.prod(data.features[name].shape) for name in self.inputs)
        rows = max(1, min(GOLDEN_ROWS, batch.total, GOLDEN_VALUES // max(1, values)))
        features = {name: batch.features[name][:rows] for name in self.inputs}
        while rows > 1 and sum(map(_text_bytes, features.values())) > GOLDEN_BYTES:
            rows = max(1, rows // 2)
            features = {name: found[:rows] for name, found in features.items()}
        answer = self._asked(self.served, features)
        inputs = {name: plain(found) for name, found in features.items()}
        return Golden(run, inputs, {name: plain(found) for name, found in answer.items()})

    def _asked(self, program: Program, features: Arrays) -> "dict[str, Array]":
        try:
            return program.predict(features)
        except (ValuesError, ModelError) as error:
            raise InputError(
                f"{self.name} fails at rows of the split test ({error}); let it take such values, or leave them out "
                "of the data"
            ) from error


def _text_bytes(values: "Array") -> int:
    return sum(map(len, values.ravel().tolist())) if values.dtype.kind == "O" else 0


def _kinds(tensors: Mapping[str, tuple[str, tuple[int | None, ...]]]) -> str:
    found = []
    for name, (dtype, shape) in sorted(tensors.items()):
        by = f" by {shape[0]} row (export it with a free first length)" if shape[:1] != (None,) and shape else ""
        found.append(f"{name} {dtype}{list(shape[1:])}{by}")
    return ", ".join(found) or "nothing"
