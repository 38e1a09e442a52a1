"""What the numbers of a column tell, in memory that does not grow: moments, quantiles and a histogram."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.profiles import QUANTILES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BINS = 20
KLL = 800  # of the sketch: 5 kB, and ranks within 0.4 %
MOST = 1 << 15  # values of a batch that go into the sketch: of more, so many at random


@dataclass
class Numbers:
    """Numbers that were added; ``edges`` are given where another's histogram is to be compared.

    Means and deviations merge batch by batch (Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances, 1979). Whole numbers of one byte are counted each; of others a KLL sketch is kept
    (Karnin, Lang and Liberty, Optimal Quantile Approximation in Streams, 2016).
    """

    edges: "Array | None" = None
    values: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    whole: bool = True  # all are whole numbers, by their type
    table: "Array | None" = None  # of one byte: how often each
    signed: bool = False
    sketch: Any = None
    counted: "Array | None" = None

    def add(self, numbers: "Array", low: float, high: float) -> None:
        """Add numbers of one dtype without NaN, and their least and greatest."""
        import numpy as np

        if not len(numbers):
            return
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        if numbers.dtype.itemsize == 1:
            self.signed = numbers.dtype.kind == "i"
            found = np.bincount(numbers.view(np.uint8), minlength=256)
            self.table = found if self.table is None else self.table + found
            places, counts = self._table(found)
            with np.errstate(all="ignore"):
                mean = float(places @ counts) / len(numbers)
                self._moments(len(numbers), mean, float((places - mean) ** 2 @ counts))
            return
        self.whole = self.whole and numbers.dtype.kind in "iu"
        wide = numbers.astype(np.float64, copy=False)
        with np.errstate(all="ignore"):
            mean = float(wide.mean())
            apart = wide - mean
            self._moments(len(wide), mean, float(np.square(apart, out=apart).sum()))  # no dot: it starts threads
        if not (math.isfinite(low) and math.isfinite(high)):
            wide = wide[np.isfinite(wide)]
        if self.edges is not None:
            found = count(wide, self.edges)
            self.counted = found if self.counted is None else self.counted + found
        if self.sketch is None:
            from datasketches import kll_doubles_sketch

            self.sketch = kll_doubles_sketch(KLL)
        if len(wide) > MOST:
            wide = wide[np.random.default_rng(self.values).integers(0, len(wide), MOST)]
        self.sketch.update(wide if wide.flags.writeable else wide.copy())

    def _moments(self, count: int, mean: float, squares: float) -> None:
        total = self.values + count
        apart = mean - self.mean
        self.mean += apart * count / total
        self.squares += squares + apart * apart * self.values * count / total
        self.values = total

    def _table(self, table: "Array") -> "tuple[Array, Array]":
        import numpy as np

        places = np.arange(256)
        if self.signed:
            places = np.where(places > 127, places - 256, places)
        order = np.argsort(places)
        return places[order].astype(np.float64), table[order]

    @property
    def deviation(self) -> float:
        """The standard deviation of all values."""
        return math.sqrt(max(0.0, self.squares) / self.values) if self.values else math.nan

    def quantiles(self) -> tuple[float, ...]:
        """Return the quantiles at QUANTILES of the finite values; none where there is no value."""
        import numpy as np

        if self.table is not None:
            places, counts = self._table(self.table)
            ranks = np.clip(np.ceil(np.array(QUANTILES) * self.values), 1, self.values)
            return tuple(places[np.searchsorted(np.cumsum(counts), ranks)].tolist())
        if self.sketch is None or self.sketch.is_empty():
            return ()
        found = [float(value) for value in self.sketch.get_quantiles(np.array(QUANTILES))]
        low = self.minimum if math.isfinite(self.minimum) else found[0]
        return (low, *found[1:-1], self.maximum if math.isfinite(self.maximum) else found[-1])

    def histogram(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Return edges and counts: over the given edges exactly; else over bins that one far value does not spoil."""
        import numpy as np

        quantiles = self.quantiles()
        if not quantiles:
            return (), ()
        edges = self.edges if self.edges is not None else np.array(bins(quantiles, self.whole))
        if self.counted is not None:
            counts = self.counted
        elif self.table is not None:
            places, weights = self._table(self.table)
            counts = np.bincount(place(places, edges), weights, len(edges) - 1)
        else:
            inner = edges[1:-1]
            shares = np.diff(self.sketch.get_cdf(inner), prepend=0.0) if len(inner) else np.ones(1)
            counts = np.diff(np.rint(np.cumsum(shares) * self.values), prepend=0)
        return tuple(edges.tolist()), tuple(int(number) for number in counts)


def place(values: "Array", edges: "Array") -> "Array":
    """Return the bin of each value; what lies outside is in the first or the last one."""
    import numpy as np

    return np.searchsorted(edges[1:-1], values, side="right")


def count(values: "Array", edges: "Array") -> "Array":
    """Return how many values are in each bin."""
    import numpy as np

    return np.bincount(place(values, edges), minlength=len(edges) - 1)


def bins(quantiles: tuple[float, ...], whole: bool) -> tuple[float, ...]:
    """Return the edges of a histogram: BINS of one width, of which the outer ones reach to far values.

    Few whole numbers have a bin each. One value alone has one bin without a width.
    """
    import numpy as np

    low, first, last, high = quantiles[0], quantiles[1], quantiles[-2], quantiles[-1]
    if low == high:
        return (low, high)
    if whole and high - low < BINS:
        return tuple(np.arange(low, high + 2).tolist())
    if not last - first < (high - low) / 2:  # no far value
        first, last = low, high
    inner = 2 * np.linspace(first / 2, last / 2, BINS + 1)[1:-1]
    return tuple(np.unique(np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]])).tolist())
