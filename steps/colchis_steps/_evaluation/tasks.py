"""What of a model is judged, by the task of the data; a task that is not here is judged by metrics of one's own alone.

classification  output ``probability`` [rows, classes]
multilabel      output ``probability`` [rows, labels]
regression      output ``value`` [rows, targets]
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.scores import classification, multilabel, regression
from colchis_steps._evaluation.scores.ranking import ROOM

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

OUTPUTS = {"classification": "probability", "multilabel": "probability", "regression": "value"}
DEFAULTS: Mapping[str, Mapping[str, Mapping[str, float]]] = {  # the gate's thresholds where none are given
    "classification": {"accuracy": {"not_worse": 0.01}},
    "multilabel": {"micro_f1": {"min": 0.5, "not_worse": 0.01}},
    "regression": {"r2": {"min": 0.0}, "mae": {"not_worse": 0.02}},
}


class Scores(Protocol):
    """Sums over rows of which a task's figures are made."""

    rows: int

    def add(self, predictions: "Array", labels: "Array", weights: "Array | None" = None) -> None:
        """Count rows."""

    def metrics(self) -> dict[str, float]:
        """Return the figures of all rows."""

    def slices(self) -> dict[str, dict[str, float]]:
        """Return the figures of each class or target."""

    def faults(self) -> list[tuple[str, str]]:
        """Return rules that the answers break whatever the thresholds are, each with its reason."""


def targets(data: DataSet) -> tuple[str, ...]:
    """Return the names of a regression's numbers, in order: the target's columns, or ``name[0]`` and on of a vector."""
    columns, found = data.manifest.by_name, list[str]()
    for name in data.task.target:
        shape = columns[name].shape
        found += [f"{name}[{i}]" for i in range(prod(shape))] if shape else [name]
    return tuple(found)


def width(data: DataSet) -> int:
    """Return how many numbers a row of the judged output has."""
    return len(targets(data) if data.task.kind == "regression" else data.classes)


def new_scores(data: DataSet, room: int = ROOM) -> Scores:
    """Return the sums of a known task; ``room`` bounds the scores that are told apart."""
    if data.task.kind == "regression":
        return regression.Scores(targets(data))
    kind: type[Scores] = classification.Scores if data.task.kind == "classification" else multilabel.Scores
    made: Any = kind
    found: Scores = made(data.classes, room)
    return found


def as_labels(data: DataSet, labels: "Array") -> "Array":
    """Return labels as scores take them: of a regression [rows, targets]."""
    return labels.reshape(len(labels), -1) if data.task.kind == "regression" else labels


def weights_of(data: DataSet, others: "Mapping[str, Array]", rows: int) -> "Array":
    """Return how much each of the first ``rows`` rows counts, float64 [rows]; ``others`` are a batch's."""
    import numpy as np

    found: Array = others[data.weight][:rows].astype(np.float64) if data.weight else np.ones(rows)
    return found


def names(found: Sequence[str]) -> str:
    """Return names in a sentence."""
    return ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
