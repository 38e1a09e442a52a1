"""How sure a value is: its interval, by which a bound that is to hold with a stated confidence is judged."""

import math
from collections.abc import Collection

from colchis_steps._evaluation.drawing import of_ranks, of_sums
from colchis_steps._evaluation.figures import HITS, RANKED, figure, hits, names_of
from colchis_steps._evaluation.gate import Rules, expand
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.statistics.bootstrap import bounds
from colchis_steps._evaluation.statistics.power import ERROR, least_rows
from colchis_steps._evaluation.statistics.proportions import wilson
from colchis_steps._evaluation.statistics.ranking import ranked
from colchis_steps._formats.runs import Check
from colchis_steps._step.errors import InputError


def intervals(alone: Pair, known: Collection[str]) -> dict[str, tuple[float, float]]:
    """Return the two-sided interval of 90 % of each of the known figures that results by row tell, by its name."""
    found = {}
    for name in (name for name in names_of(alone.kind, len(alone.classes)) if name in known):
        low, _, high = _interval(alone, name, 1 - ERROR)
        if math.isfinite(low + high):
            found[name] = (low, high)
    return found


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
        figures = names_of(kind, len(alone.classes) if alone else 0)
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
    nan, results = float("nan"), alone.candidate
    if not len(results):
        return nan, nan, nan
    if name == HITS[alone.kind] and alone.groups is None and bool((alone.weight == 1).all()):
        right = hits(alone.kind, results)
        low, high = wilson(int(right.sum()), len(right), 2 * confidence - 1)
        return low, float(right.mean()), high
    if name in RANKED:
        value, units, draws = of_ranks(alone, ranked(name)(results["score"], results["label"] == 1))
    elif (how := figure(alone.kind, alone.classes, name, results)) is not None:
        value, units, draws = of_sums(alone, how.columns(results), how.of)
    else:
        return nan, nan, nan
    if units < least_rows():
        return nan, value, nan
    low, high = bounds(draws, 2 * confidence - 1)
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
