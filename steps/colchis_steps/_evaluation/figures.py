"""Figures that results by row give, as sums over rows: so they can be told of other rows that might have been drawn.

What needs more of a row than is kept is not among them: the order of more than two classes, and several targets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.scores.classification import BINS

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

HITS = {"classification": "accuracy", "multilabel": "subset_accuracy", "regression": ""}  # shares of rows
LOSSES = {  # whose margin is a share of the baseline's, and the field of the results that they are means of
    "classification": {"loss": "loss", "brier": "brier"},
    "multilabel": {"loss": "loss"},
    "regression": {"mae": "absolute", "rmse": "squared"},
}
MADE = {
    "classification": ("balanced_accuracy", "macro_f1", "macro_precision", "ece"),
    "multilabel": ("micro_f1", "micro_precision", "micro_recall"),
    "regression": ("r2",),
}
RANKED = ("auc", "auprc")  # of two classes
SMALLER_IS_BETTER = frozenset({"loss", "brier", "mae", "rmse", "ece"})
MOST = 200  # classes of which a figure is made in each sample


@dataclass(frozen=True)
class Figure:
    """What of each row is added up, float [rows, k], and the figure by such sums, float [draws] of [draws, k]."""

    columns: "Callable[[Array], Array]"  # of results by row
    of: "Callable[[Array], Array]"


def names_of(kind: str, classes: int = 0) -> list[str]:
    """Return the figures that results by row give of a task with so many classes."""
    if kind not in HITS:
        return []
    ranked = RANKED if (kind, classes) == ("classification", 2) else ()
    return [*filter(None, [HITS[kind]]), *LOSSES[kind], *MADE[kind], *ranked]


def figure(kind: str, classes: Sequence[str], name: str, results: "Array") -> Figure | None:
    """Return how a figure is made of results by row; None where they do not give it."""
    if field := LOSSES[kind].get(name):
        return Figure(lambda rows: _weighed(rows, rows[field]), _root if name == "rmse" else _mean)
    if name and name == HITS[kind]:
        return Figure(lambda rows: _weighed(rows, hits(kind, rows)), _mean)
    return _made(kind, classes, name, results) if name in MADE[kind] else None


def _made(kind: str, classes: Sequence[str], name: str, results: "Array") -> Figure | None:
    if kind == "multilabel":
        counts = ("hits", "there", "said")
        return Figure(lambda rows: _weighed(rows, *(rows[each] for each in counts)), _OF_LABELS[name])
    if kind == "regression":
        middle = float(results["label"].mean(dtype="f8")) if len(results) else 0.0  # so that squares keep their digits
        return Figure(lambda rows: _spread(rows, middle), _explained) if has_one_target(results) else None
    if name == "ece":
        return Figure(lambda rows: _by_confidence(rows, two=len(classes) == 2), _calibration_error)
    return Figure(lambda rows: _by_class(rows, len(classes)), _OF_CLASSES[name]) if len(classes) <= MOST else None


def hits(kind: str, results: "Array") -> "Array":
    """Return which rows are right, bool [rows]."""
    if kind == "classification":
        found: Array = results["prediction"] == results["label"]
        return found
    right: Array = (results["hits"] == results["there"]) & (results["hits"] == results["said"])
    return right


def has_one_target(results: "Array") -> bool:
    """Return whether a regression has one target, so that the results have all of its labels and predictions."""
    import numpy as np

    apart = results["prediction"].astype(np.float64) - results["label"]
    return bool(np.allclose(np.abs(apart), results["absolute"], rtol=1e-4, atol=1e-6, equal_nan=True))


def _weighed(rows: "Array", *values: "Array") -> "Array":
    """Return values of rows and, last, 1, each times the row's weight: float64 [rows, values + 1]."""
    import numpy as np

    weight = rows["weight"].astype(np.float64)
    return np.stack([*(weight * each.astype(np.float64) for each in values), weight], axis=1)


def _spread(rows: "Array", middle: float) -> "Array":
    import numpy as np

    label = rows["label"].astype(np.float64) - middle
    return _weighed(rows, rows["squared"], label, np.square(label))


def _mean(sums: "Array") -> "Array":
    found: Array = sums[:, 0] / sums[:, -1]
    return found


def _root(sums: "Array") -> "Array":
    found: Array = _mean(sums) ** 0.5
    return found


def _explained(sums: "Array") -> "Array":
    """Return r2: of the squared errors, the labels, their squares and the weights."""
    spread = sums[:, 2] - sums[:, 1] ** 2 / sums[:, 3]
    found: Array = 1 - sums[:, 0] / spread
    return found


def _by_confidence(rows: "Array", *, two: bool) -> "Array":
    """Return weight times (confidence less right) in the row's bin of confidence, and the weight last."""
    import numpy as np

    score = rows["score"].astype(np.float64)
    confidence = np.where(rows["prediction"] == 0, 1 - score, score) if two else score
    where = np.clip(np.nan_to_num(confidence * BINS).astype(np.int64), 0, BINS - 1)
    apart = confidence - hits("classification", rows)
    return _weighed(rows, *((where == number) * apart for number in range(BINS)))


def _calibration_error(sums: "Array") -> "Array":
    import numpy as np

    found: Array = np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1]
    return found


def _by_class(rows: "Array", classes: int) -> "Array":
    """Return weights by class: of rows that have it, that are said to, and of which both is true; [rows, 3 classes]."""
    import numpy as np

    numbers, weight = np.arange(classes), rows["weight"].astype(np.float64)[:, None]
    there, said = (weight * (rows[name][:, None] == numbers) for name in ("label", "prediction"))
    return np.concatenate([there, said, there * (said > 0)], axis=1)


def _mean_of_classes(part: "Array", whole: "Array", counted: "Array") -> "Array":
    """Return the mean over the classes that count, where a share of nothing is 0."""
    import numpy as np

    shares = np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
    with np.errstate(invalid="ignore"):
        found: Array = (shares * counted).sum(axis=1) / counted.sum(axis=1)
    return found


def _recalls(sums: "Array") -> "Array":
    import numpy as np

    there, _, right = np.split(sums, 3, axis=1)
    return _mean_of_classes(right, there, there > 0)


def _precisions(sums: "Array") -> "Array":
    import numpy as np

    there, said, right = np.split(sums, 3, axis=1)
    return _mean_of_classes(right, said, there + said > 0)


def _f1s(sums: "Array") -> "Array":
    import numpy as np

    there, said, right = np.split(sums, 3, axis=1)
    return _mean_of_classes(2 * right, there + said, there + said > 0)


_OF_CLASSES = {"balanced_accuracy": _recalls, "macro_precision": _precisions, "macro_f1": _f1s}
_OF_LABELS: "dict[str, Callable[[Array], Array]]" = {
    "micro_f1": lambda sums: 2 * sums[:, 0] / (sums[:, 1] + sums[:, 2]),
    "micro_precision": lambda sums: sums[:, 0] / sums[:, 2],
    "micro_recall": lambda sums: sums[:, 0] / sums[:, 1],
}
