"""How long a model's batches take, and so where they are computed: in the event loop where they are short.

To hand a batch to a thread and back costs some tenths of a millisecond: the two threads want the interpreter's lock in
turn. A small model computes in less. Longer batches go to threads, so that health and other models are answered
meanwhile. While a thread of Python computes, the loop waits up to ``sys.getswitchinterval()``, 5 ms, for the lock
anyway, so a batch of less holds up nobody more than a thread would.

In the loop a batch's time is this process's processor time, as other programs' share of the cores is not the model's
doing; but a quarter of the time by the clock at least, as a model may also wait.
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass

SHORT = 0.005  # seconds
SEEN = 16  # batches from which it is told
MOST = 1 << 12  # of them, for a model that was sent back to threads again and again


@dataclass(eq=False)
class Pace:
    """The pace of a model's batches of one shape; ``short`` says that they may be computed in the loop."""

    shape: Hashable
    short: bool = False
    _wanted: int = SEEN
    _count: int = 0
    _least: float = SHORT
    _total: float = 0.0

    def begin(self) -> tuple[float, float]:
        """Return when a batch begins, by the clock and in processor time."""
        return time.monotonic(), time.process_time()

    def note_here(self, began: tuple[float, float]) -> None:
        """Note a batch that was computed in the loop."""
        self.note(max(time.process_time() - began[1], (time.monotonic() - began[0]) / 4))

    def note(self, seconds: float) -> None:
        """Note how long a batch took.

        In threads a batch waits for the interpreter's lock as well, so there the shortest of some counts. In the loop
        it is their sum: one long batch, or some that are not so short, send those that follow to threads, each time for
        twice as many.
        """
        self._count += 1
        self._least = min(self._least, seconds)
        self._total += seconds
        if self.short and self._total >= SEEN * SHORT:
            self.short, self._wanted = False, min(self._wanted * 2, MOST)
        elif self._count < (SEEN if self.short else self._wanted):
            return
        else:
            self.short = self.short or self._least < SHORT
        self._count, self._least, self._total = 0, SHORT, 0.0
