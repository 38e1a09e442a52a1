"""Metrics of an order, in samples of rows: what ``bootstrap.draw`` takes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def auc(scores: "Array", positive: "Array") -> "Callable[[Array], Array]":
    """Return a statistic of counts [draws, rows]: the share of pairs that the scores put in the right order.

    A pair is a positive row and another one; where both have the same score it counts half.
    """
    import numpy as np

    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # of rows with the same score
    is_positive = positive[order].astype(np.float64)

    def statistic(counts: "Array") -> "Array":
        counts = counts[:, order]
        hits = np.add.reduceat(counts * is_positive, first, axis=1)
        others = np.add.reduceat(counts * (1 - is_positive), first, axis=1)
        below = np.cumsum(others, axis=1) - others / 2
        pairs = hits.sum(axis=1) * others.sum(axis=1)
        with np.errstate(invalid="ignore"):
            found: Array = (hits * below).sum(axis=1) / pairs  # NaN where a sample has rows of one kind alone
        return found

    return statistic


def average_precision(scores: "Array", positive: "Array") -> "Callable[[Array], Array]":
    """Return a statistic of counts [draws, rows]: precision at each score, weighted by what it adds to recall."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    first = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # of rows with the same score
    is_positive = positive[order].astype(np.float64)

    def statistic(counts: "Array") -> "Array":
        counts = counts[:, order]
        hits = np.add.reduceat(counts * is_positive, first, axis=1)
        said = np.cumsum(np.add.reduceat(counts, first, axis=1), axis=1)
        precision = np.cumsum(hits, axis=1) / np.maximum(said, 1e-300)
        total = hits.sum(axis=1)
        with np.errstate(invalid="ignore"):
            found: Array = (hits * precision).sum(axis=1) / total
        return np.where(total < said[:, -1], found, np.nan)  # a sample has rows of one kind alone

    return statistic


def ranked(name: str) -> "Callable[[Array, Array], Callable[[Array], Array]]":
    """Return what makes the statistic of this name, auc or auprc."""
    return auc if name == "auc" else average_precision
