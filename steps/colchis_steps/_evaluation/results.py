"""What a model did row by row, kept for comparisons: at most 24 bytes a row, in the order of the test split.

classification  label, prediction (numbers of classes), score (of the second of two classes, else of the predicted
                one), loss, brier, weight
multilabel      there, said, hits (counts of labels), loss, weight
regression      label, prediction (of the first target), absolute, squared (means over the targets), weight
"""

from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.scores import classification, multilabel

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

KINDS = {
    "classification": [("label", "<i4"), ("prediction", "<i4")]
    + [(name, "<f4") for name in ("score", "loss", "brier", "weight")],
    "multilabel": [("there", "<i4"), ("said", "<i4"), ("hits", "<i4"), ("loss", "<f4"), ("weight", "<f4")],
    "regression": [(name, "<f4") for name in ("label", "prediction", "absolute", "squared", "weight")],
}


def each_row(kind: str, predictions: "Array", labels: "Array", weights: "Array") -> "Array":
    """Return the results of some rows, a structured array of KINDS[kind]."""
    import numpy as np

    found = np.empty(len(labels), KINDS[kind])
    found["weight"] = weights
    if kind == "classification":
        chosen = predictions.argmax(axis=1)
        found["label"], found["prediction"] = labels, chosen
        found["score"] = predictions[:, 1] if predictions.shape[1] == 2 else predictions[np.arange(len(labels)), chosen]
        found["loss"], found["brier"] = classification.losses(predictions, labels)
    elif kind == "multilabel":
        there, said = labels != 0, predictions >= 0.5
        found["there"], found["said"], found["hits"] = there.sum(1), said.sum(1), (there & said).sum(1)
        found["loss"] = multilabel.losses(predictions, labels)
    else:
        wrong = predictions.astype(np.float64) - labels
        found["label"], found["prediction"] = labels[:, 0], predictions[:, 0]
        found["absolute"], found["squared"] = np.abs(wrong).mean(1), np.square(wrong).mean(1)
    return found


def losses_of(kind: str, rows: "Array") -> "Array":
    """Return how wrong each row is, float [rows]: by its loss, or its squared error."""
    found: Array = rows["squared" if kind == "regression" else "loss"]
    return found
