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
LONGEST = 120  # characters of a row in words


def pixels(row: "Array", column: Column) -> tuple[tuple[int, ...], ...] | None:
    """Return a picture's grey values, 0 to 255 between the column's minimum and maximum; None if it is not a picture.

    ``row`` is [height, width], or [height, width, channels], whose channels are averaged.
    """
    import numpy as np

    if row.ndim not in {2, 3} or row.dtype.kind not in "biuf":
        return None
    grey = row.astype(np.float64).mean(axis=2) if row.ndim == 3 else row.astype(np.float64)
    low = float(grey.min()) if column.minimum is None else column.minimum
    high = float(grey.max()) if column.maximum is None else column.maximum
    scaled = np.clip((grey - low) / ((high - low) or 1.0) * 255.0, 0.0, 255.0)
    return tuple(tuple(int(value) for value in line) for line in np.rint(np.nan_to_num(scaled)))


def in_words(row: "Mapping[str, Any]") -> str:
    """Return what a row's columns of one value hold: a lone text as it is, else each with its name; LONGEST at most."""
    shown = {name: _shown(value.item()) for name, value in row.items() if value.size == 1}
    found = next(iter(shown.values())) if len(row) == len(shown) == 1 else ", ".join(map(" ".join, shown.items()))
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return f"{value:g}" if isinstance(value, float) else str(value)


class Samples:
    """A few predictions to show: wrong ones first, then others, each kind in the order of the data."""

    def __init__(self, data: DataSet) -> None:
        self.classes, self.columns = data.classes, data.features
        self.wrong: list[Sample] = []
        self.right: list[Sample] = []

    def add(self, features: "Mapping[str, Array]", probabilities: "Array", labels: "Array") -> None:
        """Take what is still wanted of a batch."""
        for i, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
            kind = self.right if (prediction := int(row.argmax())) == label else self.wrong
            if len(kind) < SAMPLES:
                confidence = float(row[prediction]) if math.isfinite(row[prediction]) else 0.0
                values = {name: column[i] for name, column in features.items()}
                drawn = [picture for name, value in values.items() if (picture := pixels(value, self.columns[name]))]
                picture = drawn[0] if len(drawn) == 1 else None
                kind.append(
                    Sample(
                        self.classes[int(label)],
                        self.classes[prediction],
                        round(confidence, 6),
                        picture,
                        in_words(values),
                    )
                )

    def chosen(self) -> tuple[Sample, ...]:
        """Return at most SAMPLES of them."""
        return tuple((self.wrong + self.right)[:SAMPLES])
