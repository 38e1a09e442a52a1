"""What is measured of a training: seconds of its steps, and metrics as numbers."""

from dataclasses import dataclass
from typing import Any

from colchis_steps._formats.runs import Epoch, Speed


@dataclass
class Clock:
    """Seconds of training steps, the first of each epoch left out, as it builds the graph or finds no batch ready."""

    steps: int = 0
    rows: int = 0
    waited: float = 0.0  # for input
    worked: float = 0.0
    exchange: float | None = None  # one sum over the workers, measured alone

    def speed(self) -> Speed:
        """Return the means of a step."""
        steps, exchange = max(1, self.steps), self.exchange or 0.0
        work = self.worked / steps
        return Speed(
            examples_per_second=round(self.rows / (self.waited + self.worked), 1) if self.rows else 0.0,
            step=round(work + self.waited / steps, 6),
            input=round(self.waited / steps, 6),
            compute=round(max(0.0, work - exchange), 6),
            all_reduce=round(min(work, exchange), 6),
        )


def logs_of(epoch: Epoch) -> dict[str, float]:
    """Return an epoch as Keras's callbacks know it."""
    return epoch.train | {f"val_{name}": value for name, value in epoch.eval.items()}


def rate(rows: int, seconds: float) -> float:
    return round(rows / seconds, 1) if rows and seconds else 0.0


def scalars(found: dict[str, Any]) -> dict[str, float]:
    """Return the metrics as numbers; one that is a vector becomes ``name[0]``, ``name[1]`` and so on."""
    import numpy as np

    flat: dict[str, float] = {}
    for name, value in found.items():
        values = np.asarray(value, dtype=np.float64).ravel()
        flat |= {name if len(values) == 1 else f"{name}[{i}]": float(v) for i, v in enumerate(values)}
    return flat
