"""Classification: figures from predicted probabilities and the labels' numbers, added up batch by batch."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.scores.ranking import ROOM, Ranking
from colchis_steps._tensors.probabilities import improper, in_words

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BINS = 15  # of equal width, for the calibration error
SMALLEST = 1e-7  # the probability below which the loss does not grow; Keras has the same
NAMES = (
    "accuracy", "balanced_accuracy", "loss", "brier", "ece", "auc", "auprc", "macro_precision", "macro_f1",
)  # fmt: skip


def losses(probabilities: "Array", labels: "Array") -> "tuple[Array, Array]":
    """Return each row's cross-entropy in nats, and its Brier score: float64 [rows].

    The Brier score is the sum of squared differences over the classes, and for two classes half of it (Brier,
    Verification of Forecasts Expressed in Terms of Probability, 1950).
    """
    import numpy as np

    rows = np.arange(len(labels))
    wide = probabilities.astype(np.float64)
    loss = -np.log(np.clip(wide[rows, labels], SMALLEST, 1.0))
    wide[rows, labels] -= 1.0
    brier = np.square(wide).sum(axis=1)
    return loss, brier / 2 if probabilities.shape[1] == 2 else brier


class Scores:
    """Sums over rows; memory does not grow with them.

    ``confusion`` is int64 [classes, classes], and counts rows: those of it are labels, its columns are predictions.
    ``weighed`` is the same with the rows' weights, by which all figures but ``support`` are made.
    """

    def __init__(self, classes: Sequence[str], room: int = ROOM) -> None:
        import numpy as np

        self.classes = tuple(classes)
        self.rows, self.weight, self.loss, self.brier = 0, 0.0, 0.0, 0.0
        self.finite = True
        self.improper = ""  # a row that is no probabilities
        self.confusion = np.zeros((len(classes), len(classes)), np.int64)
        self.weighed = np.zeros((len(classes), len(classes)))
        self.bins = np.zeros((BINS, 3))  # sums of weight, of confidence and of hits
        self.ranked = [1] if len(classes) == 2 else range(len(classes))  # of two classes the second is the positive one
        self.rankings = [Ranking(room // max(1, len(self.ranked))) for _ in self.ranked]

    def add(self, probabilities: "Array", labels: "Array", weights: "Array | None" = None) -> None:
        """Count rows: probabilities are float [rows, classes], labels int64 [rows], weights float [rows]."""
        import numpy as np

        rows = np.arange(len(labels))
        weights = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        predictions = probabilities.argmax(axis=1)
        self.rows += len(labels)
        self.weight += float(weights.sum())
        if not self.improper and (row := improper(probabilities)) is not None:
            self.improper = in_words(probabilities[row])
        self.finite &= bool(np.isfinite(probabilities).all())
        np.add.at(self.confusion, (labels, predictions), 1)
        np.add.at(self.weighed, (labels, predictions), weights)
        if not self.finite:
            return
        loss, brier = losses(probabilities, labels)
        self.loss += float(weights @ loss)
        self.brier += float(weights @ brier)
        confidence = probabilities[rows, predictions].astype(np.float64)
        where = np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)
        hits = predictions == labels
        np.add.at(self.bins, where, np.stack([weights, weights * confidence, weights * hits], axis=1))
        for number, ranking in zip(self.ranked, self.rankings, strict=True):
            ranking.add(np.maximum(probabilities[:, number], 0), labels == number, weights)

    def metrics(self) -> dict[str, float]:
        """Return the figures by NAMES; each is NaN where the model gave what is not a number.

        loss is the mean cross-entropy (log loss) in nats. balanced_accuracy is the mean recall of the classes that have
        rows. ece is the expected calibration error: the mean distance, over equal bins of confidence weighted by rows,
        of confidence and accuracy (Guo et al., On Calibration of Modern Neural Networks, 2017). auc and auprc are the
        area under the ROC curve and the average precision: of the second class where there are two, else the mean of
        each class against the rest.
        """
        import numpy as np

        if not self.finite or not self.weight:
            return dict.fromkeys(NAMES, float("nan"))
        told = [(precision, recall, f1) for precision, recall, f1 in self._each() if not math.isnan(f1)]
        recalls = [recall for _, recall, _ in told if not math.isnan(recall)]
        areas = [(ranking.auc(), ranking.auprc()) for ranking in self.rankings]
        known = [pair for pair in areas if not math.isnan(pair[0])]
        return {
            "accuracy": float(np.trace(self.weighed) / self.weight),
            "balanced_accuracy": sum(recalls) / len(recalls),
            "loss": self.loss / self.weight,
            "brier": self.brier / self.weight,
            "ece": float(np.abs(self.bins[:, 1] - self.bins[:, 2]).sum() / self.weight),
            "auc": sum(area for area, _ in known) / len(known) if known else float("nan"),
            "auprc": sum(area for _, area in known) / len(known) if known else float("nan"),
            "macro_precision": sum(precision for precision, _, _ in told) / len(told),
            "macro_f1": sum(f1 for _, _, f1 in told) / len(told),
        }

    def _each(self) -> list[tuple[float, float, float]]:
        """Return each class's precision, recall and F1.

        A class that is never predicted has precision 0. One that has no rows has a recall of NaN, and where it is never
        predicted either, an F1 of NaN.
        """
        found = []
        for index in range(len(self.classes)):
            hits = float(self.weighed[index, index])
            there, predicted = float(self.weighed[index].sum()), float(self.weighed[:, index].sum())
            precision = hits / predicted if predicted else 0.0
            recall = hits / there if there else float("nan")
            found.append((precision, recall, 2 * hits / (there + predicted) if there + predicted else float("nan")))
        return found

    def slices(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1 and support by ``label=<class>``; support counts rows, whatever their weights.

        A class that is never predicted has precision 0. One that has no rows has a recall, and so an f1, of NaN.
        """
        found = {}
        for index, (name, (precision, recall, f1)) in enumerate(zip(self.classes, self._each(), strict=True)):
            known = self.finite and not math.isnan(recall)
            found[f"label={name}"] = {
                "precision": precision if self.finite else float("nan"),
                "recall": recall if known else float("nan"),
                "f1": f1 if known else float("nan"),
                "support": float(self.confusion[index].sum()),
            }
        return found

    def faults(self) -> list[tuple[str, str]]:
        """Return in which ways the answers are no probabilities, each with its reason."""
        found = []
        if self.improper:
            reason = f"the model gives rows like {self.improper}, which are no probabilities"
            found.append(("rows are probabilities", reason))
        if not self.finite:
            found.append(("probabilities are numbers", "the model gives NaN or infinity"))
        return found
