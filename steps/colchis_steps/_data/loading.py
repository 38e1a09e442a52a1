"""Some rows of a data set in memory, in little of it: numbers as NumPy's arrays, text and lists as Arrow's until taken.

A text of ten characters has 14 bytes in Arrow and 59 as one of Python's objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import arrays
from colchis_steps._data.targets import labels, numbers
from colchis_steps._formats.data import RAGGED, Column, DataManifest
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 8 << 20  # bytes of Arrow's that are made NumPy's at a time


@dataclass(frozen=True)
class Loaded:
    """Rows: ``ready`` has the arrays that are at hand, ``lazy`` the columns (by name) that are made when taken."""

    rows: int
    ready: "dict[str, Array]"
    lazy: "pa.RecordBatch | None"
    columns: tuple[Column, ...]  # of lazy
    manifest: DataManifest
    where: str

    @property
    def nbytes(self) -> int:
        """The bytes that it holds."""
        return sum(values.nbytes for values in self.ready.values()) + (self.lazy.nbytes if self.lazy else 0)

    @property
    def step(self) -> int:
        """How many rows to take at a time."""
        if self.lazy is None:
            return max(1, self.rows)
        return max(1, min(self.rows, CHUNK * self.rows // max(1, self.nbytes)))

    def take(self, order: "Array") -> "dict[str, Array]":
        """Return these rows by the names of ``as_read``, with the label as ``targets`` tells.

        Raises:
            InputError: a column holds other things than the manifest says.
        """
        import pyarrow as pa

        found = {name: values[order] for name, values in self.ready.items()}
        if self.lazy is not None:
            found |= arrays(self.lazy.take(pa.array(order)), self.columns, self.where)
        label = self.manifest.label
        if label and label not in self.ready:
            found[label] = labels(self.manifest.task, self.manifest.by_name, found, self.where)
        return found


def from_arrays(columns: "dict[str, Array]", rows: int, manifest: DataManifest, where: str) -> Loaded:
    """Return rows that are NumPy's already."""
    if manifest.label:
        columns[manifest.label] = labels(manifest.task, manifest.by_name, columns, where)
    return Loaded(rows, columns, None, (), manifest, where)


def from_batch(rows: "pa.RecordBatch", manifest: DataManifest, where: str) -> Loaded:
    """Return Arrow's rows.

    Raises:
        InputError: a column is missing, of another type, or has what the manifest forbids.
    """
    ready: dict[str, Array] = {}
    lazy: list[Column] = []
    for column in manifest.columns:
        if column.role == "ignored":
            continue
        if column.name not in rows.schema.names:
            raise InputError(f"{where} lacks the column {column.name!r}; import the data again")
        told = _told(rows.column(column.name), column, manifest, where)
        if told is not None:
            ready[column.name] = told
        elif column.dtype in {"str", "bytes"} or RAGGED in column.shape or column.role == "label":
            if rows.column(column.name).null_count and not column.nullable:
                arrays(rows, [column], where)  # which says so, with the row
            lazy.append(column)
        else:
            ready |= arrays(rows, [column], where)
    kept = rows.select([column.name for column in lazy]) if lazy else None
    return Loaded(len(rows), ready, kept, tuple(lazy), manifest, where)


def _told(values: Any, column: Column, manifest: DataManifest, where: str) -> "Array | None":
    """Return a column of classes as their numbers, by way of its few values; None where it is not one."""
    import numpy as np

    if (manifest.task.kind, manifest.task.target) != ("classification", (column.name,)) or column.classes is not None:
        return None
    if values.null_count or column.shape:
        return None
    coded = values.dictionary_encode()
    try:
        found = numbers(np.array(coded.dictionary.to_pylist()), manifest.task.classes, where)
    except InputError:
        return numbers(values.to_numpy(zero_copy_only=False), manifest.task.classes, where)  # which names the row
    whole: Array = found[coded.indices.to_numpy()]
    return whole


def together(parts: Sequence[Loaded]) -> Loaded:
    """Return the rows of all of them, in order."""
    import numpy as np
    import pyarrow as pa

    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    ready = {name: np.concatenate([part.ready[name] for part in parts]) for name in first.ready}
    batches = [part.lazy for part in parts if part.lazy is not None]
    lazy = pa.concat_batches(batches) if batches else None
    return Loaded(sum(part.rows for part in parts), ready, lazy, first.columns, first.manifest, first.where)
