"""The compiled metrics of a model, over all workers."""

from collections.abc import Sequence
from typing import Any

from colchis_steps._training.measures import scalars
from colchis_steps._training.workers import Workers


class Metrics:
    """Metrics of the batches since they were reset.

    ``whole``: each worker has counted all rows. Else each has counted its own, and states add up. ``kept`` are the
    states over all workers that the epoch's training ended with, or that a checkpoint has.
    """

    def __init__(self, model: Any, workers: Workers, *, whole: bool) -> None:
        self.model, self.workers, self.whole = model, workers, whole
        self.kept: Sequence[Any] = []
        tracker = model._loss_tracker
        self._has_own_loss = any(metric.name == "loss" and metric is not tracker for metric in model.metrics)

    def values(self) -> list[Any]:
        """Return the states over all workers."""
        here = [variable.value for variable in self.model.metrics_variables]
        return here if self.whole else self.workers.sum(here)

    def begin(self, batches: int) -> None:
        """Go on after so many batches of an epoch, if there are some."""
        if not batches:
            return
        self.model.reset_metrics()
        if self.whole or self.workers.here.chief:  # else the others begin at zero, as states add up
            self._assign(self.kept)

    def results(self) -> dict[str, float]:
        """Return the metrics as numbers."""
        if self.whole or self.workers.here.workers == 1:
            return scalars(self.model.get_metrics_result())
        here = [variable.value + 0 for variable in self.model.metrics_variables]
        self._assign(self.values())
        found = scalars(self.model.get_metrics_result())
        self._assign(here)
        return found

    def own_loss(self, found: dict[str, float], loss: float) -> float:
        """Return the mean loss, or what a metric of the user's makes of it under that name."""
        return found["loss"] if self._has_own_loss else loss

    def _assign(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self.model.metrics_variables, values, strict=True):
            variable.assign(value)
