"""Whether the test split has the rows to tell a model that is as good from one that is worse by the margin."""

from collections.abc import Mapping, Sequence

from colchis_steps._evaluation.gate import Rules
from colchis_steps._evaluation.pairs import HITS
from colchis_steps._evaluation.statistics.power import margin_for, power
from colchis_steps._formats.runs import Change, Check

SUPPOSED = 0.05  # share of rows that just one of two models has right, before there are two
WANTED = 0.5


def rows_tell(given: Rules, changes: Sequence[Change], rows: int, kind: str) -> tuple[Check, ...]:
    """Warn where a model that is just as good would pass in less than half of all cases, and propose a margin.

    ``changes`` are those against the baseline; without any, models are supposed to differ on SUPPOSED of the rows.
    """
    bounds: Mapping[str, float] = given.get(HITS.get(kind, ""), {})
    found = {change.metric: change for change in changes}.get(HITS.get(kind, ""))
    if "not_worse" not in bounds or not rows or (found is not None and found.test != "tango"):
        return ()
    differing, margin = max(found.differing, 1 / rows) if found else SUPPOSED, bounds["not_worse"]
    if (share := power(rows, differing, margin)) >= WANTED:
        return ()
    reason = (
        f"{rows} rows tell little: where two models differ on {100 * differing:.2g} % of them, one just as good "
        f"passes as not worse by {margin:g} in {100 * share:.0f} % of cases; a margin of "
        f"{margin_for(rows, differing, WANTED):g} would pass it in half of them, and more rows more often"
    )
    return (Check("enough rows for the margin", passed=False, actual=f"{rows} rows", reason=reason, severity="warn"),)
