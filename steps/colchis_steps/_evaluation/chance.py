"""Whether a model is worth more than an answer that is always the same: what a gate without thresholds asks."""

from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.figures import has_one_target, hits
from colchis_steps._evaluation.statistics.power import ERROR
from colchis_steps._evaluation.statistics.proportions import better
from colchis_steps._formats.runs import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def above_chance(kind: str, classes: "Sequence[str]", results: "Array") -> tuple[Check, ...]:
    """Return whether the model beats the most frequent class, or the mean of the values, by more than noise.

    ``results`` are by row, of one model. Values are told by a sign test: on how many rows the model is nearer than the
    mean; of several targets, of which the results have the first alone, nothing is told. Nor of multi-label data.
    """
    import numpy as np

    if kind == "classification":
        counts = np.bincount(results["label"], minlength=len(classes))
        constant, right = results["label"] == counts.argmax(), hits(kind, results)
        against = f"always saying {classes[int(counts.argmax())]!r}"
        gained, lost = int((right & ~constant).sum()), int((constant & ~right).sum())
        shares = f"{right.mean():.4f} of {len(results)} rows are right, and {constant.mean():.4f} by {against}"
    elif kind == "regression" and has_one_target(results):
        label = results["label"].astype(np.float64)
        gap = np.abs(label - label.mean()) - results["absolute"]
        slack = 1e-5 * float(label.std())  # results by row are rounded to 32 bits
        against = f"always saying {label.mean():g}"
        gained, lost = int((gap > slack).sum()), int((gap < -slack).sum())
        shares = f"{gained} of {len(results)} rows are predicted better than by {against}, and {lost} worse"
    else:
        return ()
    rule = "better than a constant answer"
    if better(gained, lost) <= ERROR:
        return (Check(rule=rule, passed=True, actual=shares),)
    hint = "add rows to the split test" if gained > lost else "train longer, or on other columns"
    severity = "undecided" if gained > lost else "error"
    return (
        Check(rule, passed=False, actual=shares, reason=f"{shares}: no more than chance; {hint}", severity=severity),
    )
