"""What a model costs: its size, its memory, and the time of an answer, measured on the machine that judges.

p50_ms/rows=1, p95_ms/rows=1    milliseconds of an answer to one row: the median, and what 95 of 100 answers keep
p50_ms/rows=32, p95_ms/rows=32  the same to 32 rows at once
size_mib                        of its files
memory_mib                      the most that the process held while it loaded and asked the model, less what it held
                                before; data of 256 rows at a time are in it
"""

import importlib
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._evaluation.gate import Rules
from colchis_steps._program.opening import PACKAGES
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import SAVED_MODEL, format_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SIZE, MEMORY, TIMES = "size_mib", "memory_mib", ("p50_ms", "p95_ms")
ROWS = (1, 32)
WARM, LEAST, MOST, SECONDS = 3, 20, 200, 2.0  # calls that do not count, and how many do, unless they take longer
MIB = 1 << 20
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def is_cost(metric: str) -> bool:
    """Return whether thresholds of this name are a budget."""
    return metric.partition("/")[0] in {SIZE, MEMORY, *TIMES}


def are_measured(given: Rules) -> bool:
    """Return whether time or memory is asked for; else neither is measured. The size is always told."""
    return any(is_cost(metric) and metric != SIZE for metric in given)


def check_budgets(given: Rules) -> None:
    """Raise InputError where a budget is bound by more than a maximum, as no baseline has one."""
    for metric, bounds in given.items():
        if is_cost(metric) and (odd := sorted(bounds.keys() - {"max"})):
            raise InputError(f"threshold {odd[0]} of {metric[:128]!r} is no budget; give max alone")


class Costs:
    """Measures a model from before it is loaded."""

    def __init__(self, directory: Path, *, measured: bool) -> None:
        """Take the size; with ``measured`` import what runs the model, so that this does not count as the model's."""
        self.found = {SIZE: sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / MIB}
        self.measured, self.before = measured, math.nan
        if measured:
            kind = format_of([path.name for path in directory.iterdir()], str(directory))
            if kind == SAVED_MODEL:
                from colchis_steps._savedmodel.library import load_tensorflow

                load_tensorflow()
            else:
                importlib.import_module(PACKAGES[kind][0])
            self.before = _forget_peak()

    def take(self, ask: "Callable[[Mapping[str, Array]], object]", features: "Mapping[str, Array]") -> dict[str, float]:
        """Time answers to some of these rows, and return all costs by name."""
        import numpy as np

        for count in ROWS if self.measured else ():
            rows = {name: np.resize(values, (count, *values.shape[1:])) for name, values in features.items()}
            times = _times(partial(ask, rows))
            for name, share in zip(TIMES, (50, 95), strict=True):
                self.found[f"{name}/rows={count}"] = float(np.percentile(times, share)) * 1000
        if self.measured:
            self.found[MEMORY] = (_held("VmHWM") - self.before) / MIB
        return self.found


def _times(call: Callable[[], object]) -> list[float]:
    """Return the seconds of each call."""
    for _ in range(WARM):
        call()
    found: list[float] = []
    while len(found) < LEAST or (len(found) < MOST and sum(found) < SECONDS):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def _forget_peak() -> float:
    """Let the peak of this process begin now, where the kernel lets it; return what it holds now, in bytes."""
    try:
        RESET.write_text("5")
    except OSError:
        return _held("VmHWM")  # what comes above that is the model's at least
    return _held("VmRSS")


def _held(field: str) -> float:
    """Return a field of the process's status in bytes; NaN, which keeps no budget, where the system has none."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return math.nan
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), math.nan)
