"""What a task's columns hold, made what training and evaluation take as labels.

classification  int64 [rows]: the number of each row's class
multilabel      uint8 [rows, classes]: 1 where a row has the label
regression      float32 [rows], or [rows, targets] where there are several
sequence        [rows, longest]: int64 class numbers or values, 0 where a row has ended
none            float32 [rows, 0]
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import MASK
from colchis_steps._formats.data import Column, Task
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def class_name(value: Any) -> str:
    """Return the name of a class that is told by a value: text as it is, whole numbers without a point."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def labels(task: Task, columns: Mapping[str, Column], rows: "Mapping[str, Array]", where: str) -> "Array":
    """Return the labels of some rows, as the module tells; ``columns`` are the manifest's.

    Raises:
        InputError: a label is of no class, or not finite.
    """
    import numpy as np

    given = [rows[name] for name in task.target]
    count = len(next(iter(rows.values()), ()))
    if task.kind == "none" or not given:
        return np.zeros((count, 0), np.float32)
    if task.kind == "regression":
        values = given[0] if len(given) == 1 else np.stack(given, axis=1)
        found = values.astype(np.float32)
        if not np.isfinite(found).all():
            row = int(np.argwhere(~np.isfinite(found))[0][0])
            raise InputError(
                f"{where} has the label {values[row]} in row {row}, which float32 has no finite number for; "
                "leave such rows out"
            )
        return found
    if task.kind == "multilabel":
        return _many(task, rows, where)
    if columns[task.target[0]].classes is not None or (task.kind == "sequence" and not task.classes):
        return given[0].astype(np.int64) if given[0].dtype.kind in "biu" else given[0]
    told = rows.get(task.target[0] + MASK, np.ones(given[0].shape, bool))  # where a sequence has not ended
    found = np.zeros(given[0].shape, np.int64)
    found[told] = numbers(given[0][told], task.classes, where)
    return found


def numbers(values: "Array", classes: Sequence[str], where: str) -> "Array":
    """Return the numbers of the classes that the values name, int64 of the same shape.

    Raises:
        InputError: a value names none.
    """
    import numpy as np

    known = {name: number for number, name in enumerate(classes)}
    found, places = np.unique(values.ravel(), return_inverse=True)
    named = [class_name(value) for value in found.tolist()]
    for i, name in enumerate(named):
        if name not in known:
            row = int(np.flatnonzero(places == i)[0])
            raise InputError(f"{where}: label {name[:64]!r} in row {row} is none of the classes {_some(classes)}")
    return np.array([known[name] for name in named], np.int64)[places].reshape(values.shape)


def _some(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:8])
    return f"{shown} and {len(classes) - 8} more" if len(classes) > 8 else shown or "(there are none)"


def _many(task: Task, rows: "Mapping[str, Array]", where: str) -> "Array":
    import numpy as np

    first = rows[task.target[0]]
    if task.target[0] + MASK not in rows:  # a column a label, or a vector of them
        found = first if first.ndim == 2 else np.stack([rows[name] for name in task.target], axis=1)
        odd = (found != 0) & (found != 1)
        if odd.any():
            row = int(np.argwhere(odd)[0][0])
            raise InputError(f"{where} has a label in row {row} that is neither 0 nor 1; correct it")
        return found.astype(np.uint8)
    mask = rows[task.target[0] + MASK]
    hot = np.zeros((len(first), len(task.classes)), np.uint8)
    hot[np.nonzero(mask)[0], numbers(first[mask], task.classes, where)] = 1
    return hot
