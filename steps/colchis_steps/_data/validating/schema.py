"""A schema.yaml, as people write it: held strictly, since a rule that is misspelt would hold nothing.

rules: {min_rows: 1000, min_class_share: {limit: 0.05, severity: warn}}
freshness: {column: measured_at, limit: 30d, severity: warn}
columns:
  island: {type: string, nullable: false, values: [Biscoe, Dream, Torgersen]}
  bill_length_mm: {type: double, max_missing: 0.01, min: 20, max: {limit: 70, severity: warn}}
  code: {type: string, pattern: '[A-Z]{3}[0-9]+', max_length: 16, unique: true}
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, get_args

from colchis_steps._data.validating.contract import Contract, Freshness, Term, whole
from colchis_steps._data.validating.rules import RULES, Severity, laid_over
from colchis_steps._formats.data import DataManifest
from colchis_steps._formats.handwritten import read_yaml
from colchis_steps._step.errors import InputError

LARGEST = 4 << 20  # bytes
UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
NUMBERS = (int, float)
KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # what each rule of a column takes
    "type": ((str,), "Arrow's name of a type, such as double"),
    "shape": ((list,), "a list of lengths, -1 where each row has its own"),
    "nullable": ((bool,), "true or false"),
    "max_missing": (NUMBERS, "a share from 0 to 1"),
    "min": ((*NUMBERS, date), "a number or a date"),
    "max": ((*NUMBERS, date), "a number or a date"),
    "values": ((list,), "a list of values"),
    "pattern": ((str,), "a regular expression that matches whole values"),
    "min_length": ((int,), "a number of characters"),
    "max_length": ((int,), "a number of characters"),
    "unique": ((bool,), "true or false"),
}


def parse_schema(content: bytes, manifest: DataManifest, where: str) -> Contract:
    """Read a schema for the data set; ``where`` is what sentences call it.

    Raises:
        InputError: it is no YAML, has an unknown field, names an absent column, or a rule does not go with a column.
    """
    if len(content) > LARGEST:
        raise InputError(f"{where} has {len(content)} bytes, more than any schema; give a file of rules")
    found = read_yaml(content, where)
    found = _mapping({} if found is None else found, where)
    _known(found, ("rules", "freshness", "columns"), where, "field")
    rules = _mapping(found.get("rules") or {}, f"{where}: rules")
    laid_over(RULES, rules, where)
    columns = _mapping(found.get("columns") or {}, f"{where}: columns")
    terms = [term for name, given in columns.items() for term in _terms(name, given, manifest, where)]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Contract(digest, rules, tuple(terms), _freshness(found.get("freshness"), manifest, where))


def _terms(name: Any, given: Any, manifest: DataManifest, where: str) -> Iterable[Term]:
    _known([name], list(manifest.by_name), where, "column")
    column = manifest.by_name[name]
    for rule, value in _mapping(given or {}, f"{where}: column {name!r}").items():
        about = f"{where}: column {name!r}: {rule}"
        _known([rule], list(KINDS), f"{where}: column {name!r}", "rule")
        limit, severity = _with_severity(value, about)
        _check_kind(rule, limit, about)
        text = column.type in {"string", "binary"}
        if rule in {"min", "max"} and (text or not _comparable(limit)):
            raise InputError(
                f"{about} does not go with {column.type}, or is no number; give values or pattern for text"
            )
        if rule in {"pattern", "min_length", "max_length"} and not text:
            raise InputError(f"{about} goes with text, and the column is {column.type}; give min, max or values")
        if rule == "pattern":
            _check_pattern(limit, about)
        if rule == "values" and any(isinstance(one, list | dict) or one is None for one in limit):
            raise InputError(f"{about} has a value that is no text, number or date; give plain values")
        yield Term(name, rule, tuple(limit) if isinstance(limit, list) else limit, severity)


def _check_kind(rule: str, limit: Any, about: str) -> None:
    types, words = KINDS[rule]
    if not isinstance(limit, types) or (isinstance(limit, bool) and bool not in types):
        raise InputError(f"{about} is {str(limit)[:64]!r}; give {words}")


def _comparable(limit: Any) -> bool:
    return not isinstance(limit, float) or abs(limit) < float("inf")


def _check_pattern(pattern: str, about: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), whole(pattern))
    except pa.ArrowInvalid as error:
        raise InputError(f"{about} is no regular expression of RE2 ({str(error)[:128]}); correct it") from error


def _freshness(given: Any, manifest: DataManifest, where: str) -> Freshness | None:
    if given is None:
        return None
    found = _mapping(given, f"{where}: freshness")
    _known(found, ("column", "limit", "severity"), f"{where}: freshness", "field")
    name, limit = str(found.get("column")), found.get("limit")
    _known([name], list(manifest.by_name), f"{where}: freshness", "column")
    kind = manifest.by_name[name].type
    if kind in {"string", "binary", "bool"} or kind.startswith(("time32", "time64", "duration")):
        raise InputError(f"{where}: freshness: column {name!r} is {kind}, not a date or a time; name one that is")
    text = str(limit)
    if not (text[:-1].isdigit() and text[-1] in UNITS):
        raise InputError(f"{where}: freshness: limit is {text[:32]!r}; give minutes, hours, days or weeks, such as 30d")
    severity = _severity(found.get("severity", "error"), f"{where}: freshness")
    return Freshness(name, int(text[:-1]) * UNITS[text[-1]], text, severity)


def _with_severity(value: Any, about: str) -> tuple[Any, Severity]:
    if not isinstance(value, dict):
        return value, "error"
    _known(value, ("limit", "severity"), about, "field")
    if "limit" not in value:
        raise InputError(f"{about} lacks its limit; give {{limit: …, severity: …}}")
    return value["limit"], _severity(value.get("severity", "error"), about)


def _severity(value: Any, about: str) -> Severity:
    if value not in get_args(Severity):
        raise InputError(f"{about} has the severity {str(value)[:32]!r}; give {', '.join(get_args(Severity))}")
    found: Severity = value
    return found


def _mapping(value: Any, about: str) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{about} is {str(value)[:64]!r}, not a mapping of names; see docs/schema.md")
    return value


def _known(names: Iterable[Any], known: Iterable[str], where: str, what: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"the known ones are {', '.join(known[:24])}"
            raise InputError(f"{where} has the unknown {what} {str(name)[:64]!r}; {hint}")
