"""What two models did on the same rows, made into what the tests of ``statistics`` take."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

LOSSES = {  # figures that are better when smaller, and the field of the results by row that they are means of
    "classification": {"loss": "loss", "brier": "brier"},
    "multilabel": {"loss": "loss"},
    "regression": {"mae": "absolute"},
}
HITS = {"classification": "accuracy", "multilabel": "subset_accuracy", "regression": ""}
MADE = {"classification": ("balanced_accuracy", "macro_f1"), "multilabel": ("micro_f1",), "regression": ()}
MOST = 200  # classes of which a figure is made in each sample


@dataclass(frozen=True)
class Pair:
    """Results of two models by row, structured arrays of ``results.KINDS[kind]`` in the same order.

    ``begin`` is where draws begin; ``groups`` are numbers of rows that belong together; ``parts`` are rows of parts of
    the data by name, bool [rows].
    """

    kind: str
    classes: tuple[str, ...]
    candidate: "Array"
    baseline: "Array"
    begin: int
    groups: "Array | None" = None
    parts: "Mapping[str, Array]" = field(default_factory=dict)
    same: bool = False  # both are the very same files

    @property
    def weight(self) -> "Array":
        """How much each row counts."""
        found: Array = self.candidate["weight"].astype("f8")
        return found

    def where(self, part: str) -> "Array | None":
        """Return the rows of a part of the data, also of a class by its label; None where there is no such part."""
        if part in self.parts:
            return self.parts[part]
        name = part.removeprefix("label=")
        if self.kind != "classification" or name == part or name not in self.classes:
            return None
        found: Array = self.candidate["label"] == self.classes.index(name)
        return found

    def of(self, rows: "Array") -> "Pair":
        """Return some of the rows."""
        groups = self.groups[rows] if self.groups is not None else None
        return Pair(
            self.kind, self.classes, self.candidate[rows], self.baseline[rows], self.begin, groups, {}, self.same
        )

    @property
    def equal(self) -> bool:
        """Whether both models did the same on all rows."""
        return self.same or self.candidate.tobytes() == self.baseline.tobytes()


def hits(kind: str, results: "Array") -> "Array":
    """Return which rows are right, bool [rows]."""
    if kind == "classification":
        found: Array = results["prediction"] == results["label"]
        return found
    right: Array = (results["hits"] == results["there"]) & (results["hits"] == results["said"])
    return right


@dataclass(frozen=True)
class Made:
    """A figure that is made of sums over rows: a ``table`` of them [rows, k], and the figure's change by the sums."""

    table: "Array"
    change: "Callable[[Array], Array]"  # of sums [draws, k]


def made(pair: Pair, metric: str) -> Made | None:
    """Return how the change of a figure is made; None where results by row do not give it."""
    import numpy as np

    weight, models = pair.weight, (pair.candidate, pair.baseline)
    if field_of := LOSSES[pair.kind].get(metric):
        table = np.stack([weight * rows[field_of].astype("f8") for rows in models], axis=1)
        return Made(table, lambda sums: sums[:, 0] / sums[:, 1] - 1)
    if metric == HITS[pair.kind]:
        right = [hits(pair.kind, rows).astype("f8") for rows in models]
        table = np.stack([weight * (right[0] - right[1]), weight], axis=1)
        return Made(table, lambda sums: sums[:, 0] / sums[:, 1])
    if metric == "micro_f1" and pair.kind == "multilabel":
        counts = [rows[name].astype("f8") for rows in models for name in ("hits", "there", "said")]
        return Made(np.stack([weight * values for values in counts], axis=1), _micro)
    if metric in {"balanced_accuracy", "macro_f1"} and pair.kind == "classification" and len(pair.classes) <= MOST:
        numbers, label = np.arange(len(pair.classes)), pair.candidate["label"][:, None]
        there = (label == numbers) * weight[:, None]
        said = [(rows["prediction"][:, None] == numbers) * weight[:, None] for rows in models]
        right = [there * (rows["prediction"][:, None] == label) for rows in models]
        table = np.concatenate([there, right[0], said[0], right[1], said[1]], axis=1)
        return Made(table, _recalls if metric == "balanced_accuracy" else _f1s)
    return None


def _micro(sums: "Array") -> "Array":
    found: Array = 2 * (sums[:, 0] / (sums[:, 1] + sums[:, 2]) - sums[:, 3] / (sums[:, 4] + sums[:, 5]))
    return found


def _recalls(sums: "Array") -> "Array":
    import numpy as np

    there, right, _, before, _ = np.split(sums, 5, axis=1)
    with np.errstate(invalid="ignore"):
        found: Array = np.nanmean((right - before) / there, axis=1)
    return found


def _f1s(sums: "Array") -> "Array":
    import numpy as np

    there, right, said, before, said_before = np.split(sums, 5, axis=1)
    with np.errstate(invalid="ignore"):
        now, then = 2 * right / (there + said), 2 * before / (there + said_before)
    found: Array = np.nanmean(now, axis=1) - np.nanmean(then, axis=1)
    return found
