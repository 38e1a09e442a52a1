"""A column of a split, gathered batch by batch, and its profile."""

import math
from dataclasses import dataclass, field
from typing import Any

from colchis_steps._data.hashing import column_hashes
from colchis_steps._data.pictures import small_picture
from colchis_steps._data.validating.looking import Look
from colchis_steps._data.validating.numbers import Numbers
from colchis_steps._data.validating.values import COUNTED, LENGTHS, Counts, Distinct, Lengths
from colchis_steps._formats import profiles
from colchis_steps._formats.data import RAGGED, Column
from colchis_steps._formats.profiles import ColumnProfile
from colchis_steps._formats.runs import Picture

TOP = 20  # values in a profile
LONGEST = 64  # characters of one
PICTURES = 6  # that are kept, small


@dataclass
class Measured:
    """What the rows so far hold in a column."""

    column: Column
    rows: int = 0
    nulls: int = 0
    values: int = 0
    empty: int = 0  # rows without any value
    numbers: Numbers = field(default_factory=Numbers)
    distinct: Distinct = field(default_factory=Distinct)
    counts: Counts = field(default_factory=Counts)
    lengths: Lengths = field(default_factory=Lengths)
    pictures: list[Picture] = field(default_factory=list)

    def add(self, seen: Look) -> None:
        """Add a column of a batch."""
        import pyarrow.compute as pc

        self.rows += len(seen.values)
        self.nulls += seen.missing
        self.values += len(seen.leaf) - (seen.leaf.null_count + seen.nans)
        fixed = bool(self.column.shape) and RAGGED not in self.column.shape
        if seen.numbers is not None:
            self.numbers.add(seen.numbers, seen.low, seen.high)
        different = None
        if not (fixed or self.column.media or is_temporal(self.column)):
            different = self.counts.add(seen)
        plain = different is not None and not self.column.shape
        self.distinct.add(column_hashes(different) if plain else seen.hashes)
        if self.column.media.startswith("image/"):
            self._keep(seen)
        if RAGGED in self.column.shape:
            self.lengths.add(pc.list_value_length(seen.values).drop_null().to_numpy(zero_copy_only=False))
        elif (texts := seen.texts) is not None:
            there = texts.counts > 0
            self.lengths.add(texts.lengths[there], texts.counts[there])

    def _keep(self, seen: Look) -> None:
        """Keep the first pictures, small."""
        for value in seen.leaf.slice(0, PICTURES):
            if len(self.pictures) < PICTURES and value.is_valid and (found := small_picture(value.as_py())):
                self.pictures.append(found)

    @property
    def constant(self) -> bool:
        """Whether all values are one, and there are several."""
        return self.rows > 1 and self.values > 0 and not self.nulls and self._span == 1

    @property
    def _span(self) -> int:
        if self.numbers.values:
            return 1 if self.numbers.minimum == self.numbers.maximum else 2
        return self.distinct.count

    def profile(self, classes: dict[str, int] | None = None) -> ColumnProfile:
        """Return the column's profile; what is not finite is left out."""
        numbers = self.numbers
        edges, histogram = numbers.histogram()
        lengths = None
        if self.lengths.counts is not None:
            used = int(self.lengths.counts.nonzero()[0].max(initial=0)) + 1
            counts = tuple(int(count) for count in self.lengths.counts[:used])
            lengths = profiles.Lengths(LENGTHS[: used + 1], counts, self.lengths.total / max(1, self.lengths.values))
        return ColumnProfile(
            name=self.column.name,
            type=self.column.type,
            role=self.column.role,
            shape=self.column.shape,
            rows=self.rows,
            nulls=self.nulls,
            values=self.values,
            minimum=_finite(numbers.minimum),
            maximum=_finite(numbers.maximum),
            mean=_finite(numbers.mean) if numbers.values else None,
            deviation=_finite(numbers.deviation) if numbers.values else None,
            quantiles=numbers.quantiles(),
            edges=edges,
            histogram=histogram,
            distinct=self.distinct.count,
            top=tuple((name[:LONGEST], count) for name, count in self.counts.top(TOP)),
            lengths=lengths,
            classes=classes,
            pictures=tuple(self.pictures),
        )


def measured(column: Column, classes: int, edges: Any = None) -> Measured:
    """Return what a split's column begins with; of a label's classes each is counted."""
    import numpy as np

    bins = np.array(edges) if edges is not None and len(edges) > 1 else None
    return Measured(column, numbers=Numbers(bins), counts=Counts(COUNTED + classes))


def is_temporal(column: Column) -> bool:
    """Return whether the column's values are dates or times."""
    return column.type.startswith(("timestamp", "date", "time", "duration"))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
