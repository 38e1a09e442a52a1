"""What the values of a column are: how many different ones, the most frequent, and how long texts are."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from colchis_steps._data.hashing import NULL
from colchis_steps._data.targets import class_name
from colchis_steps._data.validating.looking import Look

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

KEPT = 4096  # of a column's hashes: up to so many different values are counted exactly, more within 3 %
COUNTED = 1000  # different values of which each is counted
LENGTHS = (0.0, *(float(1 << power) for power in range(32)))  # edges of a histogram of lengths


@dataclass
class Distinct:
    """The KEPT least hashes of a column, from which the number of different values follows.

    Bar-Yossef and others, Counting Distinct Elements in a Data Stream, 2002.
    """

    least: "Array | None" = None

    def add(self, hashes: "Array") -> None:
        """Add the hashes of rows, or of the values that are there."""
        import numpy as np

        before = self.least if self.least is not None else np.empty(0, np.uint64)
        if len(before) == KEPT:
            hashes = hashes[hashes < before[-1]]
        elif len(hashes) > 8 * KEPT:  # of as many different ones the least are enough
            few = np.unique(hashes[hashes < np.uint64((1 << 64) // len(hashes) * 4 * KEPT)])
            hashes = few if len(few) >= KEPT else np.unique(hashes)
        if len(hashes):
            found = np.unique(np.concatenate([before, hashes]))
            self.least = found[found != np.uint64(NULL)][:KEPT]

    @property
    def count(self) -> int:
        """How many different values there are, about."""
        if self.least is None or len(self.least) < KEPT:
            return 0 if self.least is None else len(self.least)
        return int((KEPT - 1) / (float(self.least[-1]) / 2.0**64))


@dataclass
class Counts:
    """How often values stand there: each, up to ``most`` different ones; then of those alone, which may miss some."""

    most: int = COUNTED
    found: dict[Any, int] = field(default_factory=dict)
    exact: bool = True

    def add(self, seen: Look) -> Any:
        """Add a column of a batch; return its different values as a pyarrow.Array, or None where they are many."""
        import pyarrow.compute as pc

        if (texts := seen.texts) is not None:
            if self.exact:
                self._merge(zip(texts.words.to_pylist(), texts.counts.tolist(), strict=True))
            elif self.found:
                places = pc.index_in(_of_type(list(self.found), texts.words.type), texts.words)
                for value, at in zip(list(self.found), places.to_pylist(), strict=True):
                    self.found[value] += int(texts.counts[at]) if at is not None else 0
            return texts.words
        if not self.exact or seen.numbers is None:
            return None
        for values in (seen.leaf.slice(0, 2 * self.most), seen.leaf):  # a look at the first ones saves most of it
            counted = pc.value_counts(values)
            if len(counted) > self.most:
                self.exact = False
                self.found.clear()
                return None
        self._merge(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True), forget=True)
        return counted.field(0)

    def _merge(self, pairs: Any, *, forget: bool = False) -> None:
        for value, count in pairs:
            if value is not None and value == value and count:  # noqa: PLR0124 - NaN does not equal itself
                self.found[value] = self.found.get(value, 0) + count
        if len(self.found) > self.most:
            self.exact = False
            kept = {} if forget else sorted(self.found.items(), key=lambda pair: (-pair[1], str(pair[0])))[: self.most]
            self.found = dict(kept)

    def top(self, count: int) -> tuple[tuple[str, int], ...]:
        """Return the most frequent values by name, and how often they are there at least."""
        ordered = sorted(self.found.items(), key=lambda pair: (-pair[1], str(pair[0])))
        return tuple((class_name(value), times) for value, times in ordered[:count])

    @property
    def named(self) -> dict[str, int]:
        """How often each value is there, by the name that it has as a class."""
        names: dict[str, int] = {}
        for value, count in self.found.items():
            names[class_name(value)] = names.get(class_name(value), 0) + count
        return names


@dataclass
class Lengths:
    """How long texts are in characters, bytes in bytes, or ragged rows in values."""

    counts: "Array | None" = None
    total: float = 0.0
    values: int = 0
    minimum: int = 1 << 62
    maximum: int = 0

    def add(self, lengths: "Array", weights: "Array | None" = None) -> None:
        """Add lengths, each of which stands there as often as its weight says."""
        import numpy as np

        if not len(lengths):
            return
        places = np.searchsorted(np.array(LENGTHS[1:-1]), lengths, side="right")
        found = np.bincount(places, weights, len(LENGTHS) - 1).astype(np.int64)
        self.counts = found if self.counts is None else self.counts + found
        self.total += float(lengths.sum() if weights is None else lengths @ weights)
        self.values += int(len(lengths) if weights is None else weights.sum())
        self.minimum, self.maximum = min(self.minimum, int(lengths.min())), max(self.maximum, int(lengths.max()))


def _of_type(values: list[Any], kind: Any) -> Any:
    import pyarrow as pa

    return pa.array(values, kind)
