"""Say where a served model came from, from a digest or a name: data, code, hyper-parameters, metrics, who and when.

Reads   models/*/*/{record,statement}.json, their signatures, models/<model>/aliases/*.json
Prints  the record, for people or, with --json, as JSON
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from colchis_steps._formats.documents import Unreadable, content_digest
from colchis_steps._formats.keys import alias_key, model_prefix, record_key, statement_key, version_of
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.numbers import worded
from colchis_steps._models.binding import is_external, read_version
from colchis_steps._models.signing.check import Seal, seals
from colchis_steps._models.signing.trust import read_trust
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.text import printable
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document, legible_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import located

ALIASES = ("stable", "canary", "latest")


def records(store: Objects, model: str = "") -> Iterator[Record]:
    """Yield each record in the store, or each of one model; one that cannot be read is left out, with a warning."""
    for key in store.keys(model_prefix(model)):
        if version_of(key, "record") and (record := legible_document(store, key, Record)):
            yield record


def by_digest(store: Objects, hexadecimal: str) -> list[Record]:
    """Find the versions that the digest names: of their image, tree or manifest, or any subject of their statement."""
    found: list[Record] = []
    rest: list[Record] = []
    for record in records(store):
        own = {record.digest, record.tree, record.manifest_digest}
        (found if f"sha256:{hexadecimal}" in own else rest).append(record)
    return found or [record for record in rest if hexadecimal in _subjects(store, record)]


def _subjects(store: Objects, record: Record) -> set[str]:
    try:
        statement = json.loads(document_bytes(store, statement_key(record.model, record.version)))
        return {subject["digest"]["sha256"] for subject in statement["subject"]}
    except (NotFound, ValueError, KeyError, TypeError):
        return set()


def by_name(store: Objects, model: str, version: str) -> Record:
    """Find a version by model and number; without a number, the one that stable names, else latest.

    Raises:
        InputError: there is no such model or version.
    """
    if not version:
        aliases = (find_document(store, alias_key(model, name), Alias) for name in ("stable", "latest"))
        alias = next((alias for alias in aliases if alias), None)
        if alias is None:
            known = sorted({record.model for record in records(store)})
            raise InputError(f"{store.url} has no model {model!r} on record; it has {', '.join(known) or 'none'}")
        version = str(alias.version)
    found = find_document(store, record_key(model, int(version)), Record) if version.isdecimal() else None
    if found is None:
        known = [str(record.version) for record in records(store, model)]
        raise InputError(f"{model}/{version} is not on record in {store.url}; there are {', '.join(known) or 'none'}")
    return found


def names(store: Objects, record: Record) -> list[str]:
    """List the aliases that name the version."""
    found = {name: legible_document(store, alias_key(record.model, name), Alias) for name in ALIASES}
    return [name for name, alias in found.items() if alias and alias.version == record.version]


def signatures(store: Objects, record: Record) -> tuple[list[Seal], str]:
    """Return who signed the version, held against the keys that are trusted here, and what they signed, in words."""
    try:
        found = read_version(store, record.model, record.version)
    except (NotFound, Unreadable):
        return [], ""
    whole = "with image, tree, record and manifest" if not found.faults else f"but {found.faults[0]}"
    return list(seals(store, found, read_trust())), f"its statement {content_digest(found.statement)}, {whole}"


def signed(there: Sequence[Seal], over: str) -> str:
    """Say who signed, and what."""
    good = [seal.words() for seal in there if not seal.fault]
    bad = [seal.fault for seal in there if seal.fault]
    if good:
        return f"signed by {', '.join(good)} over {over}"
    return f"not signed by a trusted key: {'; '.join(bad)}" if bad else "not signed"


def text(record: Record, aliases: Sequence[str], signature: str) -> str:
    """Write the record for people."""
    code = f"{record.code.entry or '-'} {record.code.digest} {record.code.uri}".rstrip()
    rows: list[tuple[str, Any]] = [
        ("model", f"{record.model}/{record.version}" + (f" ({', '.join(aliases)})" if aliases else "")),
        ("image", record.image),
        ("tree", record.tree),
        ("data", f"{record.data_digest} {record.data}".strip() or "-"),
        ("code", code),
        ("revision", record.code.revision or "-"),
        (
            "hyper-parameters",
            ", ".join(f"{k}={json.dumps(v)}" for k, v in sorted(record.hyperparameters.items())) or "-",
        ),
        ("metrics", ", ".join(f"{k}={v:.4g}" for k, v in sorted(record.metrics.items())) or "-"),
        ("gate", f"{record.verdict}, {_judged(record)}"),
        ("signature", signature),
        ("frameworks", ", ".join(f"{k} {v}" for k, v in sorted(record.frameworks.items())) or "-"),
        ("step images", ", ".join(f"{k} {v}" for k, v in sorted(record.step_images.items())) or "-"),
        ("run", f"{record.run}" + (f" of {record.workflow}" if record.workflow else "")),
        ("registered", record.created_at + (f" by {record.created_by}" if record.created_by else "")),
    ]
    return "\n".join(f"{name:17} {value}" for name, value in rows)


def _judged(record: Record) -> str:
    """Return what the verdict is bound to, in words."""
    if is_external(record):
        return "by an older release, bound to nothing"
    if record.baseline is None:
        return "the first"
    return f"against version {record.baseline}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.explain"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.explain digits/1\n"
        "example: python -m colchis_steps.explain sha256:… --store=s3://bucket/prefix --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("what", metavar="DIGEST|MODEL[/VERSION]", help="a digest, an image by digest, or a model's name")
    p.add_argument("--store", metavar="URL", help="where the records are (default: the local store)")
    p.add_argument("--json", action="store_true", help="print JSON: a list of records with their aliases")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Find the records and print them."""
    args = parser().parse_args(argv)
    store = open_store(args.store or default_store())
    if match := re.fullmatch(r"(?:.*@)?(?:sha256:)?([0-9a-f]{64})", args.what):
        found = by_digest(store, match[1])
        if not found:
            raise InputError(f"no record in {store.url} knows {args.what}; give the store that this model came from")
    else:
        model, _, version = args.what.partition("/")
        found = [by_name(store, model, version)]
    told = [signatures(store, record) for record in found]
    found = [located(store, record) for record in found]
    if args.json:
        listed = [
            {
                **msgspec.to_builtins(record),
                "aliases": names(store, record),
                "signatures": [asdict(seal) for seal in there],
            }
            for record, (there, _) in zip(found, told, strict=True)
        ]
        print(printable(json.dumps(worded(listed), indent=2, ensure_ascii=False)))
    else:
        written = [text(record, names(store, record), signed(*who)) for record, who in zip(found, told, strict=True)]
        print(printable("\n\n".join(written)))


if __name__ == "__main__":
    raise SystemExit(main())
