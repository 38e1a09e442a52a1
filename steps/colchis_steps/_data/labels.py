"""Labels as people write them, made what a data set holds: the number of each row's class, int64, from 0 on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.targets import numbers
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MOST = 1_000_000  # classes


def known_labels(values: "Array", classes: Sequence[str], where: str) -> "Array":
    """Return labels of some rows as int64 [rows], by the known names of the classes; bounds are the reader's to check.

    Raises:
        InputError: they are something else; the sentence begins with ``where`` and names the first such row. Or a
            string is the name of no class.
    """
    flat = _flat(values, where)
    if flat.dtype.kind != "U":
        labels = _whole(flat, where)
        if len(labels) and labels.min() > 0 and labels.max() == len(classes):
            raise InputError(
                f"{where}: labels are {labels.min()} to {labels.max()}: number the classes from 0, e.g. subtract 1, "
                "or give names as strings"
            )
        return labels
    return numbers(flat, classes, where)


def plain(values: "Array") -> "Array":
    """Return an array of Python's objects as one of a plain dtype where it can be: text of str or UTF-8 bytes, numbers.

    Other arrays are returned as they are, but for bytes, which become text.
    """
    import numpy as np

    if values.dtype.kind == "S" or (values.dtype.kind == "O" and _all(values, bytes)):
        decoded = [value.decode(errors="replace") for value in values.ravel().tolist()]
        return np.array(decoded, dtype=str).reshape(values.shape)
    if values.dtype.kind not in "OT":
        return values
    if values.dtype.kind == "T" or _all(values, str):
        return values.astype(str)
    if _all(values, bool | int | float | np.number | np.bool_):  # a column of pandas with numbers as objects
        return np.array(values.tolist()).reshape(values.shape)
    return values


def _all(values: "Array", kind: Any) -> bool:
    return all(isinstance(value, kind) for value in values.ravel())


def _flat(values: "Array", where: str) -> "Array":
    found = plain(values)
    if found.ndim == 2 and found.shape[1] == 1:
        return found[:, 0]
    if found.ndim == 2:
        raise InputError(
            f"{where}: labels of shape {list(found.shape)} are one-hot or probabilities; "
            "give the number of each row's class, e.g. labels.argmax(axis=1)"
        )
    if found.ndim != 1 or found.dtype.kind not in "biufU":
        raise InputError(
            f"{where}: labels are {found.dtype}{list(found.shape)}; give a whole number or a string for each row"
        )
    return found


def _whole(values: "Array", where: str) -> "Array":
    import numpy as np

    if values.dtype.kind == "f":
        odd = ~np.isfinite(values) | (np.floor(values) != values)
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            raise InputError(
                f"{where}: {int(odd.sum())} labels are not whole numbers, the first is {_shown(values[row])} "
                f"in row {row}; give the number of each row's class, or leave such rows out"
            )
    if len(values) and not -MOST <= int(values.min()) <= int(values.max()) < MOST:
        raise InputError(f"{where}: labels are {values.min()} to {values.max()}: number the classes from 0")
    return values.astype(np.int64)


def _shown(value: Any) -> str:
    return "NaN" if value != value else f"{value:g}"  # noqa: PLR0124 - NaN alone is not itself
