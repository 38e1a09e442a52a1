"""The rules that a data set is held against, and how --rules and a schema lay others over them."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from colchis_steps._formats.data import Division
from colchis_steps._step.errors import InputError

Severity = Literal["error", "warn", "info"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user may set: a limit, and whether breaking it ends the run, is warned of, or only told."""

    limit: Annotated[float, Meta(ge=0, le=sys.float_info.max)]  # and neither NaN nor infinite
    severity: Severity = "error"


RULES = {
    "min_rows": Rule(1),  # of each split
    "max_duplicate_share": Rule(0.01, "warn"),  # of a split's rows, those whose features were there before
    "max_leaked_rows": Rule(0),  # rows of one split whose features are also in another
    "max_leaked_keys": Rule(0),  # rows of one split whose key is also in another
    "max_leaked_groups": Rule(0),  # rows of one split whose group is also in another
    "max_overlap_share": Rule(0.05, "warn"),  # of eval and test rows, windows that are a training row's moved by a step
    "max_contradiction_share": Rule(0.01, "warn"),  # of a split's rows, equal features that have another label too
    "min_class_share": Rule(0.01, "warn"),  # of the training rows, those of the rarest class
    "min_class_rows": Rule(1, "warn"),  # of the eval and test rows, those of each class
    "max_constant_columns": Rule(0, "warn"),  # features of the training rows that never change
    "max_empty_columns": Rule(0, "warn"),  # columns without a value in the training rows
    "max_bad_images": Rule(0),  # pictures that cannot be decoded
    "max_drifted_columns": Rule(0, "warn"),  # columns that differ from the reference's
}


def defaults(division: Division) -> dict[str, Rule]:
    """Return the rules of a data set that was divided so.

    Where rows are divided by who or when they are from, others of the same features may be on both sides by chance: a
    table of few columns has them. It is a warning then, and an error where the same key or group is on both sides.
    """
    by_features = division.way == "given" or (division.way == "hash" and not division.by)
    severity: Severity = "error" if by_features else "warn"
    return RULES | {"max_leaked_rows": msgspec.structs.replace(RULES["max_leaked_rows"], severity=severity)}


def parse_rules(text: str, over: Mapping[str, Rule] = RULES) -> dict[str, Rule]:
    """Read --rules over others, the defaults or those of a schema.

    Raises:
        InputError: it is not a JSON object, or has an unknown rule, limit or severity.
    """
    try:
        given = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise InputError(f'--rules is not JSON ({error}); give an object such as {{"min_rows": 1000}}') from error
    if not isinstance(given, dict):
        raise InputError(f'--rules is {text[:256]}, not a JSON object; give one such as {{"min_rows": 1000}}')
    return laid_over(over, given, "--rules")


def laid_over(rules: Mapping[str, Rule], given: Mapping[str, Any], where: str) -> dict[str, Rule]:
    """Return the rules with those given in their place. Raises InputError, as ``parse_rules``."""
    found = dict(rules)
    for name, value in given.items():
        if name not in RULES:
            raise InputError(f"{where} has the unknown rule {str(name)[:128]!r}; the known ones are {', '.join(RULES)}")
        changes = value if isinstance(value, dict) else {"limit": value}
        try:
            found[name] = msgspec.convert({**msgspec.to_builtins(rules[name]), **changes}, Rule)
        except msgspec.ValidationError as error:
            raise InputError(
                f"{where} gives {name[:128]!r} the value {json.dumps(value, default=str)[:256]}; give a number of at "
                'least 0, or {"limit": number, "severity": "error", "warn" or "info"}'
            ) from error
    return found
