"""What a model answers, as columns of Parquet.

classification  prediction (the class's name, or its number), probability (float, of that class)
multilabel      probability_<label>, float; a label without a name has its number
regression      value, or value_<target> where there are several
other tasks     the model's outputs by their names
"""

from typing import TYPE_CHECKING, Any

from colchis_steps._formats.data import Task
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]


def columns_of(task: Task, outputs: "Mapping[str, Array]", rows: int) -> "dict[str, pa.Array]":
    """Return the answers for so many rows, by column.

    Raises:
        InputError: an output has another number of rows.
    """
    for name, found in outputs.items():
        if found.shape[:1] != (rows,):
            raise InputError(
                f"the model's output {name} has the shape {list(found.shape)} for {rows} rows; "
                "let it give a row of its own for each"
            )
    probability, value = outputs.get("probability"), outputs.get("value")
    if task.kind == "classification" and probability is not None and probability.ndim == 2:
        return _classified(task, probability, outputs.get("class"))
    if task.kind == "multilabel" and probability is not None and probability.ndim == 2:
        return _each("probability", probability, task.classes)
    if task.kind == "regression" and value is not None and value.ndim <= 2:
        columns = value.reshape(rows, -1)
        return _each("value", columns, task.target) if columns.shape[1] > 1 else {"value": _plain(columns[:, 0])}
    return {name: _plain(found) for name, found in outputs.items()}


def not_finite(columns: "Mapping[str, pa.Array]") -> int:
    """Count the rows that have a number that is not finite."""
    import numpy as np
    import pyarrow as pa

    odd: Any = 0
    for values in columns.values():
        if pa.types.is_floating(values.type):
            odd = odd | ~np.isfinite(values.to_numpy(zero_copy_only=False))
    return int(np.sum(odd))


def _classified(task: Task, probability: "Array", chosen: "Array | None") -> "dict[str, pa.Array]":
    import numpy as np
    import pyarrow as pa

    best = np.argmax(probability, axis=1) if chosen is None else chosen.reshape(-1).astype(np.int64)
    found: dict[str, Any] = {"prediction": pa.array(best)}
    if task.classes and (not len(best) or best.max() < len(task.classes)):
        found["prediction"] = pa.array(task.classes).take(found["prediction"])
    inside = np.clip(best, 0, probability.shape[1] - 1)
    found["probability"] = pa.array(probability[np.arange(len(best)), inside].astype(np.float32))
    return found


def _each(stem: str, values: "Array", names: tuple[str, ...]) -> "dict[str, pa.Array]":
    known = names if len(names) == values.shape[1] else tuple(map(str, range(values.shape[1])))
    return {f"{stem}_{name}": _plain(values[:, i]) for i, name in enumerate(known)}


def _plain(values: "Array") -> "pa.Array":
    """Return an array whose rows are values or, of more dimensions, lists in lists."""
    import pyarrow as pa

    flat = values.reshape(-1)
    found = pa.array(flat.tolist(), pa.binary()) if values.dtype.kind in "OS" else pa.array(flat)
    for length in reversed(values.shape[1:]):
        found = pa.FixedSizeListArray.from_arrays(found, length)
    return found
