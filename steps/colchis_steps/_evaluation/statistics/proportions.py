"""Two models that are right or wrong on the same rows: tests and intervals of the change in the share of right ones.

``gained`` counts the rows where the candidate alone is right, ``lost`` those where the baseline alone is. Counts are
numbers or arrays that broadcast; a change is candidate minus baseline.
"""

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

HALVINGS = 60  # of the interval that holds a bound: to the last bit of a double


def score(gained: Any, lost: Any, rows: Any, change: Any) -> "Array":
    """Return Tango's score statistic against the given change: about standard normal where that is the true one.

    Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample design,
    Statistics in Medicine 17 (1998): the variance is that of the most likely shares under which ``change`` holds. With
    no change it is McNemar's statistic. Zero where there is nothing to go by.
    """
    import numpy as np

    b, c, n = (np.asarray(count, np.float64) for count in (gained, lost, rows))
    linear = -b - c + (2 * n - b + c) * change
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * change * (1 - change), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (root - linear) / (4 * n)  # of rows that the baseline alone has right
        variance = n * (2 * share + change * (1 - change))
        found: Array = np.where(variance > 0, (b - c - n * change) / np.sqrt(variance), 0.0)
    return found


def not_worse(gained: Any, lost: Any, rows: int, margin: float) -> "Array":
    """Return the one-sided p-values of "the share of right rows falls by the margin, or more".

    The larger of Tango's and of the exact binomial one for models that differ on no more rows than the margin: there
    Tango's alone rejects up to 6.8 % (268 rows, margin .01), as counts are whole.
    """
    import numpy as np

    net = np.clip(np.asarray(lost) - np.asarray(gained), -1, rows)
    exact = np.where(net < 0, 0.0, binomial(rows, margin)[net])
    return np.maximum(tail(score(gained, lost, rows, -margin)), exact)


def worse(gained: Any, lost: Any, rows: int, margin: float) -> "Array":
    """Return the one-sided p-values of "the share of right rows falls by no more than the margin": as ``not_worse``."""
    import numpy as np

    net = np.clip(np.asarray(lost) - np.asarray(gained), 0, rows)
    exact = 1.0 - np.concatenate([[0.0], binomial(rows, margin)])[net] if margin else 0.0
    return np.maximum(tail(-score(gained, lost, rows, -margin)), exact)


def better(gained: int, lost: int) -> float:
    """Return the one-sided p-value of "the candidate is right no more often": McNemar's mid-p.

    Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013): the exact binomial test of the rows where
    just one is right, with half of the probability of what was found.
    """
    import numpy as np

    differing = gained + lost
    upto: Array = binomial(differing, 0.5)
    below = float(upto[lost - 1]) if lost else 0.0
    return float(np.clip((below + upto[lost]) / 2, 0.0, 1.0))


def interval(gained: Any, lost: Any, rows: Any, confidence: float = 0.95) -> "tuple[Array, Array]":
    """Return the two-sided interval of the change: the changes that Tango's test does not reject."""
    import numpy as np

    z = NormalDist().inv_cdf((1 + confidence) / 2)
    b, c, n = np.broadcast_arrays(*(np.asarray(count, np.float64) for count in (gained, lost, rows)))

    def bound(limit: float) -> "Array":
        low, high = np.full(b.shape, -1.0), np.full(b.shape, 1.0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            rejected = score(b, c, n, middle) > limit  # the statistic falls with the change
            low, high = np.where(rejected, middle, low), np.where(rejected, high, middle)
        found: Array = (low + high) / 2
        return found

    return bound(z), bound(-z)


def wilson(hits: int, rows: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval of a share (Wilson, JASA 22, 1927); 0 to 1 where there are no rows."""
    if not rows:
        return 0.0, 1.0
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), hits / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    return max(0.0, middle - half), min(1.0, middle + half)


def tail(z: "Array") -> "Array":
    """Return the probability that a standard normal variable is larger."""
    import numpy as np

    found: Array = np.vectorize(lambda value: math.erfc(value / math.sqrt(2)) / 2, otypes=[np.float64])(z)
    return found


def binomial(count: int, share: float) -> "Array":
    """Return the probabilities of at most 0, 1, … ``count`` of that many trials: float [count + 1]."""
    import numpy as np

    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    hits = np.arange(count + 1)
    logs = factorials[-1] - factorials - factorials[::-1] + hits * math.log(share) + hits[::-1] * math.log1p(-share)
    found: Array = np.minimum(np.cumsum(np.exp(logs)), 1.0)
    return found
