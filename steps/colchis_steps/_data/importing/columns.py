"""The columns of an import: one schema for all sources, and the form in which rows are kept.

Kept are numbers, booleans, text, bytes, dates and times, and lists of them; dictionaries become their values, large and
view types plain ones, and NaN in a column of floats becomes a null.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import MASK, VALID
from colchis_steps._data.importing.request import LABEL, Request
from colchis_steps._data.importing.tables import Table, columns_found
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS = ("", "Unnamed: 0", "__index_level_0__")  # names of the column that pandas makes of an index


def chosen(request: Request, tables: Sequence[Table]) -> "pa.Schema":
    """Return the schema of the columns that are kept, with the types that they are kept as.

    Raises:
        InputError: sources differ in columns or types, a column that was named is missing, or one has a type that no
            model takes.
    """
    import pyarrow as pa

    first = tables[0]
    for table in tables[1:]:
        _same(first, table)
    _named(request, first)
    kept = {LABEL, *request.keep, *request.roles, *filter(None, [request.split_column])}
    names = [name for name in first.schema.names if (name in kept if request.keep else not_numbers(name, request))]
    fields = []
    for name in names:
        if name.endswith((VALID, MASK)):
            raise InputError(f"{first.where}: the end of the name of column {name!r} is taken; rename it")
        asked = request.types.get(name)
        fields.append(pa.field(name, _asked(name, asked) if asked else _merged(name, tables)))
    return pa.schema(fields)


def not_numbers(name: str, request: Request) -> bool:
    """Return whether a column is other than the row numbers that pandas leaves, unless it was named."""
    return name not in NUMBERS or name in {*request.roles, *request.types}


def _same(first: Table, other: Table) -> None:
    mine, its = first.schema.names, other.schema.names
    less, more = [n for n in mine if n not in its], [n for n in its if n not in mine]
    if less or more:
        lacks = f"lacks {', '.join(map(repr, less[:8]))}" if less else ""
        has = f"has {', '.join(map(repr, more[:8]))} besides" if more else ""
        raise InputError(
            f"{other.where} {' and '.join(filter(None, (lacks, has)))}, against {first.where}; "
            "give files of the same columns"
        )


def _named(request: Request, table: Table) -> None:
    """Hold the columns that were named against those that there are."""
    names = table.schema.names
    for name in (*request.roles, *request.keep, *request.types, *filter(None, [request.split_column])):
        if name not in names:
            close = difflib.get_close_matches(name, names, 1, 0.5)
            hint = f"did you mean {close[0]!r}?" if close else "name one of these"
            raise InputError(f"{table.where} has no column {name!r}; {hint} It has {columns_found(table.schema)}")


def _asked(name: str, text: str) -> "pa.DataType":
    import pyarrow as pa

    try:
        found: pa.DataType = pa.type_for_alias(text)
    except ValueError as error:
        raise InputError(
            f"--columns: {name} is to be {text!r}, which is no type of Arrow; give string, int64, double, bool, "
            "timestamp[us] or date32"
        ) from error
    return found


def _merged(name: str, tables: Sequence[Table]) -> "pa.DataType":
    """Return the type for a column's values in all sources: whole numbers give way to floats, nothing to anything."""
    import pyarrow as pa

    found, where = plain(name, tables[0].schema.field(name).type, tables[0].where), tables[0].where
    for table in tables[1:]:
        kind = plain(name, table.schema.field(name).type, table.where)
        if pa.types.is_null(found):
            found, where = kind, table.where
        elif kind == found or pa.types.is_null(kind):
            continue
        elif _number(kind) and _number(found):
            found = (
                pa.float64()
                if {pa.types.is_floating(kind), pa.types.is_floating(found)} == {True, False}
                else _wide(found, kind)
            )
        else:
            raise InputError(
                f"column {name!r} is {found} in {where} and {kind} in {table.where}; make them alike, or give a type "
                f"for all: --columns {name}:string"
            )
    return found


def _number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _wide(one: "pa.DataType", other: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    if pa.types.is_floating(one):
        return one if one.bit_width >= other.bit_width else other
    return (
        pa.int64()
        if pa.types.is_signed_integer(one) != pa.types.is_signed_integer(other)
        else max((one, other), key=lambda kind: kind.bit_width)
    )


def plain(name: str, kind: "pa.DataType", where: str) -> "pa.DataType":  # noqa: PLR0911 - a case a type
    """Return the type that values of a type are kept as.

    Raises:
        InputError: no model takes it.
    """
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(kind) or is_.is_run_end_encoded(kind):
        return plain(name, kind.value_type, where)
    if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
        return pa.string()
    if is_.is_binary(kind) or is_.is_large_binary(kind) or is_.is_binary_view(kind) or is_.is_fixed_size_binary(kind):
        return pa.binary()
    if is_.is_fixed_size_list(kind):
        return pa.list_(plain(name, kind.value_type, where), kind.list_size)
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_list_view(kind) or is_.is_large_list_view(kind):
        inner = plain(name, kind.value_type, where)
        if not is_.is_list(inner):
            return pa.list_(inner)
    elif isinstance(kind, pa.BaseExtensionType):
        return plain(name, kind.storage_type, where)
    elif not is_.is_nested(kind) and (is_.is_primitive(kind) or is_.is_decimal(kind) or is_.is_null(kind)):
        return kind
    raise InputError(
        f"{where}: column {name!r} is {str(kind)[:128]}, which no model takes; make columns of its parts, or leave it "
        "out with --columns"
    )


def normal(batch: "pa.RecordBatch", schema: "pa.Schema", where: str) -> "pa.RecordBatch":
    """Return the rows with the schema's types, NaN as nulls.

    Raises:
        InputError: a value does not fit its column's type.
    """
    import pyarrow as pa

    arrays = []
    for field in schema:
        values = batch.column(field.name)
        try:
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            values = values if values.type == field.type else values.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{where}: column {field.name!r} does not become {field.type} ({str(error)[:128]}); correct the "
                "values, or give another type with --columns"
            ) from error
        arrays.append(_without_nan(values))
    return pa.record_batch(arrays, schema)


def _without_nan(values: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(values.type):
        return values
    odd = pc.is_nan(values)
    return pc.if_else(odd, pa.scalar(None, values.type), values) if pc.any(odd).as_py() else values


def leaf(kind: "pa.DataType") -> "tuple[pa.DataType, tuple[int, ...]]":
    """Return the type of one value of a column, and the shape of one row: RAGGED where it is a list."""
    import pyarrow as pa

    from colchis_steps._formats.data import RAGGED

    shape: tuple[int, ...] = ()
    while True:
        if pa.types.is_fixed_size_list(kind):
            shape += (kind.list_size,)
        elif pa.types.is_list(kind):
            shape += (RAGGED,)
        else:
            return kind, shape
        kind = kind.value_type


def names_of(columns: Iterable[str]) -> str:
    """Return names as a sentence has them."""
    return ", ".join(map(repr, columns))
