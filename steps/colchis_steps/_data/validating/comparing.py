"""A data set's profile against a reference's: column by column, how it drifted, and a verdict with reasons."""

import math
from collections.abc import Iterator, Mapping, Sequence

from colchis_steps._data.validating.drift import (
    LARGE,
    LEAST,
    LEVEL,
    chi_square,
    holm,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
)
from colchis_steps._formats.profiles import ColumnProfile, Drift, SplitProfile

Counted = tuple[Sequence[int], Sequence[int], str]  # the reference's counts, those now, and the test


def compare(reference: Mapping[str, SplitProfile], now: Mapping[str, SplitProfile]) -> tuple[tuple[Drift, ...], str]:
    """Return how each column of each split differs, and the verdict: alike, drifted or unknown."""
    found: list[Drift] = []
    for name, split in now.items():
        other = reference.get(name)
        if other is None or min(other.rows, split.rows) < LEAST:
            continue
        found += _split(name, other, split)
    return tuple(found), "unknown" if not found else "drifted" if any(one.drifted for one in found) else "alike"


def edges_of(reference: Mapping[str, SplitProfile]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Return the bins in which numbers are to be counted, so that the two can be compared."""
    return {
        name: {column.name: column.edges for column in split.columns if len(column.edges) > 1}
        for name, split in reference.items()
    }


def _split(name: str, reference: SplitProfile, now: SplitProfile) -> Iterator[Drift]:
    before = {column.name: column for column in reference.columns}
    pairs = [
        (before[column.name], column)
        for column in now.columns
        if column.name in before and before[column.name].values and column.role not in {"key", "ignored"}
    ]
    counted = [_counted(*pair) for pair in pairs]
    tested = [min(1.0, 2 * min(_p(found), _missing_p(*pair))) for found, pair in zip(counted, pairs, strict=True)]
    for (one, column), found, p in zip(pairs, counted, holm(tested), strict=True):
        first, second = [*found[0], one.nulls], [*found[1], column.nulls]  # what is missing has a bin of its own
        index, missing = psi(first, second), _share(column) - _share(one)
        mean = _apart(one, column)
        drifted = p < LEVEL and index > LARGE
        reason = ""
        if drifted:
            changes = [f"PSI {index:.2f}"]
            changes += [f"mean {one.mean:.4g} → {column.mean:.4g}"] if mean is not None else []
            changes += [f"missing {_share(one):.1%} → {_share(column):.1%}"] if abs(missing) > 0.001 else []
            changes += _moved(one, column)
            reason = f"column {column.name!r} of {name} drifted: {', '.join(changes)}"
        ratio = None
        if one.deviation and column.deviation is not None:
            ratio = column.deviation / one.deviation
        js = jensen_shannon(first, second)
        yield Drift(column.name, name, found[2], p, index, js, missing, mean, ratio, drifted, reason)


def _counted(reference: ColumnProfile, now: ColumnProfile) -> Counted:
    """Return counts in the same bins: of numbers by the reference's edges, of texts by its most frequent values."""
    if reference.classes and now.classes:
        names = [*reference.classes, *(name for name in now.classes if name not in reference.classes)]
        counts = ([p.classes.get(name, 0) for name in names] for p in (reference, now) if p.classes is not None)
        return next(counts), next(counts), "chi-square"
    if reference.histogram and reference.edges == now.edges:
        return reference.histogram, now.histogram, "Kolmogorov-Smirnov"
    if reference.top and now.top and not reference.histogram:
        before, after = dict(reference.top), dict(now.top)
        names = [name for name in before if name in after or (now.distinct or 0) <= len(after)]
        first, second = [before[name] for name in names], [after.get(name, 0) for name in names]
        return (
            [*first, max(0, reference.values - sum(first))],
            [*second, max(0, now.values - sum(second))],
            "chi-square",
        )
    if reference.lengths and now.lengths:
        size = max(len(reference.lengths.histogram), len(now.lengths.histogram))
        first, second = (
            [*lengths.histogram, *[0] * (size - len(lengths.histogram))] for lengths in (reference.lengths, now.lengths)
        )
        return first, second, "Kolmogorov-Smirnov"
    return [reference.values], [now.values], "chi-square"


def _p(found: Counted) -> float:
    return (chi_square if found[2] == "chi-square" else kolmogorov_smirnov)(found[0], found[1])


def _missing_p(reference: ColumnProfile, now: ColumnProfile) -> float:
    return chi_square([reference.nulls, reference.values], [now.nulls, now.values])


def _share(column: ColumnProfile) -> float:
    return column.nulls / max(1, column.nulls + column.values)


def _apart(reference: ColumnProfile, now: ColumnProfile) -> float | None:
    if reference.mean is None or now.mean is None or reference.classes:
        return None
    if not reference.deviation:
        return None if reference.mean == now.mean else math.copysign(1e9, now.mean - reference.mean)
    return (now.mean - reference.mean) / reference.deviation


def _moved(reference: ColumnProfile, now: ColumnProfile) -> list[str]:
    """Return the value whose share changed most, of a column of values."""
    if reference.histogram and not reference.classes:
        return []
    before = reference.classes or dict(reference.top)
    after = now.classes or dict(now.top)
    total, others = max(1, reference.values), max(1, now.values)
    names = sorted({*before, *after}, key=lambda n: (-abs(after.get(n, 0) / others - before.get(n, 0) / total), n))
    return (
        [f"{names[0][:32]!r} {before.get(names[0], 0) / total:.1%} → {after.get(names[0], 0) / others:.1%}"]
        if names
        else []
    )
