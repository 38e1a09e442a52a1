"""The paired percentile bootstrap: what a metric, or its change, may be on other rows of the same kind.

Rows are drawn anew, with their candidate's and their baseline's values together; where rows belong to groups, whole
groups are. The draws come from two digests, so that whoever judges the same models again gets the same numbers.
"""

import hashlib
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

DRAWS = 2_000
HUGE = 1e300  # that infinite values are taken for, between which nothing lies
BLOCK = 2**17  # numbers drawn at once: they stay in the processor's cache
UNITS = 10_000  # rows beyond that are drawn in so many blocks: the spread of a mean is known to 1 % then


def seed(*digests: str) -> int:
    """Return where the draws begin for these models."""
    return int.from_bytes(hashlib.sha256("\n".join(digests).encode()).digest()[:16], "big")


def draw(statistic: "Callable[[Array], Array]", units: int, begin: int, strata: "Array | None" = None) -> "Array":
    """Return the statistic of DRAWS samples of as many units, drawn with replacement: [DRAWS, …].

    ``statistic`` gets how often each unit was drawn, float [some draws, units]. With ``strata`` [units] each has as
    many in a sample as it has in truth.
    """
    import numpy as np

    bits = np.random.PCG64(begin)  # its numbers are the same in each release of NumPy, which no Generator promises
    order = np.argsort(strata, kind="stable") if strata is not None else np.arange(units)
    sizes = np.unique(strata, return_counts=True)[1] if strata is not None else np.array([units])
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    size, half = np.repeat(sizes, sizes).astype(np.uint64), np.uint64(32)
    found, at = [], max(1, BLOCK // units)
    for begun in range(0, DRAWS, at):
        draws = min(at, DRAWS - begun)
        raw = bits.random_raw(draws * units // 2 + 1).view(np.uint32)[: draws * units].reshape(draws, units)
        scaled = raw * size
        scaled >>= half
        chosen = scaled.view(np.int64)
        if strata is not None:
            chosen = order[chosen + first]
        chosen += np.arange(draws)[:, None] * units
        counts = np.bincount(chosen.ravel(), minlength=draws * units).reshape(draws, units)
        found.append(statistic(counts.astype(np.float64)))
    return np.concatenate(found)


def sums(values: "Array", groups: "Array | None" = None) -> "Array":
    """Return rows' values [rows, k] added up by unit, to be drawn: [units, k].

    A unit is a group; without groups a row, or one of UNITS blocks of rows where there are more.
    """
    import numpy as np

    if groups is None and len(values) <= UNITS:
        return values
    numbers = np.unique(groups, return_inverse=True)[1] if groups is not None else np.arange(len(values)) % UNITS
    return np.stack([np.bincount(numbers, column) for column in values.T], axis=1)


def mean(values: "Array", begin: int, groups: "Array | None" = None) -> "Array":
    """Return means of rows' values [rows] in DRAWS samples."""
    import numpy as np

    table = sums(np.stack([values, np.ones(len(values))], axis=1), groups)

    def statistic(counts: "Array") -> "Array":
        drawn: Array = counts @ table
        return drawn[:, 0] / drawn[:, 1]

    return draw(statistic, len(table), begin)


def bounds(drawn: "Array", confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided percentile interval of drawn values; its ends may be infinite, or NaN where a value is."""
    import numpy as np

    finite = np.clip(drawn, -HUGE, HUGE)
    ends = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = (float(end) if abs(end) < HUGE / 2 else math.copysign(math.inf, end) for end in ends.tolist())
    return low, high
