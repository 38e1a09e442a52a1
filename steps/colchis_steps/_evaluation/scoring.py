"""One pass over the test split: what a model answered, scored against the labels as a whole and slice by slice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.results import each_row
from colchis_steps._evaluation.scores.ranking import ROOM
from colchis_steps._evaluation.slicing import BLOCK, Cut, parts_of
from colchis_steps._evaluation.tasks import Scores, as_labels, new_scores, weights_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Rows:
    """Some rows of the test split: what they hold, what was predicted, and what that is worth (see ``results``).

    ``others`` are the columns that no model takes.
    """

    features: "Mapping[str, Array]"
    predictions: "Array"
    labels: "Array"
    weights: "Array"
    results: "Array"
    others: "Mapping[str, Array]" = field(default_factory=dict)


class Watcher(Protocol):
    """Looks at all rows, in order."""

    def add(self, rows: Rows) -> None:
        """Take some rows."""


@dataclass(frozen=True)
class Figures:
    """What a model is worth: figures as a whole, and by slice; ``faults`` are broken rules with their reasons."""

    metrics: Mapping[str, float]
    slices: Mapping[str, Mapping[str, float]]
    faults: tuple[tuple[str, str], ...] = ()

    def flat(self) -> dict[str, float]:
        """Return all of it by the gate's names: ``accuracy``, ``recall/label=3``."""
        parts = {f"{m}/{name}": value for name, found in self.slices.items() for m, value in found.items()}
        return {**self.metrics, **parts}


def score(
    data: DataSet, predictions: "Array", cuts: tuple[Cut, ...] = (), watchers: Iterable[Watcher] = ()
) -> tuple[Figures, Scores]:
    """Score predictions [rows, …], which are in the order of the data, against the test split's labels.

    Memory does not grow with the rows.
    """
    room = ROOM // (1 + sum(len(cut.names) for cut in cuts))
    whole, parts, at = new_scores(data, room), dict[str, Scores](), 0
    watchers = list(watchers)
    for batch in data.batches("test", BLOCK):
        labels = as_labels(data, batch.labels[: batch.total])
        weights = weights_of(data, batch.others, batch.total)
        found = predictions[at : at + batch.total]
        whole.add(found, labels, weights)
        others = {key: values[: batch.total] for key, values in batch.others.items()}
        for name, chosen in parts_of(cuts, others):
            if name not in parts:
                parts[name] = new_scores(data, room)
            parts[name].add(found[chosen], labels[chosen], weights[chosen])
        if watchers:
            features = {name: values[: batch.total] for name, values in batch.features.items()}
            rows = Rows(features, found, labels, weights, each_row(data.task.kind, found, labels, weights), others)
            for watcher in watchers:
                watcher.add(rows)
        at += batch.total
    slices = whole.slices()
    for name in (name for cut in cuts for name in cut.names if name in parts):
        own = parts[name].metrics() | {"support": float(parts[name].rows)}
        slices[name] = {**slices.get(name, {}), **own}
    return Figures(whole.metrics(), slices, tuple(whole.faults())), whole
