"""Rows of a file as JSON: the columns that a model takes, with the types of the data that it was trained on."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._asking.served import Asked
from colchis_steps._data.importing.reading import readable, tables
from colchis_steps._data.importing.request import Given, Request
from colchis_steps._data.importing.sources import find
from colchis_steps._data.importing.tables import Table
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
ROWS, BYTES = 512, 2 << 20  # of a request, at most, unless a single row has more
PLAIN = ("int", "uint", "double", "float", "bool", "null", "string", "date", "timestamp", "time")


def batches(place: str, asked: Asked, directory: Path) -> "Iterator[tuple[pa.RecordBatch, list[Row]]]":
    """Yield the rows of a file, folder or URL, as they are and as they are asked; ``directory`` is for what is fetched.

    Raises:
        InputError: it is of no kind that is read, or lacks a column that the model takes.
    """
    for table in tables(Request("rows", (Given(place),)), readable(find((Given(place),), directory))):
        missing = [name for name, of in asked.columns.items() if name not in table.schema.names and not _may_lack(of)]
        if missing:
            raise InputError(
                f"{table.where} lacks the column {missing[0]!r}, which the model takes; it has the columns "
                f"{', '.join(table.schema.names)[:512]}"
            )
        for batch in table.batches(_schema(table, asked)):
            for at in range(0, batch.num_rows, ROWS):
                part = batch.slice(at, ROWS)
                yield part, _rows(part, asked)


def requests(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in requests that a server takes."""
    found: list[Row] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row))
        if found and (size + length > BYTES or len(found) == ROWS):
            yield found
            found, size = [], 0
        found.append(row)
        size += length
    if found:
        yield found


def plain(value: Any) -> Any:
    """Return a value of Arrow as JSON has it: dates as ISO 8601, bytes as base64, NaN as null."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        import base64

        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return float(value) if type(value).__name__ == "Decimal" else value


def _may_lack(column: Mapping[str, Any]) -> bool:
    return bool(column.get("parameters", {}).get("nullable"))


def _schema(table: Table, asked: Asked) -> "pa.Schema":
    """Return the schema of all columns, in which text of the model is text, be it of digits."""
    import pyarrow as pa

    fields = []
    for found in table.schema:
        column = asked.columns.get(found.name)
        kind = found.type
        if column and str(kind).startswith(PLAIN):
            wanted = _wanted(column)
            kind = wanted if wanted is not None else kind
        fields.append(pa.field(found.name, kind))
    return pa.schema(fields)


def _wanted(column: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    name = str(column.get("datatype"))
    if name == "BYTES" or str(column.get("parameters", {}).get("type", "")).startswith(("date", "time")):
        return pa.string()  # a server reads dates
    return pa.float64() if name.startswith("FP") else None


def _rows(batch: "pa.RecordBatch", asked: Asked) -> list[Row]:
    columns = {
        name: _values(batch.column(name), of) for name, of in asked.columns.items() if name in batch.schema.names
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(values: Any, column: Mapping[str, Any]) -> list[Any]:
    import pyarrow as pa

    kind = str(column.get("parameters", {}).get("type", ""))
    if pa.types.is_temporal(values.type) and kind:  # in the unit that the model counts in
        values = values.cast(pa.type_for_alias(kind.partition(",")[0] + ("]" if "," in kind else "")), safe=False)
        values = values.cast(pa.int64() if values.type.bit_width == 64 else pa.int32())
    return [plain(value) for value in values.to_pylist()]
