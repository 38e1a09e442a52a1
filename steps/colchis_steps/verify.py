"""Read the stored models once more and say what is missing or altered.

Reads   models/<model>/<n>/manifest.json  of one version, of one model's, or of all
        blobs/sha256/<hex>                each that these name, once
        --key FILE, or the trusted keys   whether each version is signed by one of them
        records, statements, what evaluate found, golden rows, aliases and rollouts: whether they agree
        stdout                            a line for each file and each document that is not as it should be
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from colchis_steps._content.blobs import Moved, each, seen, size_of, together
from colchis_steps._formats.documents import Unreadable
from colchis_steps._formats.keys import manifest_key, model_prefix, version_of
from colchis_steps._formats.models import File, Manifest, tree_digest
from colchis_steps._models.binding import read_version
from colchis_steps._models.checks import model_faults, models_of, version_faults
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.trust import Trust, read_trust, trust_of
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import model_version, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.progress import Progress
from colchis_steps._step.text import printable
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

log = logging.getLogger("colchis")


def manifests(store: Objects, model: str, version: int | None) -> tuple[list[Manifest], list[str]]:
    """Read the manifests of a version, of a model (no version), or of all models (no name).

    Returns them, and why others cannot be read: those versions are not known to be whole.

    Raises:
        InputError: there is none.
    """
    if version is not None:
        return [read_document(store, manifest_key(model, version), Manifest)], []
    keys = [key for key in store.keys(model_prefix(model)) if version_of(key)]
    if not keys:
        raise InputError(f"{store.url} has no version of {model or 'any model'}; see: colchis models list")
    found, odd = list[Manifest](), list[str]()
    for key in keys:
        try:
            found.append(read_document(store, key, Manifest))
        except Unreadable as error:
            odd.append(str(error))
    return found, odd


def faults(store: Objects, found: Sequence[Manifest]) -> list[str]:
    """Read each blob that the manifests name; return a line for each file that is not what its manifest says."""
    users: dict[tuple[int, str], list[str]] = {}
    for manifest in found:
        for file in manifest.files:
            users.setdefault((file.size, file.sha256), []).append(f"{manifest.model}:{manifest.version} {file.path}")

    def look(group: Sequence[File], tell: Moved) -> list[tuple[tuple[int, str], tuple[int, str] | None]]:
        return [((file.size, file.sha256), read) for file, read in zip(group, seen(store, group, tell), strict=True)]

    groups = together([File("", *wanted) for wanted in users], size_of)
    with Progress("verify", sum(size for size, _ in users)) as bar:
        states = dict(chain.from_iterable(each(look, groups, bar.advance)))
    lines = [
        f"{manifest.model}:{manifest.version} manifest altered: its tree digest is not that of its files"
        for manifest in found
        if tree_digest(manifest.files) != manifest.tree
    ]
    return lines + [
        f"{user} {_fault(states[wanted])}"
        for wanted, names in users.items()
        if states[wanted] != wanted
        for user in names
    ]


def disagreements(store: Objects, model: str, version: int | None) -> Iterator[str]:
    """Yield in what the documents of a version, of a model, or of all models do not agree."""
    if version is not None:
        yield from version_faults(store, model, version)
        return
    for name, number in sorted(place for key in store.keys(model_prefix(model)) if (place := version_of(key))):
        yield from version_faults(store, name, number)
    for name in [model] if model else models_of(store):
        yield from model_faults(store, name)


def unsigned(store: Objects, places: Sequence[tuple[str, int]], trust: Trust) -> Iterator[str]:
    """Yield why versions are not signed by a key that is trusted."""
    for model, version in places:
        try:
            check_signed(store, read_version(store, model, version), trust)
        except NotFound:
            yield f"{model}:{version} is not on record, so it is not signed"
        except InputError as error:
            yield str(error)


def _fault(read: tuple[int, str] | None) -> str:
    return "missing" if read is None else f"altered ({read[0]} bytes, sha256 {read[1]})"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.verify"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.verify digits:3 --store=s3://bucket/colchis --key=team.pem",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("model", type=model_version, nargs="?", default=("", None), metavar="MODEL[:N]", help="default: all")
    p.add_argument(
        "--key",
        type=Path,
        action="append",
        metavar="FILE",
        help="a public key (PEM) that has to have signed each version; may stand more than once, for one of them",
    )
    p.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Verify; end with 65 where something is wrong."""
    args = parser().parse_args(argv)
    store = open_store(args.store or default_store())
    trust = trust_of(args.key) if args.key else read_trust()
    found, odd = manifests(store, *args.model)
    lines, documents = faults(store, found), list(disagreements(store, *args.model))
    places = [(one.model, one.version) for one in found]
    strangers = list(unsigned(store, places, trust)) if trust else []
    for line in [*odd, *lines, *documents, *strangers]:
        print(printable(line))
    if lines:
        what = f"{len(lines)} files in {store.url} are missing or altered ({lines[0]})"
        raise InputError(f"{what}; store those models again, or go back to a version that is whole")
    if documents:
        what = f"{len(documents)} documents in {store.url} do not agree ({documents[0]})"
        raise InputError(f"{what}; somebody changed them, so do not serve these versions")
    if strangers:
        raise InputError(f"{len(strangers)} of {len(found)} versions are not signed as they should be: {strangers[0]}")
    if odd:
        raise InputError(f"{len(odd)} of {len(found) + len(odd)} versions could not be verified: {odd[0]}")
    signed = f", and signed by a key of {trust.source}" if trust and trust.required else ""
    log.info("%d versions in %s are whole%s", len(found), store.url, signed)


if __name__ == "__main__":
    raise SystemExit(main())
