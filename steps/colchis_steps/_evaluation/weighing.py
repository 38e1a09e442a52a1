"""All that is held against a candidate, by its figures and by what it did row by row: no model and no data are read."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from colchis_steps._evaluation.chance import above_chance
from colchis_steps._evaluation.changes import check, judge_changes
from colchis_steps._evaluation.enough import rows_tell
from colchis_steps._evaluation.gate import Rules, judge, never_right, verdict
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.policies import check_named, enough_rows, first_model, is_stated, thresholds_of
from colchis_steps._evaluation.scoring import Figures
from colchis_steps._evaluation.slicing import BLOCK
from colchis_steps._evaluation.values import judge_values
from colchis_steps._formats.runs import Change, Check
from colchis_steps._models.policy import Demands

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class Task(NamedTuple):
    """What the data ask of a model, and on how many rows of the split test."""

    kind: str
    classes: tuple[str, ...]
    rows: int


CONSTANT = "answers differ by row"


def constant(answers: "Sequence[Array]", *, stated: bool) -> tuple[Check, ...]:
    """Return a check of answers that are the same to all rows; where nobody states thresholds they fail the model."""
    rows = len(answers[0]) if answers else 0
    if rows < 2 or not all(_is_same(found) for found in answers):
        return ()
    reason = (
        f"the model answers the same to all {rows} rows of the split test; train longer, or look at what it is given"
    )
    return (Check(CONSTANT, passed=False, actual="none does", reason=reason, severity="warn" if stated else "error"),)


def _is_same(found: "Array") -> bool:
    return all(bool((found[at : at + BLOCK] == found[0]).all()) for at in range(0, len(found), BLOCK))


@dataclass(frozen=True)
class Weighed:
    """The verdict with each check, and what it was held to."""

    verdict: str
    checks: tuple[Check, ...]
    changes: tuple[Change, ...]
    thresholds: Rules
    first_model: str


def weighed(
    args: argparse.Namespace,
    demands: Demands,
    task: Task,
    models: tuple[Figures, Figures | None],
    results: tuple[Pair | None, Pair | None],
    *,
    missing: str = "",
    costs: Mapping[str, float] | None = None,
    more: tuple[Check, ...] = (),
) -> Weighed:
    """Hold run and policy against the candidate.

    Args:
        args: the run's thresholds, first-model, metrics, model and data.
        demands: the model's policy.
        task: the data's.
        models: figures of the candidate and of the baseline, if there is one.
        results: by row: the candidate in both places, and beside the baseline; None where there are none.
        missing: why there is no baseline.
        costs: what the candidate costs, by name.
        more: checks that were made before.

    Raises:
        InputError: the thresholds are malformed, looser than the policy, or bound what there is not.
    """
    (candidate, baseline), (alone, pair) = models, results
    thresholds, first = thresholds_of(args, task.kind, demands), first_model(args, demands)
    stated, known = is_stated(args, demands), {**candidate.flat(), **(costs or {})}
    check_named(demands, args.model, known)
    why = missing or "no version of this model is stable yet"
    _, checks = judge(thresholds, known, baseline.flat() if baseline else None, first, why)
    changes = judge_changes(thresholds, known, pair, task.kind, len(task.classes))
    checks = (
        *(Check(rule, passed=False, reason=reason) for rule, reason in candidate.faults),
        *checks,
        *judge_values(thresholds, known, alone, task.kind),
        *map(check, changes),
        *(above_chance(task.kind, task.classes, alone.candidate) if alone and not stated else ()),
        *never_right(candidate.slices, "warn" if stated else "error"),
        *rows_tell(thresholds, changes, task.rows, task.kind),
        *enough_rows(demands, task.rows),
        *more,
    )
    return Weighed(verdict(checks), checks, changes, thresholds, first)
