"""Predictions on the test split that the report shows."""

import math
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import DataSet
from colchis_steps._formats.data import Column
from colchis_steps._formats.runs import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


SAMPLES = 24


def pixels(row: "Array", column: Column) -> tuple[tuple[int, ...], ...] | None:
    """Return a picture's grey values, 0 to 255 between the column's minimum and maximum; None if it is not a picture.

    ``row`` is [height, width], or [height, width, channels], whose channels are averaged.
    """
    import numpy as np

    if row.ndim not in {2, 3}:
        return None
    grey = row.astype(np.float64).mean(axis=2) if row.ndim == 3 else row.astype(np.float64)
    low = float(grey.min()) if column.minimum is None else column.minimum
    high = float(grey.max()) if column.maximum is None else column.maximum
    scaled = np.clip((grey - low) / ((high - low) or 1.0) * 255.0, 0.0, 255.0)
    return tuple(tuple(int(value) for value in line) for line in np.rint(np.nan_to_num(scaled)))


class Samples:
    """A few predictions to show: wrong ones first, then others, each kind in the order of the data."""

    def __init__(self, data: DataSet) -> None:
        self.classes, self.columns = data.classes, list(data.features.values())
        self.wrong: list[Sample] = []
        self.right: list[Sample] = []

    def add(self, features: "Mapping[str, Array]", probabilities: "Array", labels: "Array") -> None:
        """Take what is still wanted of a batch."""
        for i, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
            kind = self.right if (prediction := int(row.argmax())) == label else self.wrong
            if len(kind) < SAMPLES:
                confidence = float(row[prediction]) if math.isfinite(row[prediction]) else 0.0
                picture = pixels(features[self.columns[0].name][i], self.columns[0]) if len(self.columns) == 1 else None
                kind.append(Sample(self.classes[int(label)], self.classes[prediction], round(confidence, 6), picture))

    def chosen(self) -> tuple[Sample, ...]:
        """Return at most SAMPLES of them."""
        return tuple((self.wrong + self.right)[:SAMPLES])
