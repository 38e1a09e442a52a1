"""Numbers that JSON lacks: NaN and the infinities stand in documents as the strings "NaN", "Infinity" and "-Infinity".

Only where a type wants a float do such strings become numbers again; so text that reads "NaN" stays text.
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def written(value: Any) -> bytes:
    """Return a value of structs, dicts, lists and scalars as JSON, with words for the numbers that JSON lacks."""
    content = msgspec.json.encode(value)
    if b"null" not in content:  # as what msgspec writes for them: nearly all documents are done here
        return content
    return msgspec.json.encode(worded(msgspec.to_builtins(value)))


def worded(value: Any) -> Any:
    """Return a JSON value with words in the place of the numbers that JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else word(value)
    if isinstance(value, dict):
        return {key: worded(item) for key, item in value.items()}
    if _is_array(value):
        return [worded(item) for item in value]
    return value


def word(value: float) -> str:
    """Return the word for a number that is not finite."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def numbered(value: Any, kind: Any) -> Any:
    """Return a JSON value with floats for the words, and NaN for null, where ``kind`` wants a float.

    Earlier releases wrote null for what is not finite; where null is allowed it stays.
    """
    return _numbered(value, _info(kind))


def column_numbered(values: list[Any]) -> list[Any]:
    """Return a column, of any shape, with floats for the words unless it has other text, too: one column, one type."""
    texts = {value for value in _leaves(values) if isinstance(value, str)}
    return _leaf_by_leaf(values) if texts and texts <= WORDS.keys() else values


def _leaves(values: Any) -> Iterator[Any]:
    if not _is_array(values):
        yield values
        return
    for value in values:
        yield from _leaves(value)


def _leaf_by_leaf(values: Any) -> Any:
    return [_leaf_by_leaf(value) for value in values] if _is_array(values) else _number(values)


@functools.cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _numbered(value: Any, info: inspect.Type) -> Any:
    match info:
        case inspect.FloatType():
            return math.nan if value is None else _number(value)
        case inspect.UnionType(types=types):
            return _of_union(value, types)
        case inspect.StructType(fields=fields) if isinstance(value, Mapping):
            known = {field.encode_name: field.type for field in fields}
            return {key: _numbered(item, known[key]) if key in known else item for key, item in value.items()}
        case inspect.DictType(value_type=item_type) if isinstance(value, Mapping):
            return {key: _numbered(item, item_type) for key, item in value.items()}
        case inspect.ListType(item_type=item_type) | inspect.VarTupleType(item_type=item_type) if _is_array(value):
            return [_numbered(item, item_type) for item in value]
        case _:
            return value


def _of_union(value: Any, types: Sequence[inspect.Type]) -> Any:
    if value is None and any(isinstance(one, inspect.NoneType) for one in types):
        return None
    if isinstance(value, str) and any(isinstance(one, inspect.StrType) for one in types):
        return value
    for one in types:
        value = _numbered(value, one)
    return value


def _number(value: Any) -> Any:
    return WORDS.get(value, value) if isinstance(value, str) else value


def _is_array(value: Any) -> bool:
    return isinstance(value, list | tuple)
