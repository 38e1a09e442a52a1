"""A bound on a value that is to hold with a stated confidence: told by the bound of the value's interval."""

import math
from collections.abc import Collection

from colchis_steps._evaluation.gate import Rules, expand
from colchis_steps._evaluation.pairs import HITS, LOSSES, Pair, hits
from colchis_steps._evaluation.statistics.bootstrap import bounds, draw, sums
from colchis_steps._evaluation.statistics.power import least_rows
from colchis_steps._evaluation.statistics.proportions import wilson
from colchis_steps._formats.runs import Check
from colchis_steps._step.errors import InputError


def judge_values(given: Rules, known: Collection[str], alone: Pair | None, kind: str) -> tuple[Check, ...]:
    """Return the bounds on values for which the rules ask a confidence; ``alone`` has the candidate in both places.

    Raises:
        InputError: the results by row do not give a figure.
    """
    found = []
    for metric, limits in expand(given, known):
        if (confidence := limits.get("confidence")) is None:
            continue
        name, _, part = metric.partition("/")
        rows = alone.where(part) if alone and part else None
        is_recall = name == "recall" and part.startswith("label=") and kind == "classification"
        figures = [*filter(None, [HITS[kind], *LOSSES[kind]])] if kind in HITS else []
        if alone is None or not (name in figures or is_recall) or (part and rows is None):
            told = ", ".join(figures) or "nothing"
            raise InputError(
                f"thresholds ask a confidence of {metric!r}, which is told of {told} alone; leave confidence out"
            )
        there = alone.of(rows) if rows is not None else alone
        low, value, high = _interval(there, HITS[kind] if is_recall else name, confidence)
        units = len(set(there.groups.tolist())) if there.groups is not None else len(there.candidate)
        for bound in ("min", "max"):
            if bound in limits:
                sure = low if bound == "min" else high
                found.append(_check(metric, (bound, limits[bound], confidence), (value, sure), units))
    return tuple(found)


def _interval(alone: Pair, name: str, confidence: float) -> tuple[float, float, float]:
    """Return a value between its one-sided bounds; NaN where there are too few rows to tell them."""
    import numpy as np

    nan, results, weight = float("nan"), alone.candidate, alone.weight
    if not len(results):
        return nan, nan, nan
    is_share = name == HITS[alone.kind]
    each = hits(alone.kind, results) if is_share else results[LOSSES[alone.kind][name]].astype("f8")
    if is_share and alone.groups is None and bool((weight == 1).all()):
        low, high = wilson(int(each.sum()), len(each), 2 * confidence - 1)
        return low, float(each.mean()), high
    table = sums(np.stack([weight * each, weight], axis=1), alone.groups)
    total = table.sum(axis=0)
    value = float(total[0] / total[1]) if total[1] else nan
    if len(table) < least_rows():
        return nan, value, nan
    drawn = draw(lambda counts: (counts @ table[:, 0]) / (counts @ table[:, 1]), len(table), alone.begin)
    low, high = bounds(drawn, 2 * confidence - 1)
    return low, value, high


def _check(metric: str, asked: tuple[str, float, float], found: tuple[float, float], rows: int) -> Check:
    (bound, limit, share), (value, sure) = asked, found
    confidence, is_least = f"{100 * share:g} %", bound == "min"
    rule = f"{metric} {'≥' if is_least else '≤'} {limit:g} with {confidence} confidence"
    side = "at least" if is_least else "at most"
    actual = f"{value:.4f} ({side} {sure:.4f}, {rows} rows)"
    if sure >= limit if is_least else sure <= limit:  # false for NaN
        return Check(rule=rule, passed=True, actual=actual)
    if value >= limit if is_least else value <= limit:
        says = f"{side} {sure:.4f}" if math.isfinite(sure) else "that cannot be told"
        reason = f"{metric} is {value:.4f}, but with {confidence} confidence {says} by {rows} rows; more rows may tell"
        return Check(rule=rule, passed=False, actual=actual, reason=reason, severity="undecided")
    reason = f"{metric} is {value:.4f}, {'below' if is_least else 'above'} {limit:g}"
    return Check(rule=rule, passed=False, actual=actual, reason=reason)
