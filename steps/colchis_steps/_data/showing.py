"""A data set in lines for a person."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from colchis_steps._data.arrays import VALID
from colchis_steps._data.shards import first_rows
from colchis_steps._formats.data import RAGGED, Column, DataManifest
from colchis_steps._step.text import one_line
from colchis_steps._store.api import Objects

WIDE = 24  # characters of a value


def lines(store: Objects, uri: str, found: DataManifest, rows: int) -> Iterator[str]:
    """Yield what there is to tell of a data set, and its first rows."""
    task = found.task
    yield uri
    target = f" of {', '.join(task.target)}" if task.target else ""
    names = f": {', '.join(task.classes[:8])}{' …' if len(task.classes) > 8 else ''}" if task.classes else ""
    yield f"task     {task.kind}{target}" + (f", {len(task.classes)} classes{names}" if task.classes else "")
    shares = " ".join(f"{name} {share:g}" for name, share in found.division.shares.items())
    by = f" of {', '.join(found.division.by)}" if found.division.by else ""
    yield f"divided  by {found.division.way}{by}" + (f", {shares}" if shares else "")
    if found.sources:
        more = f" and {len(found.sources) - 3} more" if len(found.sources) > 3 else ""
        yield f"from     {', '.join(source.name for source in found.sources[:3])}{more}, {found.created_at}"
    yield from (f"warning  {warning}" for warning in found.warnings)
    yield ""
    yield from _table(["column", "type", "role", "nulls", "from", "to"], [_told(column) for column in found.columns])
    yield ""
    splits = [
        [n, f"{s.rows:,}", f"{sum(p.size for p in s.parts):,}", str(len(s.parts))] for n, s in found.splits.items()
    ]
    yield from _table(["split", "rows", "bytes", "parts"], splits)
    first = next((part for split in found.splits.values() for part in split.parts), None)
    if first:
        kept = [column for column in found.columns if column.role != "ignored"]
        values = first_rows(store, first, kept, rows)
        shown = [[_shown(values, column, i) for column in kept] for i in range(min(rows, first.rows))]
        yield ""
        yield from _table([column.name for column in kept], shown)


def _told(column: Column) -> list[str]:
    shape = "".join("[…]" if length == RAGGED else f"[{length}]" for length in column.shape)
    bounds = ["" if bound is None else f"{bound:g}" for bound in (column.minimum, column.maximum)]
    return [column.name, column.type + shape + (f" {column.media}" if column.media else ""), column.role,
            "yes" if column.nullable else "no", *bounds]  # fmt: skip


def _shown(values: Mapping[str, Any], column: Column, row: int) -> str:
    value = values[column.name][row]
    valid = values.get(column.name + VALID)
    null = value != value if column.nullable and column.dtype.startswith("float") else False  # noqa: PLR0124 - NaN
    return "null" if null or (valid is not None and not valid[row]) else _value(value)


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    shape = getattr(value, "shape", ())
    return f"{value.dtype}{list(shape)}" if shape else one_line(str(value), WIDE)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
