"""Predictions on the test split that the report shows: the worst mistakes, then the first right ones."""

import heapq
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import MASK, VALID
from colchis_steps._data.dataset import DataSet
from colchis_steps._data.pictures import small_picture
from colchis_steps._evaluation.results import losses_of
from colchis_steps._evaluation.scoring import Rows
from colchis_steps._evaluation.tasks import names, targets
from colchis_steps._formats.data import Column
from colchis_steps._formats.runs import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


SAMPLES = 24
LONGEST = 120  # characters of a row in words
SIDE = 32  # points of a picture of numbers, or up to twice as many


def pixels(row: "Array", column: Column) -> tuple[tuple[int, ...], ...] | None:
    """Return a picture's grey values, 0 to 255 between the column's minimum and maximum; None if it is not a picture.

    ``row`` is [height, width], or [height, width, channels], whose channels are averaged.
    """
    import numpy as np

    if row.ndim not in {2, 3} or row.dtype.kind not in "biuf":
        return None
    grey = row.astype(np.float64).mean(axis=2) if row.ndim == 3 else row.astype(np.float64)
    step = max(1, -(-max(grey.shape) // (2 * SIDE)))
    grey = grey[::step, ::step]
    low = float(grey.min()) if column.minimum is None else column.minimum
    high = float(grey.max()) if column.maximum is None else column.maximum
    scaled = np.clip((grey - low) / ((high - low) or 1.0) * 255.0, 0.0, 255.0)
    return tuple(tuple(int(value) for value in line) for line in np.rint(np.nan_to_num(scaled)))


def in_words(row: "Mapping[str, Any]") -> str:
    """Return what a row's columns of one value hold: a lone text as it is, else each with its name; LONGEST at most."""
    shown = {name: _shown(value) for name, value in row.items() if getattr(value, "size", 1) == 1}
    found = next(iter(shown.values())) if len(row) == len(shown) == 1 else ", ".join(map(" ".join, shown.items()))
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def _shown(value: Any) -> str:
    found = value.item() if hasattr(value, "item") else value
    if isinstance(found, bytes):
        return found.decode(errors="replace")
    return f"{found:g}" if isinstance(found, float) else str(found)


class Samples:
    """A few predictions to show, from all rows that it is given: the worst mistakes, and the first right ones."""

    def __init__(self, data: DataSet, shown: Collection[str] | None = None) -> None:
        self.data, self.columns, self.seen = data, data.features, 0
        self.shown = self.columns.keys() if shown is None else shown  # the columns to tell of
        self.wrong: list[tuple[float, int, Sample]] = []  # a heap: the least wrong one first
        self.right: list[Sample] = []

    def add(self, rows: Rows) -> None:
        """Take what is still wanted of some rows."""
        import numpy as np

        losses, right = np.nan_to_num(losses_of(self.data.task.kind, rows.results), posinf=0.0), _right(rows.results)
        for i in np.flatnonzero(right)[: SAMPLES - len(self.right)].tolist():
            self.right.append(self._sample(rows, i, float(losses[i])))
        wrong = np.flatnonzero(~right)
        for i in wrong[np.argsort(-losses[wrong], kind="stable")][:SAMPLES].tolist():
            found = (float(losses[i]), -(self.seen + i))
            if len(self.wrong) < SAMPLES:
                heapq.heappush(self.wrong, (*found, self._sample(rows, i, found[0])))
            elif found > self.wrong[0][:2]:
                heapq.heapreplace(self.wrong, (*found, self._sample(rows, i, found[0])))
        self.seen += len(losses)

    def _sample(self, rows: Rows, i: int, wrong: float) -> Sample:
        label, prediction, confidence = _told(self.data, rows, i)
        values = {name: column[i] for name, column in rows.features.items()}
        told = {name: one for name, one in values.items() if name in self.shown and not name.endswith((VALID, MASK))}
        media = [name for name in told if name in self.columns and self.columns[name].media.startswith("image/")]
        drawn = [
            found
            for name, value in told.items()
            if hasattr(value, "ndim") and name in self.columns and (found := pixels(value, self.columns[name]))
        ]
        picture = small_picture(told[media[0]]) if len(media) == 1 else None
        text = in_words({name: value for name, value in told.items() if name not in media})
        return Sample(label, prediction, confidence, drawn[0] if len(drawn) == 1 else None, text, wrong, picture)

    def chosen(self) -> tuple[Sample, ...]:
        """Return at most SAMPLES of them."""
        wrong = [sample for *_, sample in sorted(self.wrong, key=lambda one: one[:2], reverse=True)]
        return tuple((wrong + self.right)[:SAMPLES])


def _right(results: "Array") -> "Array":
    """Return which rows are no mistake, bool [rows]; of a regression none, as each row is more or less wrong."""
    import numpy as np

    if "squared" in (results.dtype.names or ()):
        return np.zeros(len(results), bool)
    if "hits" in (results.dtype.names or ()):
        found: Array = (results["hits"] == results["there"]) & (results["hits"] == results["said"])
        return found
    return np.asarray(results["label"] == results["prediction"])


def _told(data: DataSet, rows: Rows, i: int) -> tuple[str, str, float]:
    """Return a row's label and prediction in words, and how sure the model is."""
    import numpy as np

    predicted, label = rows.predictions[i], rows.labels[i]
    if data.task.kind == "regression":
        several = targets(data) if len(label) > 1 else ()
        pairs = [
            ", ".join(f"{f'{several[k]} ' if several else ''}{value:.6g}" for k, value in enumerate(one[:4]))
            for one in (label, predicted)
        ]
        return pairs[0], pairs[1], 0.0
    if data.task.kind == "multilabel":
        there, said = (
            [data.classes[k] for k in np.flatnonzero(found).tolist()] for found in (label != 0, predicted >= 0.5)
        )
        return names(there) or "none", names(said) or "none", 0.0
    chosen = int(predicted.argmax())
    confidence = float(predicted[chosen]) if np.isfinite(predicted[chosen]) else 0.0
    return data.classes[int(label)], data.classes[chosen], round(confidence, 6)
