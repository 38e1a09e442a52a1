"""Say where a model comes from, from a digest, a name or an endpoint: data, code, verdict, who signed it, and rollouts.

Reads   models/*/*/{record,manifest,statement}.json, signatures, models/<model>/{aliases,rollouts}/*.json, runs/<run>/,
        the manifests of the data; with an endpoint: which version answers there
Prints  what is known, for people or, with --json, as JSON
Writes  --html: the same as a page without scripts
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from colchis_steps._formats.documents import Unreadable, content_digest
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.numbers import worded
from colchis_steps._models.binding import read_version
from colchis_steps._models.signing.check import Seal, seals
from colchis_steps._models.signing.trust import read_trust
from colchis_steps._origins import gathering, page, parts, resolving, telling
from colchis_steps._origins.differences import of_data
from colchis_steps._origins.gathering import Origin
from colchis_steps._origins.telling import Past
from colchis_steps._step.flags import prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.text import printable
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import legible_document
from colchis_steps._store.opening import open_store


def aliases_of(store: Objects, record: Record) -> list[str]:
    """List the aliases that name the version, a canary with its share of the traffic."""
    found = {name: legible_document(store, alias_key(record.model, name), Alias) for name in resolving.ALIASES}
    return [
        f"{name}, {alias.weight} % of the traffic" if name == "canary" and alias.weight is not None else name
        for name, alias in found.items()
        if alias and alias.version == record.version
    ]


def signatures(store: Objects, record: Record) -> tuple[list[Seal], str]:
    """Return who signed the version, held against the keys that are trusted here, and what they signed, in words."""
    try:
        found = read_version(store, record.model, record.version)
    except (NotFound, Unreadable):
        return [], ""
    whole = "with image, tree, record and manifest" if not found.faults else f"but {found.faults[0]}"
    return list(seals(store, found, read_trust())), f"its statement {content_digest(found.statement)}, {whole}"


def past_of(store: Objects, found: Origin, record: Record) -> Past:
    """Gather what there is of a version beside its own documents."""
    there, over = signatures(store, record)
    later = [one.version for one in resolving.records(store, record.model) if one.baseline == record.version]
    baseline = gathering.baseline_of(store, found)
    past = Past(aliases_of(store, record), there, over, gathering.rollouts_of(store, record), baseline=baseline)
    if found.data and found.data.parent:
        past.parent = gathering.parent_data(store, found.data)
        if past.parent is None:
            past.notes.append(f"the data's parent {found.data.parent.data} is not in {store.url} any more")
    past.replaced_by = sorted({version for version in later if version > record.version})
    return past


def as_json(found: Origin, past: Past) -> dict[str, Any]:
    """Return what is known as JSON values: the record's fields, and more beside them."""
    data, evaluation = found.data, found.evaluation
    before = {"parent": past.parent, "baseline": past.baseline.data if past.baseline else None}
    drawn = ("samples", "curves", "residuals", "confusion")
    judged = msgspec.to_builtins(evaluation) if evaluation else {}
    return {
        **msgspec.to_builtins(found.about),
        "aliases": list(past.aliases),
        "signatures": [asdict(seal) for seal in past.seals],
        "signed": telling.signed_by(past.seals, past.over),
        "format": found.format,
        "size": found.size,
        "judged": {name: value for name, value in judged.items() if name not in drawn} or None,
        "data_set": {
            "name": data.name,
            "task": msgspec.to_builtins(data.task),
            "rows": {name: split.rows for name, split in data.splits.items()},
            "columns": len(data.columns),
            "sources": msgspec.to_builtins(data.sources),
            "parent": msgspec.to_builtins(data.parent),
        }
        if data
        else None,
        "data_changes": {
            since: [one._asdict() for one in of_data(there, data)] for since, there in before.items() if there and data
        },
        "rollouts": msgspec.to_builtins(past.rollouts),
        "training": {"backend": found.training.backend, "workers": found.training.workers} if found.training else None,
        "replaced_by": list(past.replaced_by),
        "notes": [*found.notes, *past.notes],
    }


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.explain"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.explain digits@1\n"
        "example: python -m colchis_steps.explain sha256:… --store=s3://bucket/prefix --json\n"
        "example: python -m colchis_steps.explain http://127.0.0.1:8501/v1/models/digits --html=digits.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "what",
        metavar="DIGEST|MODEL[@VERSION]|ENDPOINT",
        help="a digest, an image by digest as a pod's status has it, a model, or where it is served",
    )
    p.add_argument("--store", metavar="URL", help="where the records are (default: the local store)")
    p.add_argument("--json", action="store_true", help="print JSON: a list of records, each with all that is known")
    p.add_argument("--html", type=Path, metavar="FILE", help="write a page, and print nothing else")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Find the records and say what is known of them."""
    args = parser().parse_args(argv)
    store = open_store(args.store or default_store())
    found = [(record, gathering.of_version(store, record)) for record in resolving.versions(store, args.what)]
    known = [(record, origin, past_of(store, origin, record)) for record, origin in found]
    if args.html:
        title, told = telling.told(*known[0][1:])
        lead = [(f"{origin.verdict}", telling.TONES.get(origin.verdict, "")) for _, origin, _ in known[:1]]
        write_output(args.html, page.told(title, "where it comes from", lead, told))
    elif args.json:
        listed = [as_json(origin, past) for _, origin, past in known]
        print(printable(json.dumps(worded(listed), indent=2, ensure_ascii=False)))
    else:
        print("\n\n\n".join(parts.text(*telling.told(origin, past)) for _, origin, past in known))


if __name__ == "__main__":
    raise SystemExit(main())
