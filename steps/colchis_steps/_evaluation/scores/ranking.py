"""How well a score puts positive rows before negative ones: AUC, average precision, and their curves."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

ROOM = 1 << 21  # different scores that are kept apart, over all rankings of an evaluation: about 80 MB
LEAST = 1 << 8  # of one ranking
POINTS = 60  # of a curve that is drawn


class Ranking:
    """Weights of positives and of negatives by score, exact for up to ``room`` different scores.

    Where there are more, scores that agree in their leading bits fall together: with 65,536 places for scores between 0
    and 1 they agree to a part in 512, and an area is off by less than 0.001. Scores are not negative.
    """

    def __init__(self, room: int = ROOM) -> None:
        import numpy as np

        self.room, self._dropped = max(LEAST, room), 0
        self._scores, self._sums = np.empty(0, np.float32), np.empty((0, 2))
        self._waiting: list[tuple[Array, Array]] = []

    def add(self, scores: "Array", positive: "Array", weights: "Array") -> None:
        """Count rows: scores float [rows], positive bool [rows], weights float [rows]."""
        import numpy as np

        sums = np.stack([np.where(positive, weights, 0.0), np.where(positive, 0.0, weights)], axis=1)
        self._waiting.append((scores.astype(np.float32), sums))
        if sum(len(found) for found, _ in self._waiting) >= self.room:
            self._settle()

    def _settle(self) -> None:
        import numpy as np

        scores = np.concatenate([self._scores, *(found for found, _ in self._waiting)])
        sums = np.concatenate([self._sums, *(found for _, found in self._waiting)])
        self._waiting = []
        while True:
            shortened = (scores.view(np.int32) >> self._dropped << self._dropped).view(np.float32)
            found, places = np.unique(shortened, return_inverse=True)
            if len(found) <= self.room:
                break
            self._dropped += 1
        added = [np.bincount(places, sums[:, side], len(found)) for side in (0, 1)]
        self._scores, self._sums = found, np.stack(added, axis=1)

    def _counts(self) -> "tuple[Array, Array]":
        """Return the weights of positives and of negatives at or above each score, highest first, from 0."""
        import numpy as np

        self._settle()
        above = np.concatenate([np.zeros((1, 2)), np.cumsum(self._sums[::-1], axis=0)])
        return above[:, 0], above[:, 1]

    def auc(self) -> float:
        """Return the area under the ROC curve, where equal scores count half; NaN without rows of both kinds."""
        import numpy as np

        positive, negative = self._counts()
        if not (positive[-1] and negative[-1]):
            return float("nan")
        return float(np.trapezoid(positive / positive[-1], negative / negative[-1]))

    def auprc(self) -> float:
        """Return the average precision: precision at each score, weighted by what it adds to recall; NaN as ``auc``."""
        import numpy as np

        positive, negative = self._counts()
        if not (positive[-1] and negative[-1]):
            return float("nan")
        precision = positive[1:] / np.maximum(positive[1:] + negative[1:], 1e-300)
        return float((np.diff(positive) / positive[-1] * precision).sum())

    def curves(self) -> "tuple[Array, Array] | None":
        """Return points of the ROC curve (false by true positives) and of precision by recall, float [points, 2].

        At most POINTS of each, the ends with them; None without rows of both kinds.
        """
        import numpy as np

        positive, negative = self._counts()
        if not (positive[-1] and negative[-1]):
            return None
        recall, false = positive / positive[-1], negative / negative[-1]
        precision = positive[1:] / np.maximum(positive[1:] + negative[1:], 1e-300)
        return _thinned(np.stack([false, recall], 1)), _thinned(np.stack([recall[1:], precision], 1))


def _thinned(points: "Array") -> "Array":
    """Leave points that lie about as far apart, along the curve."""
    import numpy as np

    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(points, axis=0)).sum(axis=1))])
    wanted = np.linspace(0.0, way[-1], POINTS)
    chosen = np.unique(np.clip(np.searchsorted(way, wanted), 0, len(points) - 1))
    found: Array = points[chosen]
    return found
