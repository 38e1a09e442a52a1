"""Golden predictions: rows and what the exported model answered to them, asked again of what is served.

What is served must answer as the model did when it was judged: the difference between training and serving is zero
up to rounding, which differs between processors.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from colchis_steps._formats.models import Golden
from colchis_steps._rollout.checks import error_of
from colchis_steps._serving.client import call

ABSOLUTE, RELATIVE = 1e-4, 1e-3  # as for the export's own check
ROUNDING = 1e-5  # of an output's greatest number: a small one may be the difference of great ones


def skew(golden: Golden, url: str, model: str, version: int, headers: Mapping[str, str] | None = None) -> str:
    """Ask a served version the golden rows; say how it differs, "" where it does not.

    Raises:
        Away: nothing answers.
    """
    if not golden.inputs:  # of a model that was not judged, and takes neither zeros nor ones
        return ""
    place, outputs = f"{url}/v1/models/{model}/versions/{version}:predict", golden.outputs
    status, found = call(place, {"inputs": nulled(golden.inputs)}, timeout=60, headers=headers)
    whole = [number for number in range(_rows(golden.inputs)) if not _has_nan(golden.inputs, number)]
    if status == 400 and 0 < len(whole) < _rows(golden.inputs):  # TensorFlow Serving takes no null
        inputs, outputs = ({n: [v[i] for i in whole] for n, v in of.items()} for of in (golden.inputs, golden.outputs))
        status, found = call(place, {"inputs": inputs}, timeout=60, headers=headers)
    if status != 200:
        return f"it answers {status} to the rows that it was judged by: {error_of(found)}"
    return difference(outputs, found["outputs"])


def nulled(value: Any) -> Any:
    """Return a value with null in the place of NaN, which JSON has not, and which stands for one."""
    if isinstance(value, dict):
        return {name: nulled(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [nulled(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _rows(columns: Mapping[str, Sequence[Any]]) -> int:
    return len(next(iter(columns.values()), ()))


def _has_nan(columns: Mapping[str, Sequence[Any]], row: int) -> bool:
    return any(values[row] != nulled(values[row]) for values in columns.values())


def difference(wanted: Mapping[str, Sequence[Any]], outputs: Any) -> str:
    """Return where outputs differ; a single output comes without its name."""
    answered = outputs if isinstance(outputs, dict) else dict.fromkeys(wanted, outputs)
    for name, rows in wanted.items():
        if name not in answered:
            return f"it has no output {name}, and had one when it was judged"
        there = answered[name]
        if not isinstance(there, list) or len(there) != len(rows):
            return f"{name} has other rows than when it was judged"
        least = max(ABSOLUTE, ROUNDING * _greatest(rows))
        for number, (one, other) in enumerate(zip(rows, there, strict=True)):
            if not close(one, other, least):
                return f"{name} of golden row {number} is {_short(other)}, and was {_short(one)} when it was judged"
    return ""


def close(one: Any, other: Any, least: float = ABSOLUTE) -> bool:
    """Return whether two values are the same: numbers within rounding, or within ``least``; all else exactly.

    A server that writes JSON as it should has null for what is not finite.
    """
    if isinstance(one, list | tuple):
        same = isinstance(other, list | tuple) and len(one) == len(other)
        return same and all(close(a, b, least) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and not math.isfinite(one):
        return other is None or one == other or (isinstance(other, float) and math.isnan(one) and math.isnan(other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=least)
    return type(one) is type(other) and bool(one == other)


def _greatest(value: Any) -> float:
    if isinstance(value, list | tuple):
        return max(map(_greatest, value), default=0.0)
    return abs(value) if isinstance(value, float) and math.isfinite(value) else 0.0


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
