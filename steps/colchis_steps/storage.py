"""Bring a version of a model from the store into a pod of KServe, verified: the ClusterStorageContainer ``colchis``.

Reads   URI        colchis+s3://bucket/prefix/models/<model>/<n>@<tree>: its manifest.json, and its plain copy below
                   files/; the tree is that of the files that were judged, so that nobody changes them in the store
Writes  DIRECTORY  <n>/…, whole or not at all
"""

import argparse
import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._content.blobs import scan
from colchis_steps._formats.keys import manifest_key, plain_prefix
from colchis_steps._formats.models import Manifest, tree_digest
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.flags import prog
from colchis_steps._step.main import entrypoint
from colchis_steps._store.api import NotFound
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.connection import earlier_keys

VERSION = re.compile(
    r"colchis\+(?P<store>s3://.+)/models/(?P<model>[^/]+)/(?P<version>[0-9]+)(?:@(?P<tree>sha256:[0-9a-f]{64}))?/?"
)
log = logging.getLogger("colchis")


def parsed(uri: str) -> tuple[str, str, int, str]:
    """Return the store's URL, the model, the version and its tree: "" where an older release wrote the URI.

    Raises:
        InputError: the URI is another one.
    """
    if not (found := VERSION.fullmatch(uri)):
        raise InputError(
            f"{uri[:128]!r} is not a URI of a version; it is colchis+s3://BUCKET/PREFIX/models/MODEL/N@TREE"
        )
    return found["store"], found["model"], int(found["version"]), found["tree"] or ""


def complete(directory: Path, manifest: Manifest) -> None:
    """Hold what was downloaded against the manifest; KServe's downloader leaves files of no bytes out.

    Raises:
        InputError: a file is missing, altered or too much.
    """
    for file in manifest.files:
        if not file.size and not (path := directory / file.path).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    found, wanted = ({file.path: file for file in files} for files in (scan(directory), manifest.files))
    if odd := sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path)):
        what = f"{len(odd)} files of {manifest.model} {manifest.version} are missing, altered or too much, as {odd[0]}"
        raise InputError(f"{what}; publish the version's plain copy again")
    assert tree_digest(found.values()) == manifest.tree  # noqa: S101 - the files are equal


def download(uri: str, directory: Path) -> None:
    """Download by KServe's own library; it reads AWS_* as boto3 does, and the region by its older name only.

    Raises:
        TransientError: the store is away or refuses.
    """
    from kserve_storage import Storage

    os.environ.update(earlier_keys())  # this container runs nothing else
    if region := os.environ.get("AWS_REGION"):
        os.environ.setdefault("AWS_DEFAULT_REGION", region)
    try:
        Storage.download(uri, str(directory))
    except Exception as error:  # it raises plain Exception and RuntimeError, too
        reason = " ".join(str(error).split())[:300]
        raise TransientError(f"{uri} cannot be downloaded ({reason}); try again") from error


def parser() -> argparse.ArgumentParser:
    """Describe the command line, which is KServe's."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.storage"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.storage colchis+s3://colchis/models/digits/2@sha256:… /mnt/models",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("uri", metavar="URI", help="colchis+s3://BUCKET/PREFIX/models/MODEL/N@TREE")
    p.add_argument("directory", type=Path, metavar="DIRECTORY", help="gets N/ with the model's files")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Download and verify."""
    args = parser().parse_args(argv)
    url, model, version, tree = parsed(args.uri)
    store, plain = open_store(url), plain_prefix(model, version)
    try:
        manifest = read_document(store, manifest_key(model, version), Manifest)
    except NotFound as error:
        raise InputError(f"version {version} of {model} is not published ({error}); run upload") from error
    if tree not in {"", tree_digest(manifest.files)}:
        raise InputError(
            f"version {version} of {model} holds {tree_digest(manifest.files)}, and {tree} was rolled out; somebody "
            "changed it, so go back to a version that is whole"
        )
    if next(store.keys(plain), None) is None:
        raise InputError(f"{url}/{plain} holds no files; publish the version's plain copy, or serve it by image")
    part, whole = args.directory / f".{version}", args.directory / str(version)
    shutil.rmtree(part, ignore_errors=True)  # of a container that was killed
    part.mkdir(parents=True)
    download(f"{url}/{plain[:-1]}", part)
    complete(part, manifest)
    shutil.rmtree(whole, ignore_errors=True)
    part.rename(whole)
    log.info("%d files of %s %d are in %s", len(manifest.files), model, version, whole)


if __name__ == "__main__":
    raise SystemExit(main())
