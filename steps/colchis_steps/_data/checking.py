"""Whether rows are what the manifest says of their columns."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.data import Column, Task
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def check_column(where: str, rows: int, column: Column, columns: "Mapping[str, Array]", remedy: str) -> None:
    """Refuse a column that is missing, of another dtype or shape, or of classes that there are not."""
    import numpy as np

    if column.name not in columns:
        raise InputError(f"{where} lacks the column {column.name!r}; {remedy}")
    values = columns[column.name]
    if not isinstance(values, np.ndarray):
        raise InputError(f"column {column.name!r} in {where} is a {type(values).__name__}, not a NumPy array; {remedy}")
    text = values.dtype.kind in "USO" and column.dtype in {"str", "bytes"}
    dtype = column.dtype if text else str(values.dtype)
    found, wanted = (dtype, values.shape), (column.dtype, (rows, *column.shape))
    if found != wanted:
        raise InputError(f"column {column.name!r} in {where} is {_kind(*found)} instead of {_kind(*wanted)}; {remedy}")
    if column.classes and len(values) and not (values.min() >= 0 and values.max() < len(column.classes)):
        raise InputError(
            f"column {column.name!r} in {where} has labels {values.min()} to {values.max()}, "
            f"but there are {len(column.classes)} classes from 0; correct the labels"
        )


def check_labels(where: str, task: Task, values: "Array | None") -> None:
    """Refuse labels, as ``targets`` tells of them, that are missing or numbers of no class."""
    if values is None:
        raise InputError(f"{where} lacks the labels {task.target[0]!r}; correct the entry's dataset function")
    if (
        task.classes
        and task.kind == "classification"
        and len(values)
        and not 0 <= values.min() <= values.max() < len(task.classes)
    ):
        raise InputError(
            f"{where} has labels {values.min()} to {values.max()}, but there are {len(task.classes)} classes from 0; "
            "correct the labels"
        )


def _kind(dtype: str, shape: Sequence[int]) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"
