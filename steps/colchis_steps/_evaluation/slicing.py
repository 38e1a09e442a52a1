"""Parts of the test split by the values of its columns of role slice: ``region=north``, ``age=18..35``."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import VALID
from colchis_steps._data.dataset import DataSet
from colchis_steps._data.targets import class_name
from colchis_steps._formats.data import Column

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MOST = 20  # values of a column that have a slice each; the others share one
PARTS = 5  # quantile bins of a column with more numbers than that
DISTINCT = 50_000  # values that are counted apart, while the most frequent ones are looked for
SAMPLE = 200_000  # numbers of a column by which its quantiles are told
LONGEST = 64  # characters of a value in a name
OTHER, NULL = "(other)", "(null)"
BLOCK = 4096  # rows that are scored at a time


@dataclass(frozen=True)
class Cut:
    """How a column is cut: each of its values has a slice, or, with ``edges``, what lies between two of them."""

    column: str
    names: tuple[str, ...]
    numbers: Mapping[str, int]
    edges: "Array | None" = None

    def of(self, others: "Mapping[str, Array]") -> "Array":
        """Return the number of each row's slice, int64 [rows]; ``others`` are a batch's."""
        import numpy as np

        values, null = others[self.column], _nulls(self.column, others)
        if self.edges is None:
            found, places = np.unique(values.astype(str), return_inverse=True)
            known = [class_name(value) for value in _first(values, places, len(found))]
            last = self.numbers.get(OTHER, len(self.names))
            numbers = np.array([self.numbers.get(name[:LONGEST], last) for name in known], np.int64)[places]
        else:
            numbers = np.searchsorted(self.edges[1:-1], values.astype(np.float64), side="right")
        found_rows: Array = np.where(null, self.numbers.get(NULL, len(self.names)), numbers)
        return found_rows


def _first(values: "Array", places: "Array", count: int) -> list[Any]:
    """Return a value of each place."""
    import numpy as np

    rows = np.zeros(count, np.int64)
    rows[places] = np.arange(len(places))
    found: list[Any] = values[rows].tolist()
    return found


def cuts(data: DataSet) -> tuple[Cut, ...]:
    """Look through the test split and return how each of its slice columns of one value is cut."""
    columns = [column for column in data.manifest.of_role("slice") if not column.shape]
    if not columns:
        return ()
    counted: dict[str, Counter[str]] = {column.name: Counter() for column in columns}
    sampled: dict[str, list[Array]] = {column.name: [] for column in columns}
    step = max(1, -(-data.rows("test") // SAMPLE))
    for batch in data.batches("test", BLOCK):
        others = {name: values[: batch.total] for name, values in batch.others.items()}
        for column in columns:
            counts, values, null = counted[column.name], others[column.name], _nulls(column.name, others)
            counts.update({NULL: int(null.sum())} if null.any() else {})
            counts.update(class_name(value)[:LONGEST] for value in values[~null].tolist())
            if len(counts) > DISTINCT:
                counted[column.name] = Counter(dict(counts.most_common(DISTINCT // 2)))
            if values.dtype.kind in "iuf":
                sampled[column.name].append(values[~null][::step])
    return tuple(_cut(column, counted[column.name], sampled[column.name]) for column in columns)


def _told(value: float, column: Column) -> str:
    """Return a number as a name has it: a date or a time of day where the column counts from 1970."""
    import numpy as np

    if not column.type.startswith(("date32", "timestamp")):
        return f"{value:g}"
    unit = "D" if column.type.startswith("date32") else column.type[len("timestamp[") :].split(",")[0].rstrip("]")
    moment = np.array([int(value)]).astype(f"datetime64[{unit}]")
    return str(np.datetime_as_string(moment, "D" if unit == "D" else "s")[0])


def _cut(column: Column, counts: "Counter[str]", sampled: "list[Array]") -> Cut:
    import numpy as np

    name = column.name
    values = sorted(value for value in counts if value != NULL)
    if len(values) > MOST and sampled:
        numbers = np.concatenate(sampled).astype(np.float64)
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, PARTS + 1)))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
        names = [f"{name}={_told(low, column)}..{_told(high, column)}" for low, high in itertools.pairwise(edges)]
        parts = {str(i): i for i in range(len(names))}
    else:
        edges = None
        if len(values) > MOST:
            chosen = [value for value, _ in counts.most_common(MOST) if value != NULL][: MOST - 1]
            values = [*sorted(chosen), OTHER]
        names, parts = [f"{name}={value}" for value in values], {value: i for i, value in enumerate(values)}
    if NULL in counts:
        parts[NULL] = len(names)
        names.append(f"{name}={NULL}")
    return Cut(name, tuple(names), parts, edges)


def _nulls(name: str, others: "Mapping[str, Array]") -> "Array":
    import numpy as np

    values = others[name]
    if (valid := others.get(name + VALID)) is not None:
        return np.logical_not(valid)
    found: Array = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    return found


def parts_of(found: tuple[Cut, ...], others: "Mapping[str, Array]") -> "Iterator[tuple[str, Array]]":
    """Yield the name of each slice that a batch has rows of, and where they are: bool [rows]."""
    import numpy as np

    for cut in found:
        numbers = cut.of(others)
        for number in np.unique(numbers).tolist():
            if number < len(cut.names):
                yield cut.names[number], numbers == number
