"""What a column holds, gathered shard by shard; profiles of shards merge into the profile of a split."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from colchis_steps._formats.data import Column
from colchis_steps._formats.profiles import ColumnProfile

if TYPE_CHECKING:
    import numpy as np

BINS = 10


@dataclass(frozen=True)
class Range:
    """What one pass tells: ``values`` counts those that are numbers, ``classes`` the rows of each class in range."""

    values: int = 0
    nulls: int = 0
    total: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    classes: tuple[int, ...] | None = None

    def __or__(self, other: "Range") -> "Range":
        """Merge with the range of other rows of the same column."""
        lows = [low for low in (self.minimum, other.minimum) if low is not None]
        highs = [high for high in (self.maximum, other.maximum) if high is not None]
        classes = self.classes or other.classes
        if self.classes and other.classes:
            classes = tuple(a + b for a, b in zip(self.classes, other.classes, strict=True))
        return Range(
            values=self.values + other.values,
            nulls=self.nulls + other.nulls,
            total=self.total + other.total,
            minimum=min(lows, default=None),
            maximum=max(highs, default=None),
            classes=classes,
        )


def measure(column: Column, array: "np.ndarray") -> Range:
    """Measure a column of a shard, shape (rows, …); text has neither numbers nor nulls."""
    import numpy as np

    if array.dtype.kind not in "biuf":
        return Range()
    found = array[~np.isnan(array)] if array.dtype.kind == "f" else array
    measured = Range(values=found.size, nulls=array.size - found.size)
    if found.size:
        with np.errstate(all="ignore"):  # of infinities the total is NaN, and the profile then has no mean
            total = float(found.sum(dtype=np.float64))
        measured = replace(measured, total=total, minimum=float(found.min()), maximum=float(found.max()))
    if column.classes is not None and array.dtype.kind in "iu":
        inside = array[(array >= 0) & (array < len(column.classes))].astype(np.int64)
        counts = np.bincount(inside.ravel(), minlength=len(column.classes))
        measured = replace(measured, classes=tuple(int(count) for count in counts))
    return measured


def histogram(array: "np.ndarray", measured: Range) -> tuple[int, ...]:
    """Count the shard's finite values in ten equal bins over the whole split's range; counts of shards add up."""
    import numpy as np

    low, high = measured.minimum, measured.maximum
    if low is None or high is None or not np.isfinite([low, high]).all() or array.dtype.kind not in "biuf":
        return ()
    scale = 1.0 if np.isfinite(high - low) else 0.25  # so that no difference overflows
    finite = array[np.isfinite(array)].astype(np.float64).ravel()
    places = (finite * scale - low * scale) / ((high * scale - low * scale) or 1.0) * BINS
    counts = np.bincount(
        np.clip(places, 0, BINS - 1).astype(np.int64), minlength=BINS
    )  # the maximum is in the last bin
    return tuple(int(count) for count in counts)


def profile(column: Column, measured: Range, counts: tuple[int, ...]) -> ColumnProfile:
    """Return the column's profile as the report keeps it; infinities are left out, since JSON has none."""
    import math

    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    return ColumnProfile(
        name=column.name,
        type=column.type,
        role=column.role,
        shape=column.shape,
        values=measured.values,
        minimum=finite(measured.minimum),
        maximum=finite(measured.maximum),
        mean=finite(measured.total / measured.values) if measured.values else None,
        nulls=measured.nulls,
        edges=_edges(measured, len(counts)),
        histogram=counts,
        classes=dict(zip(column.classes, measured.classes, strict=True))
        if column.classes is not None and measured.classes is not None
        else None,
    )


def _edges(measured: Range, bins: int) -> tuple[float, ...]:
    low, high = measured.minimum, measured.maximum
    if not bins or low is None or high is None:
        return ()
    return (low, *(low + (high / bins - low / bins) * i for i in range(1, bins)), high)
