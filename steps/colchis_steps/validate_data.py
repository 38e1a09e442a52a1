"""Refuse data that would spoil a model: damaged, of another schema, too little, repeated, leaking or lopsided.

Reads   --data    a data set's manifest and each of its shards, one at a time; of a directory of them, the newest
        --rules   JSON: {"min_rows": 1000, "max_leaked_rows": {"limit": 5, "severity": "warn"}}
        models/<model>/aliases/stable.json and its record, with --only-new-data=true
Writes  runs/<run>/validate_data.json: every check and a profile of each split; --digest-path: the data's digest
        --data-path: the URI of the one data set; --new-data-path: "false" where the served version has seen it
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from colchis_steps._data import inspection
from colchis_steps._data.dataset import newest, open_data
from colchis_steps._data.profile import Range, histogram, measure, profile
from colchis_steps._data.rows import row_hashes
from colchis_steps._data.rules import RULES, Rule, Split, duplicates, judge, parse_rules, structure
from colchis_steps._data.windows import edges
from colchis_steps._formats.data import DataManifest, Shard
from colchis_steps._formats.keys import alias_key, record_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.profiles import DataReport, SplitProfile
from colchis_steps._formats.runs import Check
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_name, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import progress
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, recorded
from colchis_steps._store.opening import open_store

log = logging.getLogger("colchis")


def scan(store: Objects, manifest: DataManifest) -> tuple[dict[str, Split], dict[str, str]]:
    """Read every shard once for its faults, ranges and hashes, and once more for histograms; one is in memory.

    Gives the splits, and the first fault of each broken rule.
    """
    shards = [(split, shard) for split, found in manifest.splits.items() for shard in found.parts]
    splits = {name: Split() for name in manifest.splits}
    faults: dict[str, str] = {}
    feature_names = {column.name for column in manifest.columns} - {manifest.label}
    for split, _, found in _read(store, manifest, shards, 0):
        into = splits[split]
        into.rows += found.rows
        for rule, reason in found.faults:
            faults.setdefault(rule, reason)
        for column in manifest.columns:
            if column.name in found.arrays:
                measured = measure(column, found.arrays[column.name])
                into.ranges[column.name] = into.ranges.get(column.name, Range()) | measured
        if feature_names and feature_names <= found.arrays.keys():
            features = {name: found.arrays[name] for name in feature_names}
            into.hashes.append(row_hashes(features))
            into.edges.append(edges(features))
    for split, _, found in _read(store, manifest, shards, len(shards)):
        into = splits[split]
        for name, array in found.arrays.items():
            counts = histogram(array, into.ranges[name])
            before = into.histograms.get(name) or (0,) * len(counts)
            into.histograms[name] = tuple(a + b for a, b in zip(before, counts, strict=True))
    return splits, faults


def _read(
    store: Objects, manifest: DataManifest, shards: Sequence[tuple[str, Shard]], done: int
) -> Iterator[tuple[str, Shard, inspection.Inspected]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    words = "profiling" if done else "checking"
    for split, shard in track(shards, words, console=console, transient=True, disable=not console.is_terminal):
        yield split, shard, inspection.inspect(store, manifest, shard)
        done += 1
        progress(done, 2 * len(shards))


def validate(store: Objects, manifest: DataManifest, rules: Mapping[str, Rule]) -> DataReport:
    """Hold the data set against its schema and the rules; every check is in the report, passed or not."""
    checks = list(structure(manifest))
    splits: dict[str, Split] = {}
    if all(inspection.known(column) for column in manifest.columns):
        splits, faults = scan(store, manifest)
        of_shards = inspection.rules(manifest.columns)
        checks += [Check(rule, rule not in faults, reason=faults.get(rule, "")) for rule in of_shards]
        checks += judge(manifest, splits, rules)
    profiles = {}
    for name, split in splits.items():
        columns = [column for column in manifest.columns if column.name in split.ranges]
        profiles[name] = SplitProfile(
            rows=split.rows,
            bytes=sum(shard.size for shard in manifest.splits[name].parts),
            duplicates=duplicates(split),
            columns=tuple(
                profile(column, split.ranges[column.name], split.histograms.get(column.name, ())) for column in columns
            ),
        )
    return DataReport(name=manifest.name, digest=manifest.digest, splits=profiles, checks=tuple(checks))


def sentence(checks: Iterable[Check]) -> str:
    """Return what to tell of the rules that must hold and do not: the first in full, and how many more; or nothing."""
    reasons = [check.reason for check in checks if not check.passed and check.severity == "error"]
    more = f" ({len(reasons) - 1} more rules do not hold: see the report)" if len(reasons) > 1 else ""
    return reasons[0] + more if reasons else ""


def seen(store: Objects, model: str, digest: str) -> int | None:
    """Return the served version where it was trained on these data, or None."""
    stable = find_document(store, alias_key(model, "stable"), Alias)
    record = stable and find_document(store, record_key(model, stable.version), Record)
    return record.version if record and record.data_digest == digest else None


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.validate_data"),
        description=__doc__.partition("\n")[0],
        epilog="example: python -m colchis_steps.validate_data --store=file:///tmp/store --run=try "
        "--data=file:///tmp/store/data/digits/840e74a1e825d543 --rules='{\"min_rows\": 200}'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--data", required=True, metavar="URI", help="a data set, or a directory of them: the newest")
    p.add_argument("--rules", default="{}", metavar="JSON", help=f"limits of {', '.join(RULES)}")
    p.add_argument("--model", type=model_name, default="model", metavar="NAME", help="whose served version counts")
    p.add_argument(
        "--only-new-data",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: end at once, and say so, where the model's served version was trained on these data",
    )
    p.add_argument("--digest-path", type=Path, metavar="PATH", help="where to write the data's digest")
    p.add_argument("--data-path", type=Path, metavar="PATH", help="where to write the URI of the one data set")
    p.add_argument("--new-data-path", type=Path, metavar="PATH", help="where to write true, or false: nothing to do")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Check the data set; end with exit code 65 and the first rule that must hold and does not."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    with recorded(store, args.run, "validate_data", vars(args)) as recorder:
        rules = parse_rules(args.rules)
        data = open_data(newest(args.data))
        recorder.outputs = {"digest": data.manifest.digest, "data": data.uri, "new-data": "true"}
        write_output(args.data_path, data.uri)
        if args.only_new_data and (version := seen(store, args.model, data.manifest.digest)):
            recorder.outputs["new-data"] = "false"
            recorder.message = f"no new data: {args.model} version {version} was trained on {data.uri}, and stays"
            write_output(args.digest_path, data.manifest.digest)
            write_output(args.new_data_path, "false")
            log.info("%s", recorder.message)
            return
        report = validate(data.store, data.manifest, rules)
        recorder.details = report
        for check in report.checks:
            if not check.passed and check.severity == "warn":
                log.warning("%s", check.reason)
        wrong = sentence(report.checks)
        recorder.verdict = "fail" if wrong else "pass"
        if wrong:
            raise InputError(wrong)
        rows = ", ".join(f"{name} {split.rows}" for name, split in report.splits.items())
        passed = sum(check.passed for check in report.checks)
        recorder.message = f"{report.name} passes {passed} of {len(report.checks)} checks; rows: {rows}"
        log.info("%s", recorder.message)
        write_output(args.digest_path, report.digest)
        write_output(args.new_data_path, "true")


if __name__ == "__main__":
    raise SystemExit(main())
