"""How sure a change against the baseline is: told by a test on the same rows, with an interval and a verdict.

``not_worse`` asks that the figure is worse by no more than a margin, ``better`` that it is better by more than one; the
margin of a loss is a share of the baseline's. Each test errs in ERROR to one side.
"""

import math
from collections.abc import Collection
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from colchis_steps._evaluation.drawing import of_ranks, of_sums
from colchis_steps._evaluation.figures import (
    HITS,
    LOSSES,
    RANKED,
    SMALLER_IS_BETTER,
    Figure,
    figure,
    hits,
    names_of,
)
from colchis_steps._evaluation.gate import PAIRED, Rules, expand
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.statistics.bootstrap import DRAWS, bounds
from colchis_steps._evaluation.statistics.multiple import holm
from colchis_steps._evaluation.statistics.power import ERROR, least_rows, rows_for
from colchis_steps._evaluation.statistics.proportions import better, interval, not_worse, score, tail, worse
from colchis_steps._evaluation.statistics.ranking import ranked
from colchis_steps._formats.runs import Change, Check
from colchis_steps._step.errors import InputError

LEAST_OF_PART = 50  # rows
if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"
MANY = 10**8  # rows that nobody has
Z = NormalDist().inv_cdf(1 - ERROR)


def told(pair: Pair, metric: str, kind: str, margin: float) -> Change:
    """Return the change of a figure, ``accuracy`` or ``accuracy/region=north``, and what may be said of it.

    Raises:
        InputError: the results by row do not give the figure.
    """
    name, _, part = metric.partition("/")
    rows = pair.where(part) if part else None
    if part.startswith("label=") and name == "recall":
        name = HITS[pair.kind]
    if not part or rows is not None:
        there, blank = pair.of(rows) if rows is not None else pair, Change(metric, kind, margin)
        if not len(there.candidate):
            return blank
        if name == HITS[pair.kind] and bool((there.weight == 1).all()):
            return _of_shares(there, blank)
        blank = _aimed(blank, pair.kind, name)
        if name in RANKED and pair.kind == "classification" and len(pair.classes) == 2:
            return _by_bounds(there, *_ranks(there, name, blank))
        if (how := figure(there.kind, there.classes, name, there.candidate)) is not None:
            return _by_bounds(there, *_draws(there, how, blank))
    raise InputError(f"there are no results by row of {metric!r}; bound it by min_change or max_change")


def _aimed(change: Change, kind: str, name: str) -> Change:
    """Return the change with whether it is a share of the baseline's, and whether less of the figure is better."""
    return replace(change, relative=name in LOSSES[kind], smaller=name in SMALLER_IS_BETTER)


def check_told(kind: str, metric: str, bound: str, classes: int = 0) -> None:
    """Raise InputError where no change of the figure can be told by a test."""
    known = names_of(kind, classes)
    name, _, part = metric.partition("/")
    if name not in known and not (name == "recall" and part.startswith("label=") and kind == "classification"):
        raise InputError(
            f"thresholds bound {metric!r} by {bound}, which is told of {', '.join(known) or 'nothing'} alone; "
            "bound it by min_change or max_change"
        )


def _of_shares(pair: Pair, change: Change) -> Change:
    """Return the change of a share of rows; where they are in groups, no sooner than draws of whole groups tell it."""
    now, then = (hits(pair.kind, rows) for rows in (pair.candidate, pair.baseline))
    rows, gained, lost = len(now), int((now & ~then).sum()), int((then & ~now).sum())
    low, high = (float(bound) for bound in interval(gained, lost, rows, 1 - 2 * ERROR))
    found = replace(
        change, value=(gained - lost) / rows, low=low, high=high, rows=rows, differing=(gained + lost) / rows
    )
    if pair.equal:
        return _of_equals(found)
    margin, verdict = change.margin, UNDECIDED
    if change.kind == "not_worse":
        if not_worse(gained, lost, rows, margin) <= ERROR:
            verdict = PASS
        elif worse(gained, lost, rows, margin) <= ERROR:
            verdict = FAIL
    elif (float(tail(score(gained, lost, rows, margin))) if margin else better(gained, lost)) <= ERROR:
        verdict = PASS
    elif high <= margin:
        verdict = FAIL
    alone = replace(found, test="mcnemar" if change.kind == "better" and not margin else "tango", verdict=verdict)
    how = figure(pair.kind, pair.classes, HITS[pair.kind], pair.candidate)
    if pair.groups is None or how is None:
        return alone
    grouped = _by_bounds(pair, *_draws(pair, how, change))
    agreed = verdict if verdict == grouped.verdict else UNDECIDED
    low, high = min(low, grouped.low), max(high, grouped.high)
    return replace(grouped, low=low, high=high, verdict=agreed, differing=found.differing)


def _draws(pair: Pair, how: Figure, change: Change) -> "tuple[Change, Array]":
    """Return the change of a figure that is made of sums, and what it is in each draw, float [DRAWS]."""
    import numpy as np

    both = [how.columns(rows) for rows in (pair.candidate, pair.baseline)]
    wide = both[0].shape[1]

    def apart(added: "Array") -> "Array":
        now, then = how.of(added[:, :wide]), how.of(added[:, wide:])
        found: Array = now / then - 1 if change.relative else now - then
        return np.where(now == then, 0.0, found)  # also where both losses are 0

    value, units, draws = of_sums(pair, np.concatenate(both, axis=1), apart)
    return replace(change, value=value, rows=units), draws


def _ranks(pair: Pair, name: str, change: Change) -> "tuple[Change, Array]":
    """Return the same of a figure of the order of rows of two classes."""
    positive = pair.candidate["label"] == 1
    now, then = (ranked(name)(rows["score"], positive) for rows in (pair.candidate, pair.baseline))
    value, units, draws = of_ranks(pair, lambda counts: now(counts) - then(counts))
    return replace(change, value=value, rows=units), draws


def _by_bounds(pair: Pair, change: Change, drawn: "Array") -> Change:
    """Return the change with the verdict that the interval of its draws gives."""
    low, high = bounds(drawn, 1 - 2 * ERROR)
    found, units = replace(change, low=low, high=high), change.rows
    if pair.equal:
        return _of_equals(found)
    worst, best = (-high, -low) if change.smaller else (low, high)  # upwards is better
    if units < least_rows(None if change.relative else change.margin) or math.isnan(worst + best):
        return replace(found, test="few", verdict=UNDECIDED)
    limit = -change.margin if change.kind == "not_worse" else change.margin
    return replace(found, test="bootstrap", verdict=PASS if worst > limit else FAIL if best <= limit else UNDECIDED)


def _of_equals(change: Change) -> Change:
    return replace(change, test="equal", verdict=PASS if change.kind == "not_worse" else FAIL)


def judge_changes(
    given: Rules, known: Collection[str], pair: Pair | None, kind: str, classes: int = 0
) -> tuple[Change, ...]:
    """Return each change that the rules bound by not_worse or better; none without a baseline.

    A figure that may not be worse may not be so in a part of the data either.

    Raises:
        InputError: the results by row do not give a figure.
    """
    found: list[Change] = []
    for metric, bounds_of in expand(given, known):
        for bound in (name for name in bounds_of if name in PAIRED):
            check_told(kind, metric, bound, classes)
            if pair is not None:
                found.append(told(pair, metric, bound, bounds_of[bound]))
                if bound == "not_worse" and "/" not in metric and metric not in RANKED:
                    found += worse_parts(pair, metric, bounds_of[bound])
    return tuple(found)


def worse_parts(pair: Pair, metric: str, margin: float) -> list[Change]:
    """Return the parts of the data in which a figure is told to be worse by more than the margin, by Holm.

    Parts are those of ``pair.parts``, and the classes where the figure is a share of rows, with LEAST_OF_PART rows and
    more; a figure that draws tell needs as many as those.
    """
    classes = [f"label={one}" for one in pair.classes] if pair.kind == "classification" else []
    is_share = metric == HITS[pair.kind]
    tested: list[tuple[Change, float]] = []
    for part in [*(classes if is_share else []), *pair.parts]:
        rows = pair.where(part)
        if rows is None or (count := int(rows.sum())) < LEAST_OF_PART:
            continue
        there = pair.of(rows)
        if is_share:
            now, then = (hits(pair.kind, results) for results in (there.candidate, there.baseline))
            gained, lost = int((now & ~then).sum()), int((then & ~now).sum())
            found = told(pair, f"{'recall' if part in classes else metric}/{part}", "not_worse", margin)
            tested.append((found, float(worse(gained, lost, count, margin))))
        elif (how := figure(pair.kind, pair.classes, metric, there.candidate)) is not None:
            blank = _aimed(Change(f"{metric}/{part}", "not_worse", margin), pair.kind, metric)
            change, drawn = _draws(there, how, blank)
            tested.append((_by_bounds(there, change, drawn), _chance(change, drawn)))
    adjusted = holm([value for _, value in tested])
    pairs = zip(tested, adjusted, strict=True)
    return [found for (found, _), value in pairs if value <= ERROR and found.verdict == FAIL]


def _chance(change: Change, drawn: "Array") -> float:
    """Return the one-sided p-value of "it is worse by no more than the margin": the share of draws in which it is."""
    within = drawn <= change.margin if change.smaller else drawn >= -change.margin
    return (1 + int(within.sum())) / (1 + DRAWS)


def check(change: Change) -> Check:
    """Return the change as a check, whose reason has its interval, its rows, and what would decide."""
    margin = f"{100 * change.margin:g} %" if change.relative else f"{change.margin:g}"
    if change.kind == "better":
        asked = f"better by more than {margin}" if change.margin else "better"
    else:
        asked = f"not worse by more than {margin}"
    value, low, high = (_signed(number, change) for number in (change.value, change.low, change.high))
    actual, rule = f"{value} ({low} to {high}, {change.rows} rows)", f"{change.metric} {asked}"
    if change.verdict == PASS:
        return Check(rule=rule, passed=True, actual=actual)
    found = f"{change.metric} changed by {value} (between {low} and {high} by {change.rows} rows)"
    if change.test == "equal":
        reason = f"{change.metric} is not better: both models do the same on all {change.rows} rows"
    elif change.verdict == FAIL:
        reason = f"{found}, which is {asked.removeprefix('not ') if change.kind == 'not_worse' else f'not {asked}'}"
    else:
        reason = f"{found}, which does not tell whether it is {asked}; {_decides(change)}"
    severity = "error" if change.verdict == FAIL else UNDECIDED
    return Check(rule=rule, passed=False, actual=actual, reason=reason, severity=severity)


def _decides(change: Change) -> str:
    """Return in words what would decide."""
    least = least_rows(None if change.relative else change.margin)
    if change.test == "few":
        return f"a bootstrap needs {least} rows" if change.rows < least else "its figures are no numbers"
    if not change.rows:
        return "it has no rows"
    sign = -1.0 if change.smaller else 1.0
    limit = -change.margin if change.kind == "not_worse" else change.margin
    spread = (change.high - change.low) / 2 / Z * math.sqrt(change.rows)
    rows = rows_for(sign * change.value, limit, spread)
    found = []
    if rows is not None and change.rows < rows < MANY:
        found.append(f"about {_rounded(rows):,} rows like these")
    if change.kind == "not_worse":
        margin = math.ceil(-(-change.high if change.smaller else change.low) * 1000) / 1000
        found.append(f"a margin of {100 * margin:g} %" if change.relative else f"a margin of {margin:g}")
    return f"{' or '.join(found)} would" if found else "more rows may"


def _rounded(rows: int) -> int:
    """Return two digits that matter, rounded up."""
    digits: int = 10 ** max(0, len(str(rows)) - 2)
    return -(-rows // digits) * digits


def _signed(value: float, change: Change) -> str:
    return f"{100 * value:+.1f} %" if change.relative else f"{value:+.4f}"
