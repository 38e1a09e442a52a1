"""What is a probability and what is not."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SLACK = 0.01  # of a row's sum: bfloat16 has 8 bits


def improper(probabilities: "np.ndarray[Any, Any]", *, one: bool = True) -> int | None:
    """Return the first row of [rows, classes] that leaves [0, 1] or does not sum to 1; rows with NaN are not judged.

    ``one``: a row has one class; else any number of them, and its sum says nothing.
    """
    import numpy as np

    values = probabilities.astype(np.float64)
    right = ((values >= -SLACK) & (values <= 1 + SLACK)).all(axis=1)
    right &= np.abs(values.sum(axis=1) - 1) <= SLACK if one else True
    wrong = np.isfinite(values).all(axis=1) & ~right
    return int(wrong.argmax()) if wrong.any() else None


def in_words(row: "np.ndarray[Any, Any]") -> str:
    """Return the first numbers of a row [classes], and its sum."""
    return f"[{', '.join(f'{value:.3g}' for value in row[:5])}] with the sum {row.sum():.3g}"
