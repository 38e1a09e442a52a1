"""Regression: figures from predicted and true values, added up batch by batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

NAMES = ("r2", "rmse", "mae")


class Scores:
    """Sums over rows for each of the targets; memory does not grow with the rows."""

    def __init__(self, targets: Sequence[str]) -> None:
        import numpy as np

        self.targets = tuple(targets)
        self.rows, self.weight, self.finite = 0, 0.0, True
        self.squared, self.absolute, self.relative = (np.zeros(len(targets)) for _ in range(3))
        self.mean, self.spread = np.zeros(len(targets)), np.zeros(len(targets))  # of the labels; squares around it
        self.zero = False  # whether a label is 0, so that a relative error is not defined

    def add(self, predictions: "Array", labels: "Array", weights: "Array | None" = None) -> None:
        """Count rows: predictions and labels are float [rows, targets], weights float [rows].

        The labels' variance is merged as Chan, Golub and LeVeque do (Updating Formulae, 1979).
        """
        import numpy as np

        weights = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        self.rows += len(labels)
        self.finite &= bool(np.isfinite(predictions).all())
        total = float(weights.sum())
        if not self.finite or not total:
            return
        true, wrong = labels.astype(np.float64), predictions.astype(np.float64) - labels
        self.squared += weights @ np.square(wrong)
        self.absolute += weights @ np.abs(wrong)
        self.zero |= bool((true[weights > 0] == 0).any())
        if not self.zero:
            self.relative += weights @ np.where(true == 0, 0.0, np.abs(wrong) / np.where(true == 0, 1.0, np.abs(true)))
        mean = weights @ true / total
        apart = mean - self.mean
        self.spread += weights @ np.square(true - mean) + np.square(apart) * self.weight * total / (self.weight + total)
        self.mean += apart * total / (self.weight + total)
        self.weight += total

    def metrics(self) -> dict[str, float]:
        """Return r2, rmse, mae, and mape where no label is 0; NaN where the model gave what is not a number.

        Of several targets each is the mean over them. r2 is 1 less the squared errors' share of the labels' variance;
        NaN where all labels are equal.
        """
        import numpy as np

        if not self.finite or not self.weight:
            return dict.fromkeys(NAMES, float("nan"))
        each = [self._of(number) for number in range(len(self.targets))]
        found = {name: float(np.mean([one[name] for one in each])) for name in NAMES}
        return found if self.zero else found | {"mape": float((self.relative / self.weight).mean())}

    def _of(self, number: int) -> dict[str, float]:
        squared, spread = float(self.squared[number]), float(self.spread[number])
        return {
            "r2": 1.0 - squared / spread if spread > 0 else float("nan"),
            "rmse": (squared / self.weight) ** 0.5,
            "mae": float(self.absolute[number]) / self.weight,
        }

    def slices(self) -> dict[str, dict[str, float]]:
        """Return r2, rmse and mae by ``target=<name>``, where there are several."""
        if len(self.targets) < 2 or not self.finite or not self.weight:
            return {}
        return {f"target={name}": self._of(number) for number, name in enumerate(self.targets)}

    def faults(self) -> list[tuple[str, str]]:
        """Return in which ways the answers are no values, each with its reason."""
        return [] if self.finite else [("values are numbers", "the model gives NaN or infinity")]
