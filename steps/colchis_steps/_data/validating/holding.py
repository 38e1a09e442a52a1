"""A column of a batch, held against the manifest: type, shape, nulls, infinities and bounds."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from colchis_steps._data.validating.faults import Faults
from colchis_steps._data.validating.looking import Look
from colchis_steps._formats.data import RAGGED, Column

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

STRICT = {"label", "weight"}  # roles whose nulls are refused whatever the schema says


def rules(columns: tuple[Column, ...]) -> Iterator[str]:
    """Name each rule that a shard of these columns is held against, in the order in which they matter."""
    yield "shards are whole"
    yield "columns are those of the schema"
    for column in columns:
        yield f"{column.name}: dtype is {column.dtype}"
        yield f"{column.name}: shape of a row is {column.shape}"
        if not may_be_null(column):
            yield f"{column.name}: no nulls"
        yield f"{column.name}: no infinities"
        if bounds := limits(column):
            yield f"{column.name}: within {bounds[0]:g} and {bounds[1]:g}"
    yield "rows are as many as the manifest tells"


def may_be_null(column: Column) -> bool:
    """Return whether a row may lack a value: never a label or a weight."""
    return column.nullable and column.role not in STRICT


def limits(column: Column) -> tuple[float, float] | None:
    """Return the least and the greatest value that the manifest allows; a label's classes are numbered from 0.

    A bound that is not a number bounds nothing: it comes of data with NaN.
    """
    if column.classes is not None:
        return (0, len(column.classes) - 1)
    low = -math.inf if column.minimum is None or math.isnan(column.minimum) else column.minimum
    high = math.inf if column.maximum is None or math.isnan(column.maximum) else column.maximum
    return (low, high) if math.isfinite(low) or math.isfinite(high) else None


def known(column: Column) -> bool:
    """Return whether NumPy knows the column's dtype, and may load it: Python objects it may not."""
    import numpy as np

    try:
        return not np.dtype(column.dtype).hasobject
    except TypeError:
        return False


def fits(column: Column, kind: Any, where: str, faults: Faults) -> bool:
    """Return whether Arrow's type is the column's; note where it is not."""
    name, shape = described(kind)
    about = f"column {column.name!r} of {where} has"
    if name != column.type:
        reason = f"{about} the type {name} where the schema says {column.type}; write it so, or correct the schema"
        faults.say(f"{column.name}: dtype is {column.dtype}", where, reason)
    elif shape != column.shape:
        reason = f"{about} rows of shape {shape} where the schema says {column.shape}; write them so, or correct that"
        faults.say(f"{column.name}: shape of a row is {column.shape}", where, reason)
    return (name, shape) == (column.type, column.shape)


def described(kind: Any) -> tuple[str, tuple[int, ...]]:
    """Return the name of a single value's type, and a row's shape."""
    import pyarrow as pa

    shape: tuple[int, ...] = ()
    while True:
        if pa.types.is_fixed_size_list(kind):
            shape, kind = (*shape, kind.list_size), kind.value_type
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            shape, kind = (*shape, RAGGED), kind.value_type
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        else:
            name = str(kind).removeprefix("large_")
            return name, shape


def hold(seen: Look, where: str, before: int, faults: Faults) -> None:
    """Hold a column of a batch against its rules; ``before`` are the rows of the shard that came earlier."""
    column = seen.column
    about = f"column {column.name!r} of {where} has"

    def fault(rule: str, what: str, odd: "Array") -> None:
        def tell(count: int, row: int) -> str:
            return f"{about} {count} {what}, the first in row {row}; fill them, or leave out their rows"

        faults.add(f"{column.name}: {rule}", where, tell, int(odd.sum()), before + seen.first(odd))

    if seen.missing and not may_be_null(column):
        fault("no nulls", "nulls (NaN)" if seen.nans else "nulls", missing(seen))
    if seen.numbers is None or not len(seen.numbers):
        return
    if not (math.isfinite(seen.low) and math.isfinite(seen.high)):
        import numpy as np

        fault("no infinities", "infinities", np.isinf(seen.raw()))
    if (bounds := limits(column)) and (seen.low < bounds[0] or seen.high > bounds[1]):
        _outside(seen, bounds, where, before, faults)


def missing(seen: Look) -> "Array":
    """Return where single values are null or NaN; where rows are, if only these lack."""
    import numpy as np

    if seen.numbers is not None and seen.leaf.null_count + seen.nans:
        return np.isnan(seen.raw())
    values = seen.leaf if seen.leaf.null_count else seen.values
    found: Array = values.is_null().to_numpy(zero_copy_only=False)
    return found


def _outside(seen: Look, bounds: tuple[float, float], where: str, before: int, faults: Faults) -> None:
    import numpy as np

    column, raw = seen.column, seen.raw()
    odd = (raw < bounds[0]) | (raw > bounds[1])
    value = raw[int(np.argmax(odd))]
    shown = (
        int(value) if math.isfinite(value) and seen.numbers is not None and seen.numbers.dtype.kind in "iu" else value
    )
    what = "label" if column.classes is not None else "value"

    def tell(count: int, row: int) -> str:
        return (
            f"column {column.name!r} of {where} has {what} {shown} in row {row}, outside {bounds[0]:g} to "
            f"{bounds[1]:g} ({count} such values); correct the rows, or the schema"
        )

    rule = f"{column.name}: within {bounds[0]:g} and {bounds[1]:g}"
    faults.add(rule, where, tell, int(odd.sum()), before + seen.first(odd))
