"""Multi-label: figures from a probability for each label and which of them a row has, added up batch by batch."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.scores.ranking import ROOM, Ranking
from colchis_steps._tensors.probabilities import SLACK

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SMALLEST = 1e-7  # the probability below which the loss does not grow; Keras has the same
NAMES = (
    "micro_f1", "macro_f1", "subset_accuracy", "hamming", "loss", "micro_precision", "micro_recall", "auc", "auprc",
)  # fmt: skip


def losses(probabilities: "Array", labels: "Array") -> "Array":
    """Return each row's binary cross-entropy in nats, the mean over the labels: float64 [rows]."""
    import numpy as np

    right = np.where(labels != 0, probabilities, 1.0 - probabilities.astype(np.float64))
    found: Array = -np.log(np.clip(right, SMALLEST, 1.0)).mean(axis=1)
    return found


class Scores:
    """Sums over rows; memory does not grow with them. A label is said where its probability is at least one half."""

    def __init__(self, classes: Sequence[str], room: int = ROOM) -> None:
        import numpy as np

        self.classes = tuple(classes)
        self.rows, self.weight, self.loss, self.whole = 0, 0.0, 0.0, 0.0
        self.finite, self.improper = True, ""
        self.table = np.zeros((len(classes), 2, 2))  # sums of weight by label: whether it is there, whether it is said
        self.support = np.zeros(len(classes), np.int64)
        self.rankings = [Ranking(room // max(1, len(classes))) for _ in classes]

    def add(self, probabilities: "Array", labels: "Array", weights: "Array | None" = None) -> None:
        """Count rows: probabilities are float [rows, labels], labels 0 or 1 [rows, labels], weights float [rows]."""
        import numpy as np

        weights = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        self.rows += len(labels)
        self.weight += float(weights.sum())
        self.finite &= bool(np.isfinite(probabilities).all())
        if not self.finite:
            return
        outside = (probabilities < -SLACK) | (probabilities > 1 + SLACK)
        if outside.any() and not self.improper:
            self.improper = f"{probabilities[outside][0]:.3g}"
        said, there = probabilities >= 0.5, labels != 0
        self.loss += float(weights @ losses(probabilities, labels))
        self.whole += float(weights @ (said == there).all(axis=1))
        self.support += there.sum(axis=0)
        for i in (0, 1):
            for j in (0, 1):
                self.table[:, i, j] += weights @ ((there == i) & (said == j))
        for number, ranking in enumerate(self.rankings):
            ranking.add(np.maximum(probabilities[:, number], 0), there[:, number], weights)

    def metrics(self) -> dict[str, float]:
        """Return the figures by NAMES; each is NaN where the model gave what is not a number.

        subset_accuracy is the share of rows all of whose labels are right, hamming that of labels that are wrong. micro
        counts labels of all rows together, macro is the mean over the labels that are there or said. loss is the mean
        binary cross-entropy in nats. auc and auprc are means over the labels that some rows have and others have not.
        """
        if not self.finite or not self.weight or not self.classes:
            return dict.fromkeys(NAMES, float("nan"))
        hits, wrongly, missed = self.table[:, 1, 1], self.table[:, 0, 1], self.table[:, 1, 0]
        told = [f1 for _, _, f1 in map(self._of, range(len(self.classes))) if not math.isnan(f1)]
        areas = [(ranking.auc(), ranking.auprc()) for ranking in self.rankings]
        known = [pair for pair in areas if not math.isnan(pair[0])]
        return {
            "micro_f1": _share(2 * hits.sum(), (2 * hits + wrongly + missed).sum()),
            "macro_f1": sum(told) / len(told) if told else float("nan"),
            "subset_accuracy": self.whole / self.weight,
            "hamming": float((wrongly + missed).sum() / (self.weight * len(self.classes))),
            "loss": self.loss / self.weight,
            "micro_precision": _share(hits.sum(), (hits + wrongly).sum()),
            "micro_recall": _share(hits.sum(), (hits + missed).sum()),
            "auc": sum(area for area, _ in known) / len(known) if known else float("nan"),
            "auprc": sum(area for _, area in known) / len(known) if known else float("nan"),
        }

    def _of(self, number: int) -> tuple[float, float, float]:
        """Return a label's precision, recall and F1; a recall without rows is NaN, as an F1 of what is never said."""
        hits, wrongly, missed = (float(self.table[number, i, j]) for i, j in ((1, 1), (0, 1), (1, 0)))
        recall = hits / (hits + missed) if hits + missed else float("nan")
        return _share(hits, hits + wrongly), recall, _share(2 * hits, 2 * hits + wrongly + missed, float("nan"))

    def slices(self) -> dict[str, dict[str, float]]:
        """Return precision, recall, f1, auc and support by ``label=<name>``; support counts rows."""
        found = {}
        for number, (name, ranking) in enumerate(zip(self.classes, self.rankings, strict=True)):
            precision, recall, f1 = self._of(number) if self.finite else (float("nan"),) * 3
            found[f"label={name}"] = {
                "precision": precision,
                "recall": recall,
                "f1": f1 if not math.isnan(recall) else float("nan"),
                "auc": ranking.auc() if self.finite else float("nan"),
                "support": float(self.support[number]),
            }
        return found

    def faults(self) -> list[tuple[str, str]]:
        """Return in which ways the answers are no probabilities, each with its reason."""
        found = []
        if self.improper:
            reason = f"the model gives {self.improper} for a label, which is no probability"
            found.append(("labels have probabilities", reason))
        if not self.finite:
            found.append(("probabilities are numbers", "the model gives NaN or infinity"))
        return found


def _share(part: float, whole: float, otherwise: float = 0.0) -> float:
    return float(part / whole) if whole else otherwise
