"""How far two histograms are apart, and whether by more than chance; pure mathematics over counts in the same bins.

A column drifted where both hold: its test says so at 1 % after Holm's correction for all columns, and its PSI, less
what chance alone gives, is above .05. Either alone alarms: the test over large data, PSI over small ones.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

LEVEL = 0.01
LARGE = 0.05  # PSI
LEAST = 1000  # rows of each, for a verdict


def kolmogorov_smirnov(first: Sequence[int], second: Sequence[int]) -> float:
    """Return p of the two-sample test on counts in ordered bins: at least that of the values themselves.

    The distribution is the limit of Smirnov (Table for Estimating the Goodness of Fit of Empirical Distributions,
    1948), for n·m/(n + m) values.
    """
    import numpy as np

    n, m = sum(first), sum(second)
    if not n or not m:
        return 1.0
    apart = np.abs(np.cumsum(first) / n - np.cumsum(second) / m).max()
    return kolmogorov(math.sqrt(n * m / (n + m)) * float(apart))


def kolmogorov(x: float) -> float:
    """Return the probability that Kolmogorov's distribution is above x: 2·Σ (-1)^(k-1)·exp(-2k²x²)."""
    if x < 0.2:
        return 1.0
    return min(1.0, max(0.0, 2 * sum((1.0 if k % 2 else -1.0) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))))


def chi_square(first: Sequence[int], second: Sequence[int]) -> float:
    """Return p of Pearson's test that counts of the same classes come of one distribution."""
    import numpy as np

    table = np.array([first, second], np.float64)
    table = table[:, table.sum(axis=0) > 0]
    totals = table.sum(axis=1)
    if table.shape[1] < 2 or not totals.all():
        return 1.0
    expected = np.outer(totals, table.sum(axis=0)) / table.sum()
    return chi_square_above(float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1)


def chi_square_above(x: float, degrees: int) -> float:
    """Return the probability that chi-square of so many degrees is above x: the regularized upper incomplete gamma.

    By its series below a + 1 and by Lentz's continued fraction above (Numerical Recipes, 3rd edition, section 6.2).
    """
    a, x = degrees / 2, x / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1 - scale * total)
    b = x + 1 - a
    c, d = 1e300, 1 / b
    h = d
    for i in range(1, 10_000):
        b += 2
        d = 1 / (-i * (i - a) * d + b)
        c = b - i * (i - a) / c
        h *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return min(1.0, scale * h)


def psi(reference: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index Σ (q - p)·ln(q/p), less its mean where nothing drifted.

    That noise is (bins - 1)·(1/n + 1/m) (Yurdakul, Statistical Properties of Population Stability Index, 2018). Half a
    row is added to each bin, so that an empty one is not infinite.
    """
    n, m = sum(reference), sum(now)
    if not n or not m:
        return 0.0
    p, q = _shares(reference), _shares(now)
    used = sum(1 for one, other in zip(reference, now, strict=True) if one or other)
    index = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    return max(0.0, index - (used - 1) * (1 / n + 1 / m))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def jensen_shannon(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the divergence in bits: 0 where the shares are equal, 1 where they have nothing in common."""
    n, m = sum(first), sum(second)
    if not n or not m:
        return 0.0
    found = 0.0
    for one, other in zip(first, second, strict=True):
        p, q = one / n, other / m
        for share in (p, q):
            if share:
                found += share * math.log2(2 * share / (p + q)) / 2
    return max(0.0, found)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values after the correction of Holm (A Simple Sequentially Rejective Multiple Test Procedure, 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, highest = [0.0] * len(values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, values[at] * (len(values) - rank)))
        found[at] = highest
    return found
