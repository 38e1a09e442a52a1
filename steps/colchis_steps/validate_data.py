"""Refuse data that would spoil a model: damaged, of another schema, too little, repeated, leaking or lopsided.

Reads   --data    a data set's manifest and each of its shards, one at a time; of a directory of them, the newest
        --rules   JSON: {"min_rows": 1000, "max_leaked_rows": {"limit": 5, "severity": "warn"}}
        --schema  a schema.yaml (docs/schema.md); else <data>/schema.yaml, else that of all data of the name
        --reference  runs/<run>/validate_data.json of other data: drift is measured against their profile
        models/<model>/aliases/stable.json and its record, with --only-new-data=true
Writes  runs/<run>/validate_data.json: every check, a profile of each split, drift; --digest-path: the data's digest
        --data-path: the URI of the one data set; --new-data-path: "false" where the served version has seen it
        --prepares-path: command, template or false, as --prepare is; --ready-path, --ready-digest-path: data and digest
        where it is empty, as then nothing comes between these data and the training
"""

import argparse
import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._data.dataset import newest, open_data, read_manifest
from colchis_steps._data.validating.keeping import find_reference, find_schema
from colchis_steps._data.validating.rules import RULES, defaults, laid_over, parse_rules
from colchis_steps._data.validating.whole import sentence, validate
from colchis_steps._formats.keys import alias_key, record_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._prepare.asked import kind_of
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_name, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import absolute

log = logging.getLogger("colchis")


def seen(store: Objects, model: str, digest: str) -> int | None:
    """Return the served version where it was trained on these data, or on what was prepared of them, or None."""
    stable = find_document(store, alias_key(model, "stable"), Alias)
    record = find_document(store, record_key(model, stable.version), Record) if stable else None
    if record is None or record.data_digest == digest:
        return record.version if record else None
    with contextlib.suppress(InputError):
        uri = absolute(store, record.data)
        parent = read_manifest(open_store(uri), uri).parent
        return record.version if parent and parent.data == digest else None
    return None


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
    p.add_argument(
        "--schema",
        default="",
        metavar="URI",
        help="a schema.yaml; else the one beside the data or their name's, if any",
    )
    p.add_argument(
        "--reference",
        default="",
        metavar="URI",
        help="what drift is measured against: a data set validated by a run of this store, or 'served': the data of "
        "the model's served version",
    )
    p.add_argument("--model", type=model_name, default="model", metavar="NAME", help="whose served version counts")
    p.add_argument(
        "--only-new-data",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: end at once, and say so, where the model's served version was trained on these data",
    )
    p.add_argument("--prepare", default="", metavar="HOW", help="what is to make the training's data of these")
    p.add_argument("--digest-path", type=Path, metavar="PATH", help="where to write the data's digest")
    p.add_argument("--data-path", type=Path, metavar="PATH", help="where to write the URI of the one data set")
    p.add_argument("--new-data-path", type=Path, metavar="PATH", help="where to write true, or false: nothing to do")
    p.add_argument("--prepares-path", type=Path, metavar="PATH", help="where to write command, template or false")
    p.add_argument("--ready-path", type=Path, metavar="PATH", help="where to write the URI where it is not")
    p.add_argument("--ready-digest-path", type=Path, metavar="PATH", help="where to write the digest where it is not")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Check the data set; end with exit code 65 and the first rule that must hold and does not."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    with recorded(store, args.run, "validate_data", vars(args)) as recorder:
        parse_rules(args.rules)
        prepares = kind_of(args.prepare)
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
        contract = find_schema(args.schema, data)
        rules = parse_rules(args.rules, laid_over(defaults(data.manifest.division), contract.rules, "the schema"))
        report = validate(data.store, data.manifest, rules, contract, find_reference(args.reference, store, args.model))
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
        write_output(args.prepares_path, prepares)
        write_output(args.ready_path, "" if args.prepare else data.uri)
        write_output(args.ready_digest_path, "" if args.prepare else report.digest)
        write_output(args.new_data_path, "true")


if __name__ == "__main__":
    raise SystemExit(main())
