"""How an import is divided: what was asked for, else what its flags and sources tell."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing import cuts, division
from colchis_steps._data.importing.columns import normal
from colchis_steps._data.importing.division import NAMES, Assign
from colchis_steps._data.importing.request import Request
from colchis_steps._data.importing.tables import Table
from colchis_steps._formats.data import Division
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Way:
    """A division: how the manifest tells it, the columns whose hash divides, and what gives rows to splits."""

    told: Division
    hashed: tuple[str, ...]
    assign: Assign

    @property
    def needed(self) -> dict[str, str]:
        """The columns that must have a value in every row, and what for."""
        return (
            {}
            if self.told.way == "hash" and not self.told.by
            else dict.fromkeys(self.told.by, "what rows are divided by")
        )


def choose(request: Request, tables: Sequence[Table], schema: "pa.Schema", features: Sequence[str]) -> Way:
    """Return how rows are divided.

    Raises:
        InputError: the flags leave it open, or ask for what the sources do not have.
    """
    way = request.split_by or _found(request, tables)
    if way == "group":
        _wants(request.group, "--split-by group", "--group", schema)
        return Way(Division(way, request.group, dict(request.shares)), request.group, division.by_hash(request.shares))
    if way == "time":
        _wants((request.time,) if request.time else (), "--split-by time", "--time", schema)
        return _by_time(request, tables, schema)
    hashed = request.key or request.group or tuple(features)
    if way == "given":
        return _given(request, tables, hashed)
    return Way(
        Division("hash", request.key, dict(request.shares)),
        request.key or tuple(features),
        division.by_hash(request.shares),
    )


def _found(request: Request, tables: Sequence[Table]) -> str:
    named = {table.split for table in tables}
    if request.split_column or (len(named - {""}) > 1 and "" not in named):
        return "given"
    if request.group and request.time:
        raise InputError(
            f"are rows divided by the group {', '.join(request.group)} or by the time {request.time}? Say it with "
            "--split-by group or --split-by time"
        )
    return "group" if request.group else "time" if request.time else "hash"


def _wants(names: Sequence[str], flag: str, other: str, schema: "pa.Schema") -> None:
    from colchis_steps._data.importing.tables import columns_found

    if not names:
        raise InputError(f"{flag} divides by columns that {other} names; there are {columns_found(schema)}")


def _given(request: Request, tables: Sequence[Table], hashed: tuple[str, ...]) -> Way:
    if request.split_column:
        present = _splits_in(request.split_column, tables)
    else:
        if unnamed := [table.where for table in tables if not table.split]:
            raise InputError(
                f"{unnamed[0]} tells no split: give it as --from train=PLACE, eval=PLACE or test=PLACE, or name a "
                "column with --split-column"
            )
        present = {table.split for table in tables}
    if "train" not in present:
        raise InputError(f"there are rows of {', '.join(sorted(present))} and none of train; give some")
    carved = {name: share for name, share in request.shares.items() if name == "train" or name not in present}
    if len(carved) > 1:
        log.info("there is no %s: it is taken out of train, by hash", " and no ".join(list(carved)[1:]))
    by = (request.split_column,) if request.split_column else ()
    told = Division("given", by, {name: share / sum(carved.values()) for name, share in carved.items()})
    return Way(told, hashed, division.as_given(request.split_column, sorted(present), request.shares))


def _splits_in(column: str, tables: Sequence[Table]) -> set[str]:
    import numpy as np
    import pyarrow as pa

    found: set[str] = set()
    schema = pa.schema([pa.field(column, pa.string())])
    for table in tables:
        for batch in table.batches(schema):
            numbers = division.told(normal(batch, schema, table.where).column(0), column, table.where)
            found |= {NAMES[i] for i in np.unique(numbers)}
    return found


def _by_time(request: Request, tables: Sequence[Table], schema: "pa.Schema") -> Way:
    import pyarrow as pa

    field = schema.field(request.time)
    kind = field.type
    if not (
        pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    ):
        raise InputError(
            f"column {request.time!r} is {kind}, not a time; write dates such as 2026-11-29, or give its type: "
            f"--columns {request.time}:timestamp[s]"
        )

    def times() -> "Iterator[np.ndarray[Any, Any]]":
        only = pa.schema([field])
        for table in tables:
            for batch in table.batches(only):
                values = normal(batch, only, table.where).column(0)
                yield division.numbers(values.drop_null())

    shares = [request.shares[name] for name in NAMES]
    found = cuts.times_of(times()).cuts(shares, f"column {request.time!r}")
    told = Division("time", (request.time,), dict(request.shares), request.gap, tuple(map(float, found)))
    return Way(told, (), division.by_time(request.time, found, cuts.steps_of(kind, request.gap)))
