"""What a figure of one model, or its change between two, is on the rows, and in each draw of rows."""

from typing import TYPE_CHECKING, Any, NamedTuple

from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.statistics.bootstrap import draw, sums

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class Drawn(NamedTuple):
    """A value, how many rows or groups of rows it is of, and what it is in each draw of these: float [DRAWS]."""

    value: float
    units: int
    draws: "Array"


def of_sums(pair: Pair, columns: "Array", of: "Callable[[Array], Array]") -> Drawn:
    """Draw what is made of sums over rows: ``of`` gets sums of the columns [rows, k], float [some draws, k]."""
    import numpy as np

    table = sums(columns, pair.groups)
    units = len(np.unique(pair.groups)) if pair.groups is not None else len(columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(of(table.sum(axis=0)[None])[0])
        return Drawn(value, units, draw(lambda counts: of(counts @ table), len(table), pair.begin))


def of_ranks(pair: Pair, of: "Callable[[Array], Array]") -> Drawn:
    """Draw what is made of the order of rows of two classes; as many of each are drawn as there are.

    ``of`` gets how much each row counts, float [some draws, rows].
    """
    import numpy as np

    weight, positive = pair.weight, pair.candidate["label"] == 1
    groups = None if pair.groups is None else np.unique(pair.groups, return_inverse=True)[1]
    units = len(weight) if groups is None else int(groups.max()) + 1

    def statistic(counts: "Array") -> "Array":
        return of((counts if groups is None else counts[:, groups]) * weight)

    value = float(statistic(np.ones((1, units)))[0])
    return Drawn(value, units, draw(statistic, units, pair.begin, positive if groups is None else None))
