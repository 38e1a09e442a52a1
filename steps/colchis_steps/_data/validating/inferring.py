"""A schema.yaml as the data are today: a beginning for people to edit.

What a scan has seen becomes rules. Vocabularies, types and nulls are errors; ranges, patterns and shares of what is
missing are warnings, since tomorrow's rows may well go a little beyond today's.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import yaml

from colchis_steps._data.validating.contract import DAY, Contract, Term, ticks
from colchis_steps._data.validating.measuring import Measured
from colchis_steps._data.validating.scanning import Scanned
from colchis_steps._formats.data import Column, DataManifest

WORDS = 50  # values that a vocabulary may have
OFTEN = 10  # times that each of them stands there, on average
HEAD = """\
# What {name} is like, as inferred of {digest}. Edit it, then keep it with the data:
#   colchis data infer {uri} --keep schema.yaml
# A rule may say its severity: {{limit: …, severity: error | warn | info}}. docs/schema.md lists the rules.
"""


def asked(manifest: DataManifest) -> Contract:
    """Return what a scan is to find out beyond profiles: whether keys are unique."""
    return Contract(terms=tuple(Term(column.name, "unique", True) for column in manifest.of_role("key")))


def schema_text(manifest: DataManifest, found: Scanned, uri: str) -> str:
    """Return a schema of what was found, as YAML."""
    rules: dict[str, Any] = {"min_rows": max(1, min(split.rows for split in found.splits.values()) // 2)}
    train = next(iter(found.splits.values()))
    if train.classes and (share := min(train.classes.values()) / max(1, sum(train.classes.values()))):
        rules["min_class_share"] = {"limit": _down(share / 2), "severity": "warn"}
    document: dict[str, Any] = {"rules": rules}
    columns = {
        column.name: [split.columns[column.name] for split in found.splits.values()] for column in manifest.columns
    }
    for column in manifest.of_role("time"):
        if column.type.startswith(("timestamp", "date")):
            newest = max(one.numbers.maximum for one in columns[column.name])
            age = datetime.now(UTC).timestamp() - newest / ticks(column.type)
            limit = f"{math.ceil(2 * max(0.0, age) / DAY) + 1}d"
            document["freshness"] = {"column": column.name, "limit": limit, "severity": "warn"}
    document["columns"] = {
        column.name: _column(column, columns[column.name], found, manifest)
        for column in manifest.columns
        if column.role != "ignored"
    }
    return HEAD.format(name=manifest.name, digest=manifest.digest[:23], uri=uri) + dumped(document)


def dumped(document: Mapping[str, Any]) -> str:
    """Return a schema as YAML, a column a line where it has no list."""
    text = yaml.safe_dump(dict(document), sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)
    return str(text)


def _column(column: Column, splits: list[Measured], found: Scanned, manifest: DataManifest) -> dict[str, Any]:
    rules: dict[str, Any] = {"type": column.type}
    if column.shape:
        rules["shape"] = list(column.shape)
    nulls, values = sum(one.nulls for one in splits), sum(one.values for one in splits)
    rules["nullable"] = bool(nulls)
    if nulls:
        share = max(one.nulls / max(1, one.nulls + one.values) for one in splits)
        rules["max_missing"] = {"limit": min(1.0, _up(2 * share)), "severity": "warn"}
    if column.type in {"string", "binary"} and not column.media:
        rules |= _texts(column, splits, values, manifest)
    elif any(one.numbers.values for one in splits) and column.type != "bool":
        low, high = min(one.numbers.minimum for one in splits), max(one.numbers.maximum for one in splits)
        if math.isfinite(low) and math.isfinite(high):
            rules["min"] = {"limit": _value(low, column), "severity": "warn"}
            rules["max"] = {"limit": _value(high, column, up=True), "severity": "warn"}
    if column.name in found.unique and not found.unique[column.name].repeated:
        rules["unique"] = True
    return rules


def _texts(column: Column, splits: list[Measured], values: int, manifest: DataManifest) -> dict[str, Any]:
    words = {word for one in splits for word in one.counts.found if isinstance(word, str)}
    exact = all(one.counts.exact for one in splits)
    if column.type == "string" and column.role == "label" and manifest.task.classes:
        return {"values": list(manifest.task.classes)}
    if column.type == "string" and exact and words and len(words) <= WORDS and values >= OFTEN * len(words):
        return {"values": sorted(words)}
    rules: dict[str, Any] = {}
    if column.type == "string" and (pattern := common_pattern(words)):
        rules["pattern"] = {"limit": pattern, "severity": "warn"}
    if longest := max((one.lengths.maximum for one in splits), default=0):
        rules["max_length"] = {"limit": 2 * longest, "severity": "warn"}
    return rules


def common_pattern(words: set[str]) -> str:
    """Return a pattern that all words follow, such as ``[A-Z]{2}[0-9]{4,6}``, or nothing."""
    runs = [re.findall(r"[A-Z]+|[a-z]+|[0-9]+|[^A-Za-z0-9]", word) for word in words]
    if not runs or len({len(run) for run in runs}) != 1 or not 0 < len(runs[0]) <= 16:
        return ""
    parts = []
    for column in zip(*runs, strict=True):
        if len(set(column)) == 1:
            parts.append(re.escape(column[0]))
            continue
        kinds = {
            next((kind for kind in ("[A-Z]", "[a-z]", "[0-9]") if re.match(kind, one)), re.escape(one))
            for one in column
        }
        if len(kinds) != 1:
            return ""
        (kind,), lengths = kinds, sorted({len(one) for one in column})
        span = str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]},{lengths[-1]}"
        parts.append(kind if span == "1" else f"{kind}{{{span}}}")
    return "".join(parts)


def _value(number: float, column: Column, *, up: bool = False) -> Any:
    """Return a bound as people write it: of dates and times as such."""
    if column.type.startswith(("timestamp", "date")):
        seconds = number / ticks(column.type)
        try:
            when = datetime.fromtimestamp(math.ceil(seconds) if up else math.floor(seconds), UTC)
        except (ValueError, OverflowError, OSError):
            return number
        return date(when.year, when.month, when.day) if column.type.startswith("date") else when.replace(tzinfo=None)
    return int(number) if column.type.startswith(("int", "uint")) else number


def _down(share: float) -> float:
    return float(f"{share:.1g}")


def _up(share: float) -> float:
    return math.ceil(share * 1000) / 1000
