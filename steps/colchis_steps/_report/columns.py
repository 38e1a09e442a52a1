"""What the page shows of a data set: a card for a few columns, a line for each of them, drift first."""

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.profiles import ColumnProfile, DataReport, Drift, SplitProfile
from colchis_steps._report import charts, plots

if TYPE_CHECKING:
    from markupsafe import Markup

CARDS = 12  # columns that are drawn
TOP = 5  # values that are named
LONGEST = 40  # characters of a value
WORDS = 50  # different texts from which on their lengths are drawn
CLASSES = 40  # bars of a label's classes; the rarer ones share one
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def cards(data: DataReport) -> list[dict[str, Any]]:
    """Return what is drawn of the first CARDS columns: those that drifted, labels, and the others in their order."""
    first, profiles = next(iter(data.splits.items()), ("", None))
    if profiles is None:
        return []
    drifted = {one.column for one in data.drift if one.drifted}
    order = sorted(profiles.columns, key=lambda c: (c.name not in drifted, c.role != "label", c.role == "ignored"))
    return [_card(column, first, data.splits, drifted) for column in order[:CARDS]]


def _card(column: ColumnProfile, first: str, splits: Mapping[str, SplitProfile], drifted: set[str]) -> dict[str, Any]:
    same = {name: _of(split, column.name) for name, split in splits.items()}
    parts = {name: one for name, one in same.items() if one is not None}
    return {
        "name": column.name,
        "facts": ", ".join(_facts(column)),
        "drifted": column.name in drifted,
        "chart": _chart(column, first, parts),
        "top": [
            (_short(value), count, count / max(1, column.values or column.rows)) for value, count in column.top[:TOP]
        ],
        "lengths": _lengths(parts) if column.distinct is None or column.distinct > WORDS else None,
        "pictures": _pictures(column),
        "splits": list(parts),
    }


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"


def _of(split: SplitProfile, name: str) -> ColumnProfile | None:
    return next((column for column in split.columns if column.name == name), None)


def _kind(column: ColumnProfile) -> str:
    return " ".join((column.type, "\N{MULTIPLICATION SIGN}".join(map(str, column.shape)))).strip()


def _facts(column: ColumnProfile) -> Iterator[str]:
    if kind := _kind(column):
        yield kind
    if column.role not in {"feature", ""}:
        yield column.role
    if column.nulls:
        total = column.nulls + column.values
        yield f"{column.nulls:,} null" + (f" ({100 * column.nulls / total:.1f} %)" if column.values else "")
    if column.distinct is not None:
        yield f"{column.distinct:,} different"
    if column.mean is not None and not column.classes and not _is_time(column):
        spread = f" ± {column.deviation:.4g}" if column.deviation is not None else ""
        yield f"mean {column.mean:.4g}{spread}"


def _chart(column: ColumnProfile, first: str, parts: Mapping[str, ColumnProfile]) -> "Markup | None":
    from markupsafe import Markup

    if column.classes:
        names, counts = _few(column.classes)
        title = f"Rows a class in {first}"
        return Markup(charts.bars(title, names, counts, "rows"))  # noqa: S704 - from a tree
    if not column.histogram or column.minimum is None or column.maximum is None:
        return None
    edges = column.edges
    low, high = (edges[0], edges[-1]) if edges else (column.minimum, column.maximum)
    shared = {name: rebinned(one.edges, one.histogram, edges) for name, one in parts.items() if name != first}
    drawn = plots.histograms(
        f"Values of {column.name}", {first: column.histogram, **shared}, (told(low, column), told(high, column))
    )
    return Markup(drawn) if drawn else None  # noqa: S704 - from a tree


def rebinned(edges: Sequence[float], counts: Sequence[int], wanted: Sequence[float]) -> list[float]:
    """Return a histogram by other edges, as if values lay evenly in each bin; those outside are in the outer bins."""
    if len(edges) != len(counts) + 1 or len(wanted) < 2:
        return []
    if list(edges) == list(wanted):
        return list(map(float, counts))
    below = [0.0, *itertools.accumulate(counts)]

    def until(value: float) -> float:
        at = bisect.bisect_right(edges, value) - 1
        if at < 0 or at >= len(counts):
            return 0.0 if at < 0 else float(below[-1])
        wide = edges[at + 1] - edges[at]
        return below[at] + counts[at] * ((value - edges[at]) / wide if wide > 0 else 1.0)

    marks = [0.0, *(until(value) for value in wanted[1:-1]), float(below[-1])]
    return [high - low for low, high in itertools.pairwise(marks)]


def _few(classes: Mapping[str, int]) -> tuple[list[str], list[int]]:
    if len(classes) <= CLASSES:
        return list(classes), list(classes.values())
    most = sorted(classes, key=lambda name: -classes[name])[: CLASSES - 1]
    kept = [name for name in classes if name in set(most)]
    rest = sum(classes.values()) - sum(classes[name] for name in kept)
    return [*kept, f"{len(classes) - len(kept)} others"], [*(classes[name] for name in kept), rest]


def _lengths(parts: Mapping[str, ColumnProfile]) -> "dict[str, Any] | None":
    from markupsafe import Markup

    found = {name: one.lengths for name, one in parts.items() if one.lengths}
    first = next(iter(found.values()), None)
    if first is None or not first.histogram or not first.edges:
        return None
    same = {name: rebinned(one.edges, one.histogram, first.edges) for name, one in found.items()}
    ends = (f"{first.edges[0]:g}", f"{first.edges[-1]:g}")
    return {
        "chart": Markup(plots.histograms("Lengths", same, ends)),  # noqa: S704 - from a tree
        "mean": first.mean,
    }


def _pictures(column: ColumnProfile) -> "list[Markup]":
    from markupsafe import Markup

    return [Markup(plots.coloured(one, f"A picture of {column.name}")) for one in column.pictures]  # noqa: S704 - from a tree


def _is_time(column: ColumnProfile) -> bool:
    return column.type.startswith(("timestamp", "date"))


def told(value: float, column: ColumnProfile) -> str:
    """Return a number of a column as a person reads it: of dates and times the day, and of times the minute."""
    if not _is_time(column) or not math.isfinite(value):
        return f"{value:.4g}"
    try:
        if column.type.startswith("date32"):
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=value)).strftime("%Y-%m-%d")
        unit = column.type.partition("[")[2].rstrip("]").partition(",")[0]
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value * UNITS.get(unit, 1e-3))
        return moment.strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return f"{value:.4g}"


def table(data: DataReport) -> list[dict[str, Any]]:
    """Return a line for each column of the first split, in their order."""
    from markupsafe import Markup

    first = next(iter(data.splits.values()), None)
    drift = {one.column: one for one in data.drift}
    found = []
    for column in first.columns if first else ():
        total = column.nulls + column.values
        found.append(
            {
                "name": column.name,
                "type": _kind(column),
                "role": column.role,
                "nulls": 100 * column.nulls / total if column.nulls and total else None,
                "distinct": column.distinct,
                "range": _range(column),
                "spark": Markup(plots.spark(_counts(column))) if _counts(column) else None,  # noqa: S704 - from a tree
                "drifted": column.name in drift and drift[column.name].drifted,
            }
        )
    return found


def _counts(column: ColumnProfile) -> tuple[int, ...]:
    return tuple(column.classes.values())[:60] if column.classes else column.histogram


def _range(column: ColumnProfile) -> str:
    if column.minimum is not None and column.maximum is not None:
        return f"{told(column.minimum, column)} to {told(column.maximum, column)}"
    return ", ".join(value[:16] for value, _ in column.top[:3])


def drift(data: DataReport) -> list[Drift]:
    """Return the columns that drifted, then the others, by how much."""
    return sorted(data.drift, key=lambda one: (not one.drifted, -one.psi, one.column))
