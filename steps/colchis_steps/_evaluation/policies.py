"""A run's thresholds laid over those of the model's policy: each bound may be stricter, and none looser."""

import argparse
from collections.abc import Mapping

from colchis_steps._evaluation.costs import check_budgets
from colchis_steps._evaluation.figures import names_of
from colchis_steps._evaluation.gate import Rules, check_rules, expand, rules
from colchis_steps._evaluation.tasks import DEFAULTS, OUTPUTS
from colchis_steps._formats.policy import Policy
from colchis_steps._formats.runs import Check
from colchis_steps._models.policy import Demands
from colchis_steps._step.errors import InputError

GREATER = {"min", "min_change", "better", "confidence"}  # bounds that are stricter when they are greater


def check_policy(policy: Policy, source: str) -> None:
    """Raise InputError where a policy demands what cannot be held; ``source`` is what the sentence calls it."""
    found = policy.statistics
    for name, value, low, high in (
        ("rows", found.rows, 0, 10**9),
        ("confidence", found.confidence, 0.5 if found.confidence else 0, 0.9999),
        ("margin", found.margin, 1e-4, 1),
    ):
        if not low <= value <= high:
            raise InputError(f"{source}: statistics: {name} is {value:g}; give a number from {low:g} to {high:g}")
    try:
        check_rules(policy.thresholds)
        check_budgets(policy.thresholds)
        _check_statistics(policy.thresholds, policy, "its statistics")
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def is_stated(args: argparse.Namespace, demands: Demands) -> bool:
    """Return whether anybody gave thresholds; where nobody did, the gate protects a newcomer."""
    return bool(args.thresholds.strip() or demands.policy.thresholds)


def thresholds_of(args: argparse.Namespace, kind: str, demands: Demands) -> Rules:
    """Return the gate's rules: of run and policy, or those of the task where neither gives any.

    Raises:
        InputError: they are malformed or looser than the policy, or none are given for a task that has none of its own.
    """
    if kind not in OUTPUTS and not args.metrics:
        raise InputError(
            f"the task of {args.data} is {kind}, for which there are no figures; name a function of yours that gives "
            "some, as metrics, and thresholds on them"
        )
    if kind not in OUTPUTS and not is_stated(args, demands):
        raise InputError(
            f"the task of {args.data} is {kind}, for which there are no thresholds unless you give some; bound the "
            'numbers of your own metrics, like {"business": {"min": 0.5}}'
        )
    if not is_stated(args, demands):
        return within(DEFAULTS.get(kind, {}), demands, kind)
    found = laid_over(rules(args.thresholds), demands, kind)
    check_budgets(found)
    return found


def first_model(args: argparse.Namespace, demands: Demands) -> str:
    """Return what a lack of baseline means: reject where the run or the policy says so."""
    return "reject" if "reject" in {args.first_model, demands.policy.first_model} else "accept"


def laid_over(given: Rules, demands: Demands, kind: str) -> Rules:
    """Return what holds of a run: each bound of the policy and of the run, of two the stricter.

    ``kind`` is the task's, by which bounds on values that have an interval get the policy's confidence.

    Raises:
        InputError: a bound of the run is looser; the sentence has both.
    """
    policy = demands.policy
    if not demands.digest:
        return given
    _check_statistics(given, policy, demands.name)
    found = {metric: dict(bounds) for metric, bounds in policy.thresholds.items()}
    for metric, bounds in given.items():
        mine = found.setdefault(metric, {})
        for bound, value in bounds.items():
            wanted = mine.setdefault(bound, value)
            if _is_looser(bound, value, wanted):
                raise InputError(
                    f"threshold {bound} of {metric[:128]!r} is {value:g}, looser than {wanted:g}, which {demands.name} "
                    "demands; a run can only be stricter, so leave it out, or ask the model's owner"
                )
            mine[bound] = value
    return {metric: _sure(metric, bounds, policy, kind) for metric, bounds in found.items()}


def within(defaults: Rules, demands: Demands, kind: str) -> Rules:
    """Return the task's own thresholds, which hold where neither run nor policy has any, as strict as the policy is."""
    margin = demands.policy.statistics.margin
    narrow = {
        metric: {name: min(value, margin) if name == "not_worse" else value for name, value in bounds.items()}
        for metric, bounds in defaults.items()
    }
    return {metric: _sure(metric, bounds, demands.policy, kind) for metric, bounds in narrow.items()}


def _is_looser(bound: str, value: float, wanted: float) -> bool:
    return value < wanted if bound in GREATER else value > wanted


def _check_statistics(given: Rules, policy: Policy, source: str) -> None:
    for metric, bounds in given.items():
        for bound, limit in (("not_worse", policy.statistics.margin), ("confidence", policy.statistics.confidence)):
            if bound in bounds and _is_looser(bound, bounds[bound], limit):
                word = "most" if bound == "not_worse" else "least"
                raise InputError(
                    f"threshold {bound} of {metric[:128]!r} is {bounds[bound]:g}, and {source} asks for at {word} "
                    f"{limit:g}; a run can only be stricter"
                )


def _sure(metric: str, bounds: Mapping[str, float], policy: Policy, kind: str) -> dict[str, float]:
    """Return the bounds with the policy's confidence, where the figure has an interval."""
    least, name = policy.statistics.confidence, metric.partition("/")[0]
    has = name in names_of(kind) or (name == "recall" and kind == "classification")
    if least < 0.5 or not has or not {"min", "max"} & bounds.keys():
        return dict(bounds)
    return {**bounds, "confidence": max(least, bounds.get("confidence", 0.0))}


def check_named(demands: Demands, model: str, known: Mapping[str, float]) -> None:
    """Raise InputError where the policy bounds a metric that there is not; whoever submits cannot put that right."""
    try:
        expand(demands.policy.thresholds, known)
    except InputError as error:
        raise InputError(f"{demands.name} of {model} cannot be held: {error}") from error


def enough_rows(demands: Demands, rows: int) -> tuple[Check, ...]:
    """Return whether the test split has the rows that the policy asks for."""
    if not (least := demands.policy.statistics.rows):
        return ()
    rule = f"rows of the split test ≥ {least}"
    if rows >= least:
        return (Check(rule, passed=True, actual=str(rows)),)
    reason = f"the split test has {rows} rows, and {demands.name} asks for {least} before anything is concluded"
    return (Check(rule, passed=False, actual=str(rows), reason=reason, severity="undecided"),)
