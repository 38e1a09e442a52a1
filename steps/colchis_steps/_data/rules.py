"""The rules that a data set is held against, and the checks that need all rows of a split."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from colchis_steps._data import inspection
from colchis_steps._data.profile import Range
from colchis_steps._data.windows import moved
from colchis_steps._formats.data import Column, DataManifest
from colchis_steps._formats.runs import Check
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "eval", "test")
JUDGED = SPLITS[1:]  # by which a model is judged, in training and by the gate


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user may set: a limit, and whether breaking it ends the run."""

    limit: Annotated[float, Meta(ge=0, le=sys.float_info.max)]  # and neither NaN nor infinite
    severity: Literal["error", "warn"] = "error"


RULES = {
    "min_rows": Rule(1),  # of each split
    "max_duplicate_share": Rule(0.01, "warn"),  # of a split's rows, those whose features were there before
    "max_leaked_rows": Rule(0),  # rows of one split whose features are also in another
    "max_overlap_share": Rule(0.05, "warn"),  # of eval and test rows, windows that are a training row's moved by a step
    "min_class_share": Rule(0.01, "warn"),  # of the training rows, those of the rarest class
    "min_class_rows": Rule(1, "warn"),  # of the eval and test rows, those of each class
    "max_constant_columns": Rule(0, "warn"),  # features of the training rows that never change
}


@dataclass
class Split:
    """What one pass over a split has found; 24 bytes a row stay in memory, to find equal rows and windows."""

    rows: int = 0
    ranges: dict[str, Range] = field(default_factory=dict)
    histograms: dict[str, tuple[int, ...]] = field(default_factory=dict)
    hashes: "list[np.ndarray]" = field(default_factory=list)
    edges: "list[np.ndarray]" = field(default_factory=list)


def parse_rules(text: str) -> dict[str, Rule]:
    """Read --rules over the defaults.

    Raises:
        InputError: it is not a JSON object, or has an unknown rule, limit or severity.
    """
    try:
        given = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise InputError(f'--rules is not JSON ({error}); give an object such as {{"min_rows": 1000}}') from error
    if not isinstance(given, dict):
        raise InputError(f'--rules is {text[:256]}, not a JSON object; give one such as {{"min_rows": 1000}}')
    found = dict(RULES)
    for name, value in given.items():
        if name not in RULES:
            raise InputError(f"--rules has the unknown rule {name[:128]!r}; the known ones are {', '.join(RULES)}")
        changes = value if isinstance(value, dict) else {"limit": value}
        try:
            found[name] = msgspec.convert({**msgspec.to_builtins(RULES[name]), **changes}, Rule)
        except msgspec.ValidationError as error:
            raise InputError(
                f"--rules gives {name[:128]!r} the value {json.dumps(value)[:256]}; give a number of at least 0, "
                'or {"limit": number, "severity": "error" or "warn"}'
            ) from error
    return found


def structure(manifest: DataManifest) -> Iterator[Check]:
    """Check the manifest itself: without splits, rows or a label nothing else can be judged."""
    lacking = [name for name in SPLITS if name not in manifest.splits]
    reason = f"data set {manifest.name!r} lacks the split {', '.join(lacking)}; import it with {', '.join(SPLITS)}"
    yield Check("splits are train, eval and test", not lacking, ", ".join(manifest.splits), reason if lacking else "")
    rows = sum(split.rows for split in manifest.splits.values())
    reason = "" if rows else f"data set {manifest.name!r} is empty: no split has a row; import data that has rows"
    yield Check("data set has rows", rows > 0, f"{rows} rows", reason)
    names = [column.name for column in manifest.columns]
    reason = f"label {manifest.label!r} is not a column of {manifest.name!r} ({', '.join(names)}); correct the manifest"
    yield Check("label is a column", manifest.label in names, manifest.label, "" if manifest.label in names else reason)
    odd = [f"{column.dtype!r} of {column.name!r}" for column in manifest.columns if not inspection.known(column)]
    reason = f"the schema has the dtype {', '.join(odd)}, which NumPy does not know; correct the manifest"
    yield Check("dtypes are known", not odd, "", reason if odd else "")


def judge(manifest: DataManifest, splits: Mapping[str, Split], rules: Mapping[str, Rule]) -> Iterator[Check]:
    """Check what only all the rows of a split can tell: amounts, repetitions, leakage, balance."""
    for name, split in splits.items():
        rule, enough = rules["min_rows"], split.rows >= rules["min_rows"].limit
        reason = f"split {name!r} has {split.rows} rows where min_rows says {rule.limit:g}; add rows, or lower min_rows"
        yield _check(f"{name}: at least {rule.limit:g} rows", enough, f"{split.rows} rows", reason, rule)
    for name, split in splits.items():
        rule, count = rules["max_duplicate_share"], duplicates(split)
        share = count / max(1, split.rows)
        reason = (
            f"{count} rows of split {name!r} ({share:.1%}) repeat others; leave them out, or raise max_duplicate_share"
        )
        yield _check(f"{name}: at most {rule.limit:.1%} duplicates", share <= rule.limit, f"{count} rows", reason, rule)
    yield from _leaks(splits, rules["max_leaked_rows"])
    yield from _overlaps(splits, rules["max_overlap_share"])
    label = next((column for column in manifest.columns if column.name == manifest.label), None)
    if train := splits.get("train"):
        yield _constant(manifest, train, rules["max_constant_columns"])
        if label:
            yield from _balance(label, train, rules["min_class_share"])
    for name in JUDGED:
        if label and name in splits:
            yield from _coverage(label, name, splits[name], rules["min_class_rows"])


def duplicates(split: Split) -> int:
    """Count the rows whose features another row of the split had before."""
    import numpy as np

    return sum(map(len, split.hashes)) - len(np.unique(np.concatenate(split.hashes))) if split.hashes else 0


def _leaks(splits: Mapping[str, Split], rule: Rule) -> Iterator[Check]:
    import numpy as np

    hashes = {name: np.concatenate(split.hashes) for name, split in splits.items() if split.hashes}
    names = list(hashes)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            rows = np.flatnonzero(np.isin(hashes[second], hashes[first]))
            reason = ""
            if len(rows):
                reason = (
                    f"{len(rows)} rows of split {second!r} are also in {first!r} (its row {rows[0]} is the first), "
                    "so the model would be judged on what it has seen; leave them out of one, or raise max_leaked_rows"
                )
            title = f"{first} and {second}: at most {rule.limit:g} rows in both"
            yield _check(title, len(rows) <= rule.limit, f"{len(rows)} rows", reason, rule)


def _overlaps(splits: Mapping[str, Split], rule: Rule) -> Iterator[Check]:
    import numpy as np

    edges = {name: np.concatenate(split.edges) for name, split in splits.items() if split.edges}
    for name in JUDGED:
        if not len(edges.get("train", ())) or not len(edges.get(name, ())):
            continue
        count = moved(edges["train"], edges[name])
        share = count / len(edges[name])
        reason = (
            f"{count} of {len(edges[name])} rows of split {name!r} are windows of 'train' moved by one step, "
            "so the model would be judged on what it has seen; divide the series by time, or raise max_overlap_share"
        )
        title = f"train and {name}: at most {rule.limit:.1%} moved windows"
        yield _check(title, share <= rule.limit, f"{count} rows", reason, rule)


def _constant(manifest: DataManifest, train: Split, rule: Rule) -> Check:
    names = []
    for column in manifest.columns:
        found = train.ranges.get(column.name, Range())
        if column.name != manifest.label and train.rows > 1 and found.minimum is not None:
            names += [column.name] if found.minimum == found.maximum else []
    listed = ", ".join(repr(name) for name in names)
    reason = f"column {listed} has one value in all training rows; leave it out, or raise max_constant_columns"
    return _check(f"at most {rule.limit:g} constant columns", len(names) <= rule.limit, listed, reason, rule)


def _balance(column: Column, train: Split, rule: Rule) -> Iterator[Check]:
    found = train.ranges.get(column.name, Range())
    if not column.classes or not found.classes:
        return
    count, total = min(found.classes), max(1, sum(found.classes))
    name, share = column.classes[found.classes.index(count)], count / total
    actual = f"rarest: {name} with {share:.1%}"
    reason = (
        f"class {name!r} of label {column.name!r} has {count} of {total} training rows ({share:.2%}); add some of it"
    )
    yield _check(f"{column.name}: each class in train", count > 0, actual, reason, Rule(0))
    title = f"{column.name}: each class has at least {rule.limit:.1%} of train"
    yield _check(title, share >= rule.limit, actual, f"{reason}, or lower min_class_share", rule)


def _coverage(column: Column, split: str, found: Split, rule: Rule) -> Iterator[Check]:
    counts = found.ranges.get(column.name, Range()).classes
    if not column.classes or not counts:
        return
    few = {name: count for name, count in zip(column.classes, counts, strict=True) if count < rule.limit}
    first, count = next(iter(few.items()), ("", 0))
    rows = f"{count or 'no'} row{'s' if count > 1 else ''}"
    more = f" ({len(few) - 1} more classes have too few)" if len(few) > 1 else ""
    reason = (
        f"class {first!r} has {rows} in {split}{more}: its recall cannot be judged; add rows of it, "
        "or lower min_class_rows"
    )
    title = f"{column.name}: each class has at least {rule.limit:g} rows in {split}"
    yield _check(title, not few, f"fewest: {min(counts)} rows", reason, rule)


def _check(title: str, passed: bool, actual: str, reason: str, rule: Rule) -> Check:
    return Check(title, passed, actual, "" if passed else reason, rule.severity)
