"""How a regression errs: by prediction, and predicted against true; of at most four targets."""

from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.scoring import Rows
from colchis_steps._formats.runs import Residuals

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BINS, CELLS = 12, 24
MOST = 4  # targets that are drawn
SAMPLE = 100_000  # predictions by which the bins are told


class Errors:
    """Sums of the errors in bins of prediction, which hold about as many rows each, and counts by label and prediction.

    ``predictions`` float [rows, targets] are looked at for the bins; labels beyond what is predicted are in the last
    cells.
    """

    def __init__(self, targets: tuple[str, ...], predictions: "Array") -> None:
        import numpy as np

        self.targets = targets[:MOST]
        chosen = np.asarray(predictions[:: max(1, -(-len(predictions) // SAMPLE)), : len(self.targets)], np.float64)
        chosen = chosen[np.isfinite(chosen).all(axis=1)]
        self.edges = [np.unique(np.quantile(one, np.linspace(0, 1, BINS + 1))) for one in chosen.T if len(one)]
        self.sums = [np.zeros((max(1, len(edges) - 1), 3)) for edges in self.edges]
        self.pairs: list[list[Array]] = [[] for _ in self.targets]
        self.step, self.seen = max(1, -(-len(predictions) // SAMPLE)), 0

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        import numpy as np

        for number, (edges, sums) in enumerate(zip(self.edges, self.sums, strict=True)):
            predicted, true = rows.predictions[:, number].astype(np.float64), rows.labels[:, number].astype(np.float64)
            known = np.isfinite(predicted)
            where = np.searchsorted(edges[1:-1], predicted[known], side="right")
            wrong = predicted[known] - true[known]
            np.add.at(sums, where, np.stack([np.ones(len(wrong)), wrong, np.square(wrong)], axis=1))
            self.pairs[number].append(np.stack([true[known], predicted[known]], axis=1)[:: self.step])

    def told(self) -> tuple[Residuals, ...]:
        """Return what there is to draw."""
        import numpy as np

        found = []
        for target, edges, sums, pairs in zip(self.targets, self.edges, self.sums, self.pairs, strict=False):
            both = np.concatenate(pairs)
            if not len(both):
                continue
            low, high = float(both.min()), float(both.max())
            high = high if high > low else low + 1.0
            span = [[low, high], [low, high]]
            plane, _, _ = np.histogram2d(both[:, 1], both[:, 0], bins=CELLS, range=span)
            count = np.maximum(sums[:, 0], 1)
            mean = sums[:, 1] / count
            spread = np.sqrt(np.maximum(sums[:, 2] / count - np.square(mean), 0))
            found.append(
                Residuals(
                    target,
                    tuple(float(f"{edge:.6g}") for edge in edges),
                    tuple(int(rows) for rows in sums[:, 0]),
                    tuple(float(f"{value:.6g}") for value in mean),
                    tuple(float(f"{value:.6g}") for value in spread),
                    low,
                    high,
                    tuple(tuple(int(cell) for cell in line) for line in plane),
                )
            )
        return tuple(found)
