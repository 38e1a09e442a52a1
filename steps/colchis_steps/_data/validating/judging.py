"""The checks that need all rows of a split: amounts, repetitions, leaks, noise, balance; and those of a manifest."""

from collections.abc import Iterator, Mapping

from colchis_steps._data.validating.holding import known
from colchis_steps._data.validating.rules import Rule
from colchis_steps._data.validating.scanning import Scanned, Split
from colchis_steps._data.validating.spilling import Alike
from colchis_steps._data.windows import moved
from colchis_steps._formats.data import DataManifest
from colchis_steps._formats.profiles import DataReport, SplitProfile
from colchis_steps._formats.runs import Check

SPLITS = ("train", "eval", "test")
JUDGED = SPLITS[1:]  # by which a model is judged, in training and by the gate
SEEN = "so the model would be judged on what it has seen"


def structure(manifest: DataManifest) -> Iterator[Check]:
    """Check the manifest itself: without splits, rows or a label nothing else can be judged."""
    lacking = [name for name in SPLITS if name not in manifest.splits]
    reason = f"data set {manifest.name!r} lacks the split {', '.join(lacking)}; import it with {', '.join(SPLITS)}"
    yield Check("splits are train, eval and test", not lacking, ", ".join(manifest.splits), reason if lacking else "")
    rows = sum(split.rows for split in manifest.splits.values())
    reason = "" if rows else f"data set {manifest.name!r} is empty: no split has a row; import data that has rows"
    yield Check("data set has rows", rows > 0, f"{rows} rows", reason)
    names = [column.name for column in manifest.columns]
    for target in manifest.task.target:
        reason = f"label {target!r} is not a column of {manifest.name!r} ({', '.join(names)}); correct the manifest"
        yield Check("label is a column", target in names, target, "" if target in names else reason)
    twice = sorted({name for name in names if names.count(name) > 1})
    reason = f"the schema has the column {', '.join(map(repr, twice))} twice; name each column once"
    yield Check("columns have names of their own", not twice, "", reason if twice else "")
    odd = [f"{column.dtype!r} of {column.name!r}" for column in manifest.columns if not known(column)]
    reason = f"the schema has the dtype {', '.join(odd)}, which NumPy does not know; correct the manifest"
    yield Check("dtypes are known", not odd, "", reason if odd else "")
    odd = [repr(c.name) for c in manifest.of_role("feature") if c.type == "binary" and not c.media]
    reason = f"column {', '.join(odd)} is bytes of no media type: text of another encoding? Import it by --encoding"
    yield Check("bytes are of a media type", not odd, "", reason if odd else "", "warn")


def judge(manifest: DataManifest, found: Scanned, rules: Mapping[str, Rule]) -> Iterator[Check]:
    """Check what only all the rows of a split can tell: amounts, repetitions, leakage, balance."""
    splits = found.splits
    for name, split in splits.items():
        rule, enough = rules["min_rows"], split.rows >= rules["min_rows"].limit
        reason = f"split {name!r} has {split.rows} rows where min_rows says {rule.limit:g}; add rows, or lower min_rows"
        yield check(f"{name}: at least {rule.limit:g} rows", enough, f"{split.rows} rows", reason, rule)
    for number, (name, split) in enumerate(splits.items()):
        rule, count = rules["max_duplicate_share"], found.alike.duplicates.get(number, 0)
        share = count / max(1, split.rows)
        reason = (
            f"{count} rows of split {name!r} ({share:.1%}) repeat others; leave them out, or raise max_duplicate_share"
        )
        yield check(f"{name}: at most {rule.limit:.1%} duplicates", share <= rule.limit, f"{count} rows", reason, rule)
    yield from _leaks(found, found.alike, "", rules["max_leaked_rows"], "max_leaked_rows")
    if manifest.of_role("key"):
        yield from _leaks(found, found.keys, "key", rules["max_leaked_keys"], "max_leaked_keys")
    if manifest.of_role("group"):
        yield from _leaks(found, found.groups, "group", rules["max_leaked_groups"], "max_leaked_groups")
    yield from _overlaps(splits, rules["max_overlap_share"])
    if manifest.task.classes:
        yield from _contradictions(found, rules["max_contradiction_share"])
    if found.images or any(column.media.startswith("image/") for column in manifest.columns):
        rule, count = rules["max_bad_images"], found.images
        reason = f"{found.image} ({count} such pictures); or raise max_bad_images"
        title = f"at most {rule.limit:g} pictures that cannot be decoded"
        yield check(title, count <= rule.limit, f"{count} pictures", reason, rule)
    if train := splits.get("train"):
        yield from _columns(manifest, train, rules)
        if train.classes is not None:
            yield from _balance(manifest.label, train.classes, rules["min_class_share"])
    for name in JUDGED:
        if name in splits and (classes := splits[name].classes):
            yield from _coverage(manifest.label, name, classes, rules["min_class_rows"])


def _leaks(found: Scanned, alike: Alike, what: str, rule: Rule, called: str) -> Iterator[Check]:
    names = list(found.splits)
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            second = names[j]
            count, row = alike.shared.get((i, j), (0, 0))
            alikes = f"have a {what} that is also" if what else "are also"
            reason = (
                f"{count} rows of split {second!r} {alikes} in {first!r} (its row {row} is the first), {SEEN}; "
                f"leave them out of one, or raise {called}"
            )
            title = f"{first} and {second}: at most {rule.limit:g} {what or 'row'}s in both"
            yield check(title, count <= rule.limit, f"{count} rows", reason, rule)


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
            f"{SEEN}; divide the series by time, or raise max_overlap_share"
        )
        title = f"train and {name}: at most {rule.limit:.1%} moved windows"
        yield check(title, share <= rule.limit, f"{count} rows", reason, rule)


def _contradictions(found: Scanned, rule: Rule) -> Iterator[Check]:
    for number, (name, split) in enumerate(found.splits.items()):
        count, row = found.alike.contradictions.get(number, (0, 0))
        share = count / max(1, split.rows)
        reason = (
            f"{count} rows of split {name!r} ({share:.1%}) have features that also stand with another label (row {row} "
            "is the first), which no model can learn; correct the labels, or raise max_contradiction_share"
        )
        title = f"{name}: at most {rule.limit:.1%} rows with another label too"
        yield check(title, share <= rule.limit, f"{count} rows", reason, rule)


def _columns(manifest: DataManifest, train: Split, rules: Mapping[str, Rule]) -> Iterator[Check]:
    """Check for columns of the training rows that tell nothing."""
    features = [column.name for column in manifest.of_role("feature") if column.name in train.columns]
    constant = [name for name in features if train.columns[name].constant]
    rule, listed = rules["max_constant_columns"], ", ".join(map(repr, constant))
    reason = f"column {listed} has one value in all training rows; leave it out, or raise max_constant_columns"
    yield check(f"at most {rule.limit:g} constant columns", len(constant) <= rule.limit, listed, reason, rule)
    empty = [name for name, found in train.columns.items() if found.rows and not found.values]
    rule, listed = rules["max_empty_columns"], ", ".join(map(repr, empty))
    reason = f"column {listed} has no value in all training rows; leave it out, or raise max_empty_columns"
    yield check(f"at most {rule.limit:g} empty columns", len(empty) <= rule.limit, listed, reason, rule)


def _balance(label: str, classes: Mapping[str, int], rule: Rule) -> Iterator[Check]:
    name = min(classes, key=classes.__getitem__)
    count, total = classes[name], max(1, sum(classes.values()))
    share = count / total
    actual = f"rarest: {name} with {share:.1%}"
    reason = f"class {name!r} of label {label!r} has {count} of {total} training rows ({share:.2%}); add some of it"
    yield check(f"{label}: each class in train", count > 0, actual, reason, Rule(0))
    title = f"{label}: each class has at least {rule.limit:.1%} of train"
    yield check(title, share >= rule.limit, actual, f"{reason}, or lower min_class_share", rule)
    reason = f"label {label!r} has the one class {name!r}: there is nothing to tell apart; add rows of another class"
    yield check(f"{label}: at least two classes", len(classes) > 1, f"{len(classes)} classes", reason, Rule(0))


def _coverage(label: str, split: str, classes: Mapping[str, int], rule: Rule) -> Iterator[Check]:
    few = {name: count for name, count in classes.items() if count < rule.limit}
    first, count = next(iter(few.items()), ("", 0))
    rows = f"{count or 'no'} row{'s' if count > 1 else ''}"
    more = f" ({len(few) - 1} more classes have too few)" if len(few) > 1 else ""
    reason = (
        f"class {first!r} has {rows} in {split}{more}: its recall cannot be judged; add rows of it, "
        "or lower min_class_rows"
    )
    title = f"{label}: each class has at least {rule.limit:g} rows in {split}"
    yield check(title, not few, f"fewest: {min(classes.values())} rows", reason, rule)


def check(title: str, passed: bool, actual: str, reason: str, rule: Rule) -> Check:
    """Return a check, with its reason where it does not pass."""
    return Check(title, passed, actual, "" if passed else reason, rule.severity)


def drifted(report: DataReport, rule: Rule) -> Check:
    """Return the check of drift against the reference."""
    reasons = [one.reason for one in report.drift if one.drifted]
    more = f" ({len(reasons) - 1} more columns drifted)" if len(reasons) > 1 else ""
    reason = (
        f"{reasons[0]}{more}, against {report.reference}; look at it, or raise max_drifted_columns" if reasons else ""
    )
    title = f"at most {rule.limit:g} drifted columns"
    return check(title, len(reasons) <= rule.limit, f"{report.verdict}: {len(reasons)} columns", reason, rule)


def profiled(manifest: DataManifest, found: Scanned) -> dict[str, SplitProfile]:
    """Return the profile of each split."""
    profiles = {}
    for number, (name, split) in enumerate(found.splits.items()):
        profiles[name] = SplitProfile(
            rows=split.rows,
            bytes=sum(shard.size for shard in manifest.splits[name].parts),
            duplicates=found.alike.duplicates.get(number, 0),
            columns=tuple(
                one.profile(split.classes if column == manifest.label else None)
                for column, one in split.columns.items()
            ),
            contradictions=found.alike.contradictions.get(number, (0, 0))[0],
        )
    return profiles
