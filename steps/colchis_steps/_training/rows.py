"""What an entry's dataset function gives, as people write it, made the blocks that batches are taken of.

It returns or yields a tf.data.Dataset, dicts by column, (features, labels) or (features, labels, weights), pandas
frames; of tensors, arrays, series or lists; of many rows or of one. A block is a dict of NumPy arrays, rows first.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from colchis_steps._data.labels import known_labels, plain
from colchis_steps._formats.data import Column, Task
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Block = dict[str, Array]

GATHERED = 1024  # single rows that become a block, at most
GATHERED_BYTES = 8 << 20
REMEDY = "correct the entry's dataset function"
FORMS = "a dict of columns, (features, labels), a tf.data.Dataset of these, or a pandas DataFrame"


def itemised(function: Callable[..., Any], label: str) -> Callable[..., Iterable[Any]]:
    """Return the function, changed so that whatever it gives is iterable: one item a block, or a row."""

    @functools.wraps(function)  # its module says where the user's code lies, for errors
    def items(*arguments: Any) -> Iterable[Any]:
        return _items(function(*arguments), label)

    return items


def blocks_of(
    items: Iterable[Any], columns: Mapping[str, Column], task: Task, split: str, weights: str = ""
) -> "Iterator[Block]":
    """Yield the items as blocks by column, in order; memory holds one block, or GATHERED single rows.

    ``columns`` are the data's, as they are read. Labels become what ``targets`` tells of the task, other columns their
    dtype where no value changes but by rounding of floats. The third part of a tuple is the column ``weights``. Shapes,
    and that all columns are there, are for the taker to check.

    Raises:
        InputError: an item has another form, or values that the column's dtype does not hold.
    """
    known, where, label = columns, f"the entry's dataset for {split!r}", task.target[0] if task.target else ""
    for named in _gathered((_named(item, known, label, weights, where) for item in items), known, label):
        found = dict(named)
        for name, values in named.items():
            if name == label:
                found[name] = _labels(values, task, known[name], where)
            else:
                found[name] = _cast(values, known[name], where)
            if name == weights:
                _check_weights(found[name], where)
        yield found


def _labels(values: "Array", task: Task, column: Column, where: str) -> "Array":
    """Return labels as ``targets`` has them, of rows or of numbers in another dtype."""
    import numpy as np

    if task.kind == "classification":
        return known_labels(values, task.classes or column.classes or (), where)
    if task.kind == "sequence" or values.dtype.kind not in "biuf":
        return values
    if task.kind == "multilabel":
        return values.astype(np.uint8)
    alone = len(task.target) == 1 and not column.shape
    return (values[:, 0] if alone and values.ndim == 2 and values.shape[1] == 1 else values).astype(np.float32)


def _gathered(items: "Iterable[Block]", columns: Mapping[str, Column], label: str) -> "Iterator[Block]":
    """Yield the items, but single rows that follow each other and are alike as one."""
    rows: list[Block] = []
    for named in items:
        is_row = _is_row(named, columns, label)
        full = len(rows) == GATHERED or len(rows) * sum(values.nbytes for values in named.values()) >= GATHERED_BYTES
        if rows and (not is_row or full or _kinds(named) != _kinds(rows[0])):
            yield _stacked(rows)
            rows = []
        if is_row:
            rows.append(named)
        else:
            yield named
    if rows:
        yield _stacked(rows)


def _items(found: Any, label: str) -> Iterable[Any]:
    """Return what there is to iterate over: a block alone, and not the columns of it, nor the parts of a tuple."""
    if found is None:
        raise InputError(f"the entry's dataset gives nothing; return or yield {FORMS}")
    if isinstance(found, Mapping) or _is_frame(found) or (isinstance(found, tuple) and _is_pair(found, label)):
        return [found]
    if _is_tf_data(found):
        if int(found.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
            raise InputError("the entry's dataset gives a tf.data.Dataset without an end; leave out its repeat()")
        return found  # type: ignore[no-any-return]
    if hasattr(found, "shape") or isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise InputError(f"the entry's dataset gives {_described(found)} alone; give {FORMS}")
    return _flattened(found, label)


def _flattened(found: Iterable[Any], label: str) -> Iterator[Any]:
    for item in found:
        if _is_tf_data(item):  # a generator may yield data sets, one after the other
            yield from _items(item, label)
        else:
            yield item


def _is_pair(found: tuple[Any, ...], label: str) -> bool:
    """Report whether a tuple is (features, labels) or (features, labels, weights), and not some blocks."""
    return len(found) in {2, 3} and not all(_has_columns(part) and label in _by_column(part) for part in found)


def _named(item: Any, columns: Mapping[str, Column], label: str, weights: str, where: str) -> "Block":
    """Return the arrays of an item by column, of the data's columns only; rows, or one row's."""
    parts: dict[str, Any] = {}
    if isinstance(item, tuple | list) and len(item) in {2, 3}:
        item, parts[label], *third = item
        if third and weights not in columns:
            raise InputError(
                f"{where} gives weights, and the entry names no column for them; "
                "return Training(…, weights='a column of the data'), or leave them out"
            )
        parts |= {weights: third[0]} if third else {}
        if _has_columns(parts[label]) and len(_by_column(parts[label])) == 1:  # a frame of the label alone
            parts[label] = next(iter(_by_column(parts[label]).values()))
    features = [name for name, column in columns.items() if column.role == "feature" and name not in {label, weights}]
    only = features[0] if len(features) == 1 else ""
    if _is_frame(item) and only and only not in item.columns:  # the columns of a frame are one feature
        apart = [name for name in item.columns if name in {label, weights}]
        others = [name for name in item.columns if name not in apart]
        parts = {name: item[name] for name in apart} | {only: item[others]} | parts
    elif _has_columns(item):
        parts = {str(name): values for name, values in _by_column(item).items()} | parts
    elif label in parts and only:
        parts[only] = item
    elif label in parts:
        raise InputError(
            f"{where} gives features without names, {_described(item)}, and the data has the columns "
            f"{', '.join(features)}; give a dict of them"
        )
    else:
        raise InputError(f"{where} gives {_described(item)}; give {FORMS}")
    known = {name: values for name, values in parts.items() if name in columns}
    return {name: _array(values, columns[name], where) for name, values in known.items()}


def _is_row(named: "Block", columns: Mapping[str, Column], label: str) -> bool:
    """Report whether the arrays are of one row, without an axis of rows, by the features' shapes."""
    shapes = [values.shape == columns[name].shape for name, values in named.items() if name != label]
    return bool(shapes) and all(shapes) and (label not in named or named[label].ndim <= 1)


def _kinds(named: "Block") -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in named.items()}


def _stacked(rows: "list[Block]") -> "Block":
    import numpy as np

    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _cast(values: "Array", column: Column, where: str) -> "Array":
    """Return the values in the column's dtype: floats rounded, all others only where none changes."""
    import numpy as np

    wanted = np.dtype(column.dtype)
    if not column.shape and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype == wanted or values.dtype.kind not in "biuf" or wanted.kind not in "biuf":
        return values.astype(wanted) if _is_text(values, wanted) else values
    with np.errstate(all="ignore"):
        cast = values.astype(wanted)
        if values.dtype.kind == wanted.kind == "f":
            return cast
        odd = cast != values
        if values.dtype.kind in "iu" and wanted.kind == "f":
            odd = cast.astype(values.dtype) != values
    if odd.any():
        row = tuple(np.argwhere(odd)[0])
        raise InputError(
            f"{where} gives column {column.name!r} as {values.dtype} with {values[row]} in row {row[0]}, which "
            f"{wanted} does not hold; {REMEDY}"
        )
    return cast


def _check_weights(values: "Array", where: str) -> None:
    import numpy as np

    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise InputError(f"{where} gives the weight {values[row]} in row {row}; {REMEDY}")


def _array(values: Any, column: Column, where: str) -> "Array":
    """Return tensors, series, frames, lists and arrays as an array of a plain dtype; a column of bytes stays bytes."""
    import numpy as np

    for method in ("to_numpy", "numpy"):  # pandas; TensorFlow and others
        if callable(convert := getattr(values, method, None)):
            values = convert()
            break
    try:
        found = np.asarray(values)
        if column.dtype == "bytes" and found.dtype.kind in "SO":
            return found.astype(object)
        found = plain(found)
    except ValueError as error:  # lists of unequal lengths
        raise InputError(f"{where} gives column {column.name!r} as no array ({str(error)[:128]}); {REMEDY}") from error
    if found.dtype.kind not in "biufU":
        raise InputError(
            f"{where} gives column {column.name!r} as {_described(values)}; "
            "give numbers or text, without missing values"
        )
    return found


def _by_column(found: Any) -> Mapping[Any, Any]:
    return {name: found[name] for name in found.columns} if _is_frame(found) else found


def _has_columns(found: Any) -> bool:
    return isinstance(found, Mapping) or _is_frame(found)


def _is_frame(found: Any) -> bool:
    return hasattr(found, "columns") and hasattr(found, "to_numpy")


def _is_tf_data(found: Any) -> bool:
    return hasattr(found, "element_spec") and hasattr(found, "cardinality")


def _is_text(values: "Array", wanted: "np.dtype[Any]") -> bool:
    return values.dtype.kind == wanted.kind == "U" and values.dtype.itemsize <= wanted.itemsize


def _described(found: Any) -> str:
    if hasattr(found, "shape") and hasattr(found, "dtype"):
        return f"{getattr(found.dtype, 'name', found.dtype)}{list(found.shape)}"
    return f"a {type(found).__name__}"
