"""The times at which eval and test begin, such that the splits have their shares."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

DISTINCT = 1 << 20  # times that are told apart; with more, the last bits of all are left out, until there are fewer
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class Times:
    """How often each time occurs. What is kept depends on the times alone, not on their order."""

    def __init__(self) -> None:
        import numpy as np

        self.dropped = 0  # bits
        self.values, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self.real = False

    def add(self, times: "Array") -> None:
        """Take in times, int64 or float64."""
        import numpy as np

        self.real = times.dtype.kind == "f"
        ordered = _flipped(times.view(np.int64)) if self.real else times
        values, counts = np.unique(ordered >> self.dropped, return_counts=True)
        self._merge(np.concatenate([self.values, values]), np.concatenate([self.counts, counts]))
        while len(self.values) > DISTINCT:
            self.dropped += 1
            self._merge(self.values >> 1, self.counts)

    def _merge(self, values: "Array", counts: "Array") -> None:
        import numpy as np

        self.values, places = np.unique(values, return_inverse=True)
        self.counts = np.bincount(places, counts, len(self.values)).astype(np.int64)

    def cuts(self, shares: Sequence[float], where: str) -> list[int] | list[float]:
        """Return where each split but the first begins, nearest to the shares; equal times stay together.

        Raises:
            InputError: there are fewer times than splits.
        """
        import numpy as np

        wanted = [share for share in shares if share > 0]
        if len(self.values) < len(wanted):
            raise InputError(f"{where} has {len(self.values)} times, too few for splits; name another with --time")
        before = np.cumsum(self.counts) - self.counts
        chosen, at = list[int](), 0.0
        for i, share in enumerate(shares[:-1]):
            at += share
            nearest = int(np.argmin(np.abs(before - at / sum(shares) * self.counts.sum())))
            least = (chosen[-1] if chosen else 0) + (share > 0)
            chosen.append(min(max(nearest, least), len(before) - sum(share > 0 for share in shares[i + 1 :])))
        starts = np.append(self.values, self.values[-1] + 1)[chosen] << self.dropped
        return list((_flipped(starts).view(np.float64) if self.real else starts).tolist())


def _flipped(bits: "Array") -> "Array":
    """Return the bits of floats as integers of the same order, and back."""
    import numpy as np

    return np.where(bits < 0, bits ^ np.int64(0x7FFFFFFFFFFFFFFF), bits)


def steps_of(kind: "pa.DataType", seconds: float) -> float:
    """Return seconds in units of a column of times; of a column of numbers they are its own units."""
    import pyarrow as pa

    if pa.types.is_date32(kind):
        return seconds / 86_400
    if pa.types.is_date64(kind):
        return seconds * 1_000
    return seconds * UNITS[kind.unit] if pa.types.is_temporal(kind) else seconds


def times_of(batches: "Iterable[Array]") -> Times:
    """Return how often each time occurs."""
    found = Times()
    for batch in batches:
        found.add(batch)
    return found
