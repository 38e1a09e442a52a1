"""What is said at import, and kept in the manifest: rows can be used, and what a model learns of them may mislead."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.division import NAMES
from colchis_steps._data.windows import LEAST, edges, moved
from colchis_steps._formats.data import RAGGED, Column

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SEEN = 200_000  # rows of a split that are looked at for windows
SHARE = 0.05  # of the windows of a split that training may have too
SHOWN = 5


def lacking(rows: "Mapping[str, np.ndarray[Any, Any]]", splits: Sequence[int]) -> list[str]:
    """Return a sentence for each split that lacks classes; ``rows`` counts each class's in each split."""
    found = []
    for i, name in enumerate(NAMES):
        if (
            missing := [(label, int(counts.sum())) for label, counts in rows.items() if not counts[i]]
            if splits[i]
            else []
        ):
            shown = ", ".join(f"{label[:64]!r} ({count} rows in all)" for label, count in missing[:SHOWN])
            more = f" and {len(missing) - SHOWN} more classes" if len(missing) > SHOWN else ""
            found.append(
                f"{name} has no row of {shown}{more}; import more rows of it, give other --shares, or name splits of "
                "your own with --split-by given"
            )
    if len(rows) == 1:
        found.append(f"all rows have the label {next(iter(rows))[:64]!r}; a model has nothing to tell apart")
    return found


def empty(splits: Sequence[int], shares: Mapping[str, float]) -> list[str]:
    """Return a sentence for each split that should have rows and has none."""
    return [
        f"{name} has no rows; import more, or give other --shares"
        for i, name in enumerate(NAMES)
        if not splits[i] and shares.get(name, 1.0)
    ]


def random_in_time(columns: Sequence[Column], way: str) -> list[str]:
    """Return a sentence where rows with times are divided at random."""
    times = [
        column.name for column in columns if column.type.startswith(("timestamp", "date")) or column.role == "time"
    ]
    if way != "hash" or not times:
        return []
    sentence = (
        f"rows are divided at random and have the time {times[0]!r}, so a model is judged on rows from before others "
        f"that it has seen; where that matters, give --time {times[0]} --split-by time"
    )
    return [sentence]


def without_values(columns: Sequence[str]) -> list[str]:
    """Return a sentence where columns have no value."""
    return (
        [f"no row has a value in {', '.join(map(repr, columns[:SHOWN]))}; such columns are ignored"] if columns else []
    )


def left_out(columns: Sequence[str], kept: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return a sentence where columns were left out that nobody asked to leave."""
    left = [] if asked else [name for name in columns if name not in kept]
    if not left:
        return []
    shown = ", ".join(map(repr, left))
    return [f"the column {shown} has the row numbers of pandas and is left out; name it in --columns to keep it"]


def contradictions(count: int, equal: int) -> list[str]:
    """Return a sentence where rows differ in the label alone."""
    if not count:
        return []
    return [
        f"{count} of {equal} rows that repeat the features of another have another label; no model can tell them apart"
    ]


class Windows:
    """Looks whether rows are windows of one series, moved by a step: then a random division leaks."""

    def __init__(self, schema: "pa.Schema", features: Sequence[str]) -> None:
        import pyarrow as pa

        self.columns = [
            schema.field(name)
            for name in features
            if pa.types.is_fixed_size_list(schema.field(name).type)
            and schema.field(name).type.list_size >= LEAST
            and _is_number(schema.field(name).type)
        ]
        self.found: list[list[np.ndarray[Any, Any]]] = [[] for _ in NAMES]
        self.seen = [0] * len(NAMES)

    def add(self, rows: "pa.RecordBatch", split: "np.ndarray[Any, Any]") -> None:
        """Take in rows."""
        import numpy as np

        if not self.columns or min(self.seen[0], self.seen[2]) >= SEEN:
            return
        hashes = edges({field.name: _array(rows.column(field.name), field.type) for field in self.columns})
        for i in range(len(NAMES)):
            part = hashes[np.flatnonzero(split == i)[: SEEN - self.seen[i]]]
            self.seen[i] += len(part)
            self.found[i].append(part)

    def told(self) -> list[str]:
        """Return a sentence where there are such."""
        import numpy as np

        if not self.columns:
            return []
        train, _, test = (np.concatenate(parts) if parts else np.empty((0, 2), np.uint64) for parts in self.found)
        count = moved(train, test)
        if count <= SHARE * len(test):
            return []
        sentence = (
            f"{count} of {len(test)} rows of test are windows of train moved by one step, so a model is judged on what "
            "it has seen; divide by time (--time COLUMN --split-by time --gap SECONDS) or by series (--group COLUMN)"
        )
        return [sentence]


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    while pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _array(values: Any, kind: "pa.DataType") -> "np.ndarray[Any, Any]":
    import pyarrow as pa

    from colchis_steps._data.arrays import arrays
    from colchis_steps._data.importing.columns import leaf

    inner, shape = leaf(kind)
    rows = pa.record_batch([values], ["v"])
    found = arrays(rows, [Column("v", str(inner), shape, nullable=True)], "rows")["v"]
    return found if RAGGED not in shape else found[:, :0]
