"""A data set held against all that it is to keep: its manifest, the rules, a schema, and data of before."""

from collections.abc import Iterable, Mapping

from colchis_steps._data.validating.comparing import compare, edges_of
from colchis_steps._data.validating.contract import Contract
from colchis_steps._data.validating.holding import known
from colchis_steps._data.validating.holding import rules as of_columns
from colchis_steps._data.validating.judging import drifted, judge, profiled, structure
from colchis_steps._data.validating.keeping import Reference
from colchis_steps._data.validating.rules import Rule
from colchis_steps._data.validating.scanning import scan
from colchis_steps._formats.data import DataManifest
from colchis_steps._formats.profiles import DataReport
from colchis_steps._formats.runs import Check
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Objects


def validate(
    store: Objects,
    manifest: DataManifest,
    rules: Mapping[str, Rule],
    contract: Contract | None = None,
    reference: Reference | None = None,
) -> DataReport:
    """Hold the data set against its manifest, the rules and a schema; every check is in the report, passed or not."""
    contract, reference = contract or Contract(), reference or Reference()
    checks = list(structure(manifest))
    report = DataReport(manifest.name, manifest.digest, {}, (), (), reference.where, contract.digest)
    if all(known(column) for column in manifest.columns):
        with Progress(
            "validating", sum(shard.size for split in manifest.splits.values() for shard in split.parts)
        ) as bar:
            found = scan(store, manifest, contract, edges_of(reference.splits), lambda shard: bar.advance(shard.size))
        checks += [
            Check(rule, rule not in found.faults, reason=found.faults[rule].reason if rule in found.faults else "")
            for rule in dict.fromkeys([*of_columns(manifest.columns), *found.faults])
            if not rule.startswith("schema: ")
        ]
        checks += judge(manifest, found, rules)
        columns = {name: split.columns for name, split in found.splits.items()}
        checks += contract.checks(manifest, found.faults, columns, found.unique)
        report.splits = profiled(manifest, found)
        if reference.splits:
            report.drift, report.verdict = compare(reference.splits, report.splits)
            checks.append(drifted(report, rules["max_drifted_columns"]))
    report.checks = tuple(checks)
    return report


def sentence(checks: Iterable[Check]) -> str:
    """Return what to tell of the rules that must hold and do not: the first in full, and how many more; or nothing."""
    reasons = [check.reason for check in checks if not check.passed and check.severity == "error"]
    more = f" ({len(reasons) - 1} more rules do not hold: see the report)" if len(reasons) > 1 else ""
    return reasons[0] + more if reasons else ""
