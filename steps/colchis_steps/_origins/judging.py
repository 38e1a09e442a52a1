"""What a figure's change means, in words and as a tone for colour: only a test tells better from chance."""

import math

from colchis_steps._formats.runs import Change

SMALLER = frozenset({"loss", "log_loss", "brier", "ece", "mae", "rmse", "mape", "hamming"})  # is better
LARGER = frozenset(
    {"accuracy", "balanced_accuracy", "auc", "auprc", "f1", "recall", "precision", "r2", "subset_accuracy"}
    | {f"{way}_{name}" for way in ("macro", "micro") for name in ("precision", "recall", "f1")}
)


def direction(metric: str) -> int:
    """Return 1 where more is better, -1 where less is; 0 for figures of one's own, of which nobody knows."""
    name = metric.partition("/")[0]
    return 1 if name in LARGER else -1 if name in SMALLER else 0


def judged(metric: str, change: float, tested: Change | None = None) -> tuple[str, str]:
    """Return what a change means and its tone: good, bad or none. Without a test it only looks so."""
    way = direction(metric)
    if tested is not None and math.isfinite(tested.low + tested.high):
        return _tested(way, tested)
    if not math.isfinite(change):
        return "", ""
    return ("the same", "") if change == 0 else _said(way * (1 if change > 0 else -1), "looks ")


def _tested(way: int, change: Change) -> tuple[str, str]:
    if change.test == "equal" or change.low == change.high == 0:
        return "the same on all rows" if change.test == "equal" else "the same", ""
    if change.test == "few":
        return f"too few rows to tell ({change.rows})", ""
    if change.low > 0 or change.high < 0:
        return _said(way * (1 if change.low > 0 else -1), "")
    return "not told apart", ""


def _said(sign: int, how: str) -> tuple[str, str]:
    if not sign:
        return "changed", ""
    return (f"{how}better", "good") if sign > 0 else (f"{how}worse", "bad")


def bounds(low: float, high: float, *, relative: bool = False) -> str:
    """Return an interval in words; nothing where it is not known."""
    if not math.isfinite(low + high):
        return ""
    if relative:
        return f"{100 * low:+.1f} % to {100 * high:+.1f} %".replace("-", "\N{MINUS SIGN}")
    return f"{low:+.4f} to {high:+.4f}".replace("-", "\N{MINUS SIGN}")


def range_of(interval: tuple[float, float] | None) -> str:
    """Return the interval of a value in words; nothing where there is none."""
    if interval is None or not math.isfinite(sum(interval)):
        return ""
    return f"{number(interval[0])} to {number(interval[1])}"


def number(value: float) -> str:
    """Return a metric with three digits that matter."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000 else f"{value:.3g}"


def signed(value: float, digits: int = 4) -> str:
    """Return a change, or evidence, with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else number(value)
