"""A pandera schema, which is the user's own code, as a schema.yaml: it runs where the user is, and never at a gate."""

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colchis_steps._step.errors import InputError

TYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "string"}
ARROWS = {"float16": "halffloat", "float32": "float", "float64": "double", "str": "string", "object": "string"}


def load(place: str) -> Any:
    """Import ``module:attribute`` from here, as Python would, and return the DataFrameSchema.

    Raises:
        InputError: there is none.
    """
    module, _, attribute = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"--pandera {place!r} cannot be imported ({error}); give module:attribute from here"
        ) from error
    finally:
        sys.path.pop(0)
    found = found.to_schema() if hasattr(found, "to_schema") else found  # a DataFrameModel
    if not isinstance(getattr(found, "columns", None), dict):
        raise InputError(f"--pandera {place!r} is a {type(found).__name__}, not a pandera DataFrameSchema; name one")
    return found


def columns_of(schema: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the rules of each column, and what a schema.yaml cannot say, a sentence each."""
    columns: dict[str, dict[str, Any]] = {}
    left: list[str] = []
    once = schema.unique if isinstance(schema.unique, list) else []
    for name, column in schema.columns.items():
        rules: dict[str, Any] = {}
        kind = str(column.dtype).removesuffix("[python]").removesuffix("[pyarrow]").lower()
        if kind in TYPES or kind in ARROWS:
            rules["type"] = ARROWS.get(kind, kind)
        elif column.dtype is not None:
            left.append(f"column {name!r}: the type {column.dtype}")
        rules["nullable"] = bool(column.nullable)
        if column.unique or once == [name]:
            rules["unique"] = True
        for check in column.checks:
            found = dict(_rules(check, rules.get("type", "")))
            if not found:
                left.append(f"column {name!r}: the check {check.name or 'of a function'}")
            severe = not getattr(check, "raise_warning", False)
            rules |= {rule: limit if severe else {"limit": limit, "severity": "warn"} for rule, limit in found.items()}
        columns[name] = rules
    left += [f"the whole frame: the check {check.name}" for check in schema.checks or ()]
    if len(once) > 1:
        left.append(f"that {', '.join(once)} are unique together")
    return columns, left


def _rules(check: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the rules that a check of pandera's own is; a function is none."""
    given = check.statistics or {}
    low, high = given.get("min_value"), given.get("max_value")
    match check.name:
        case "greater_than" | "greater_than_or_equal_to":
            yield "min", _beside(low, kind, math.inf if check.name == "greater_than" else low)
        case "less_than" | "less_than_or_equal_to":
            yield "max", _beside(high, kind, -math.inf if check.name == "less_than" else high)
        case "in_range":
            yield "min", low if given.get("include_min", True) else _beside(low, kind, math.inf)
            yield "max", high if given.get("include_max", True) else _beside(high, kind, -math.inf)
        case "equal_to":
            yield "values", [given["value"]]
        case "isin":
            yield "values", list(given["allowed_values"])
        case "str_matches":  # from the beginning, and not to the end
            yield "pattern", f"(?s:(?:{getattr(given['pattern'], 'pattern', given['pattern'])}).*)"
        case "str_length":
            yield from (("min_length", low),) if low is not None else ()
            yield from (("max_length", high),) if high is not None else ()


def _beside(limit: Any, kind: str, towards: Any) -> Any:
    """Return the next number of the type, towards another."""
    if towards == limit:
        return limit
    if kind.startswith(("int", "uint")) and float(limit).is_integer():
        return int(limit) + (1 if towards > limit else -1)
    return math.nextafter(float(limit), towards)
