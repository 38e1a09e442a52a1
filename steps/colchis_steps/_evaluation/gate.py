"""The gate's judgement: bounds on values, and on changes against the baseline; all must hold, and NaN never does.

A metric's name is ``accuracy``, or ``recall/label=3`` for one of its slices, or ``recall/*`` for each of them, or
``rmse/region=*`` for those that begin so. A change is the candidate's value minus the baseline's. The semantics are
those of TFX's "blessing": value thresholds and change thresholds, both, where the first model has no baseline to change
against. ``not_worse`` and ``better`` are told by a test, and ``values`` judges those with a confidence; other bounds
take the figures as they are.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from colchis_steps._formats.runs import Check
from colchis_steps._step.errors import InputError

Rules = Mapping[str, Mapping[str, float]]


PAIRED = ("not_worse", "better")  # margins, which ``changes`` judges on the same rows
BOUNDS = ("min", "max", "min_change", "max_change", *PAIRED, "confidence")
ROUNDING = 1e-9  # 0.94 - 0.95 is a little less than -0.01


def rules(text: str) -> Rules:
    """Read thresholds such as ``{"accuracy": {"min": 0.95, "min_change": -0.01}}``; no text is none.

    Raises:
        InputError: it is of another form; the sentence says which part.
    """
    if not text.strip():
        return {}
    try:
        given: Rules = json.loads(text)
    except ValueError as error:
        raise InputError(
            f'thresholds {text[:256]!r} are not JSON ({error}); give {{"accuracy": {{"min": 0.9}}}}'
        ) from error
    if not isinstance(given, dict):
        raise InputError(f'thresholds {text[:256]!r} are not a JSON object; give {{"accuracy": {{"min": 0.9}}}}')
    check_rules(given)
    return given


def check_rules(given: Mapping[str, Any]) -> None:
    """Raise InputError where thresholds are of another form; the sentence says which part."""
    for metric, bounds in given.items():
        if not isinstance(bounds, dict) or not bounds or not bounds.keys() <= set(BOUNDS):
            raise InputError(f"threshold of {metric!r} is {bounds!r}; give an object of {', '.join(BOUNDS)}")
        for bound, value in bounds.items():
            if type(value) not in {int, float} or not math.isfinite(value):
                raise InputError(f"threshold {bound} of {metric[:128]!r} is {str(value)[:128]!r}; give a finite number")
            if bound == "confidence" and not (0.5 <= value < 1 and {"min", "max"} & bounds.keys()):
                raise InputError(
                    f"threshold confidence of {metric[:128]!r} is {value:g}; give a number from 0.5 to below 1, such "
                    "as 0.95, beside min or max"
                )
            least = 0 if bound == "better" else 1e-4
            if bound in PAIRED and not least <= value < 1:
                raise InputError(
                    f"threshold {bound} of {metric[:128]!r} is {value:g}; give the margin, a number from {least:g} to "
                    "below 1, such as 0.01"
                )


def expand(given: Rules, known: Collection[str]) -> list[tuple[str, Mapping[str, float]]]:
    """Return each known metric that the rules name with its bounds, ``*`` expanded, in the order of the rules.

    Raises:
        InputError: a rule names no metric that there is.
    """
    found = []
    for metric, bounds in given.items():
        each = "/" in metric and metric.endswith("*")
        chosen = [name for name in known if name == metric or (each and name.startswith(metric[:-1]))]
        if not chosen:
            there = sorted({name.partition("/")[0] + ("/*" if "/" in name else "") for name in known})
            raise InputError(
                f"thresholds name the metric {metric!r}, but there are only {', '.join(there)}; correct it"
            )
        found += [(name, bounds) for name in chosen]
    return found


def judge(
    given: Rules,
    candidate: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    first_model: str = "accept",
    missing: str = "no version of this model is stable yet",
) -> tuple[str, tuple[Check, ...]]:
    """Hold the rules against the candidate's metrics; return the verdict and each check with its reason.

    Without a baseline the bounds on changes do not apply, and ``first_model`` (accept or reject) decides; ``missing``
    says why there is none.

    Raises:
        InputError: a rule names no metric of the candidate.
    """
    checks: list[Check] = []
    for name, bounds in expand(given, candidate):
        value = candidate[name]
        for bound, limit in bounds.items():
            if bound in PAIRED or ("confidence" in bounds and not bound.endswith("_change")):
                continue
            if not bound.endswith("_change"):
                checks.append(_check(name, bound, limit, value))
            elif baseline is not None:
                checks.append(_check(f"change of {name}", bound[:3], limit, value - baseline.get(name, math.nan)))
    if baseline is None:
        passed = first_model == "accept"
        reason = "" if passed else f"{missing}, and a first model is to be rejected"
        checks.append(Check(rule="baseline or first model accepted", passed=passed, actual=missing, reason=reason))
    return verdict(checks), tuple(checks)


def verdict(checks: Sequence[Check]) -> str:
    """Return fail where a check failed that does more than warn, else undecided where one is, else pass."""
    broken = {check.severity for check in checks if not check.passed}
    return "fail" if "error" in broken else "undecided" if "undecided" in broken else "pass"


def never_right(slices: Mapping[str, Mapping[str, float]], severity: str = "warn") -> tuple[Check, ...]:
    """Return a check of classes that have rows and are never predicted rightly: accuracy may be high without them."""
    lost = [name for name, values in slices.items() if values.get("support") and values.get("recall") == 0]
    if not lost:
        return ()
    rows = sum(int(slices[name]["support"]) for name in lost)
    named = ", ".join(lost[:5]) + (" and others" if len(lost) > 5 else "")
    reason = (
        f"none of the {rows} rows of {named} is predicted rightly; "
        'add rows or class weights, or let the gate decide: {"recall/*": {"min": 0.1}}'
    )
    return (
        Check(rule="each class is found", passed=False, actual=f"{len(lost)} never", reason=reason, severity=severity),
    )


def _check(name: str, bound: str, limit: float, value: float) -> Check:
    slack = ROUNDING if name.startswith("change") else 0.0
    passed = value >= limit - slack if bound == "min" else value <= limit + slack  # false for NaN
    sign, wrong = ("≥", "below") if bound == "min" else ("≤", "above")
    actual = f"{value:+.4f}" if name.startswith("change") else f"{value:.4f}"
    reason = "" if passed else f"{name} is {actual}, {'not a number' if math.isnan(value) else f'{wrong} {limit:g}'}"
    return Check(rule=f"{name} {sign} {limit:g}", passed=passed, actual=actual, reason=reason)
