"""Classification metrics from predicted probabilities, added up batch by batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._savedmodel.outputs import improper, in_words

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BINS = 15  # of equal width, for the calibration error
SMALLEST = 1e-7  # the probability below which the loss does not grow; Keras has the same


class Scores:
    """Counts over rows; memory does not grow with them.

    ``confusion`` is int64 [classes, classes]: rows are labels, columns are predictions.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        import numpy as np

        self.classes = tuple(classes)
        self.rows, self.loss = 0, 0.0
        self.finite = True
        self.improper = ""  # a row that is no probabilities
        self.confusion = np.zeros((len(classes), len(classes)), np.int64)
        self.bins = np.zeros((BINS, 2))  # sum of confidence, sum of hits

    def add(self, probabilities: "Array", labels: "Array") -> None:
        """Count rows: probabilities are float [rows, classes], labels int64 [rows]."""
        import numpy as np

        rows = np.arange(len(labels))
        predictions = probabilities.argmax(axis=1)
        self.rows += len(labels)
        if not self.improper and (row := improper(probabilities)) is not None:
            self.improper = in_words(probabilities[row])
        self.finite &= bool(np.isfinite(probabilities).all())
        self.loss += float(-np.log(np.clip(probabilities[rows, labels].astype(np.float64), SMALLEST, 1.0)).sum())
        np.add.at(self.confusion, (labels, predictions), 1)
        confidence = np.nan_to_num(probabilities[rows, predictions].astype(np.float64))
        where = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
        np.add.at(self.bins, where, np.stack([confidence, predictions == labels], axis=1))

    def metrics(self) -> dict[str, float]:
        """Return accuracy, loss (mean cross-entropy in nats) and ece; NaN where the model gave what is not a number.

        ece is the expected calibration error: the mean distance, over equal bins of confidence weighted by rows, of
        confidence and accuracy (Guo et al., On Calibration of Modern Neural Networks, 2017).
        """
        import numpy as np

        if not self.finite or not self.rows:
            return dict.fromkeys(("accuracy", "loss", "ece"), float("nan"))
        return {
            "accuracy": float(np.trace(self.confusion) / self.rows),
            "loss": self.loss / self.rows,
            "ece": float(np.abs(self.bins[:, 0] - self.bins[:, 1]).sum() / self.rows),
        }

    def slices(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support by ``label=<class>``.

        A class that is never predicted has precision 0. One that has no rows has a recall, and so an f1, of NaN.
        """
        found = {}
        for index, name in enumerate(self.classes):
            hits = float(self.confusion[index, index])
            support, predicted = float(self.confusion[index].sum()), float(self.confusion[:, index].sum())
            precision = hits / predicted if predicted else 0.0
            recall = hits / support if support and self.finite else float("nan")
            f1 = 2 * hits / (support + predicted) if support and self.finite else float("nan")
            found[f"label={name}"] = {"precision": precision, "recall": recall, "f1": f1, "support": support}
        return found

    def flat(self) -> dict[str, float]:
        """Return all of it by the gate's names: ``accuracy``, ``recall/label=3``."""
        return self.metrics() | {f"{m}/{s}": v for s, values in self.slices().items() for m, v in values.items()}
