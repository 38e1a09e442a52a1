"""Whether the test split has the rows to tell a model that is as good from one that is worse by the margin."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from colchis_steps._evaluation.figures import HITS, LOSSES
from colchis_steps._evaluation.gate import Rules
from colchis_steps._evaluation.statistics.power import ERROR, least_rows, margin_for, power
from colchis_steps._evaluation.tasks import DEFAULTS
from colchis_steps._formats.runs import Change, Check

SUPPOSED = 0.05  # share of rows that just one of two models has right, before there are two
WANTED = 0.5
Z = NormalDist().inv_cdf(1 - ERROR)


def rows_tell(given: Rules, changes: Sequence[Change], rows: int, kind: str) -> tuple[Check, ...]:
    """Warn where a model that is just as good would pass in less than half of all cases, and propose a margin.

    ``changes`` are those against the baseline; without any, models are supposed to differ on SUPPOSED of the rows.
    """
    reasons = [reason for change in changes if "/" not in change.metric and (reason := _draws_tell(change))]
    bounds: Mapping[str, float] = given.get(HITS.get(kind, ""), {})
    found = {change.metric: change for change in changes}.get(HITS.get(kind, ""))
    if "not_worse" in bounds and rows and (found is None or found.test == "tango"):
        differing = max(found.differing, 1 / rows) if found else SUPPOSED
        reasons += filter(None, [shares_tell(rows, bounds["not_worse"], differing)])
    rule, actual = "enough rows for the margin", f"{rows} rows"
    return tuple(Check(rule, passed=False, actual=actual, reason=reason, severity="warn") for reason in reasons)


def split_tells(rows: int, kind: str) -> str:
    """Return a warning where a test split of so many rows tells little by the gate's own thresholds, else ""."""
    bounds = DEFAULTS.get(kind, {}) if rows else {}
    for metric, limits in bounds.items():
        if (margin := limits.get("not_worse")) is None:
            continue
        if metric == HITS[kind]:
            return f"the split test: {told}" if (told := shares_tell(rows, margin)) else ""
        least = least_rows(None if metric in LOSSES[kind] else margin)
        if rows < least:
            return (
                f"the split test has {rows} rows, and a change in {metric} is told of {least} or more: until then the "
                "gate's own thresholds let no new version replace a served one; add rows, or give thresholds"
            )
    return ""


def shares_tell(rows: int, margin: float, differing: float = SUPPOSED) -> str:
    """Return a warning where rows tell little of a change in a share of them, "" where they tell enough."""
    if (share := power(rows, differing, margin)) >= WANTED:
        return ""
    return (
        f"{rows} rows tell little: where two models differ on {100 * differing:.2g} % of them, one just as good "
        f"passes as not worse by {margin:g} in {100 * share:.0f} % of cases; a margin of "
        f"{margin_for(rows, differing, WANTED):g} would pass it in half of them, and more rows more often"
    )


def _draws_tell(change: Change) -> str:
    """Return the same of a change that draws told."""
    if change.kind != "not_worse" or change.test != "bootstrap" or not math.isfinite(change.high - change.low):
        return ""
    spread = (change.high - change.low) / 2 / Z
    if not spread or (share := NormalDist().cdf(change.margin / spread - Z)) >= WANTED:
        return ""
    least = math.ceil(1000 * Z * spread) / 1000
    margin, least_margin = (f"{100 * one:g} %" if change.relative else f"{one:g}" for one in (change.margin, least))
    return (
        f"{change.rows} rows tell little: a model just as good passes as not worse in {change.metric} by {margin} in "
        f"{100 * share:.0f} % of cases; a margin of {least_margin} would pass it in half, and more rows more often"
    )
