"""How many rows a comparison needs: for a bootstrap to hold its error, and for equal models to be told so."""

import math
from statistics import NormalDist

from colchis_steps._evaluation.statistics.proportions import binomial, not_worse

ERROR = 0.05  # one-sided: a model that is worse by the margin passes so often
LEAST = 300  # rows for a percentile bootstrap
STEP = 0.001  # of proposed margins
EXACT = 500  # differing rows, above which the normal approximation does


def least_rows(margin: float | None = None) -> int:
    """Return the rows below which a bootstrap concludes nothing; ``margin`` is a share, None where it is of a loss."""
    return max(LEAST, math.ceil(3 / margin - 1e-9)) if margin else LEAST


def power(rows: int, differing: float, margin: float) -> float:
    """Return how often a model that is just as good is told not worse by the margin.

    ``differing`` is the share of rows that just one of the two has right.
    """
    import numpy as np

    if rows * differing > EXACT:
        return NormalDist().cdf(margin / math.sqrt(differing / rows) - NormalDist().inv_cdf(1 - ERROR))
    if differing <= 0:
        return float(not_worse(0, 0, rows, margin) <= ERROR)
    upto = binomial(rows, differing)
    chances = np.diff(upto, prepend=0.0)
    total = 0.0
    for count in np.flatnonzero(chances > 1e-6):
        lost = np.arange(count + 1)
        split = np.diff(binomial(int(count), 0.5), prepend=0.0)
        total += chances[count] * split[not_worse(count - lost, lost, rows, margin) <= ERROR].sum()
    return float(total)


def margin_for(rows: int, differing: float, wanted: float = 0.5) -> float:
    """Return the least margin, in steps of a tenth of a point, at which equal models pass with the power wanted."""
    spread = math.sqrt(differing / rows)
    guess = (NormalDist().inv_cdf(1 - ERROR) + NormalDist().inv_cdf(wanted)) * spread
    steps = max(1, math.ceil(guess / STEP - 1e-9))
    while steps * STEP < 1 and power(rows, differing, steps * STEP) < wanted:
        steps += 1
    return round(steps * STEP, 3)


def rows_for(change: float, limit: float, spread: float) -> int | None:
    """Return the rows at which such a change would be told from the limit; None where no number would.

    ``spread`` is the standard deviation of a row's change.
    """
    distance = abs(change - limit)
    if distance <= 1e-3 * spread:
        return None
    return math.ceil((NormalDist().inv_cdf(1 - ERROR) * spread / distance) ** 2)
