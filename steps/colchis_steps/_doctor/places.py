"""Try the bucket and the registry: the real calls, on a key and an upload of our own that are removed again."""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from colchis_steps._content.blobs import scan
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._doctor.checks import Finding
from colchis_steps._formats.keys import blob_key, run_key
from colchis_steps._oci.login import logins_below
from colchis_steps._oci.registry import Registry
from colchis_steps._oci.repository import open_repository
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store import sums
from colchis_steps._store.api import Conflict, Objects
from colchis_steps._store.opening import open_store

CONDITIONAL = (
    "use a server that knows conditional writes (AWS S3, MinIO, SeaweedFS, versitygw …): without them two runs can "
    "overwrite each other's versions"
)


def try_store(url: str) -> list[Finding]:
    """Write a document under conditions, then store and fetch two files as a step does; ``url`` may be empty."""
    if not url:
        return [Finding("bucket", "skipped", "none is named", "try it: --store s3://bucket/prefix")]
    try:
        store = open_store(url)
        with _removed(store, run_key(f"doctor-{secrets.token_hex(8)}", "probe")) as key:
            wrong = _conditions(store, key)
        _blobs(store)
    except (InputError, TransientError) as error:
        return [_from("bucket", error)]
    what = "a document, a small file, a file in parts and ranges of it go there and come back, and are removed"
    fine = Finding("bucket", "fine", f"{store.url}: {what}")
    if wrong:
        return [fine, Finding("conditional writes", "wrong", wrong, CONDITIONAL)]
    return [fine, Finding("conditional writes", "fine", "If-None-Match and If-Match hold")]


@contextlib.contextmanager
def _removed(store: Objects, *keys: str) -> Iterator[str]:
    """Remove the keys at the end; the first error is the one to report."""
    try:
        yield keys[0]
    except BaseException:
        with contextlib.suppress(StepError):
            for key in keys:
                store.delete(key)
        raise
    for key in keys:
        store.delete(key)


def _blobs(store: Objects) -> None:
    """Store random files, whose blobs are therefore nobody else's: one that is small, and one of two parts."""
    with tempfile.TemporaryDirectory() as scratch:
        there, back = Path(scratch, "there"), Path(scratch, "back")
        there.mkdir()
        (there / "small").write_bytes(secrets.token_bytes(100))
        (there / "large").write_bytes(secrets.token_bytes(sums.PART + 1))
        files = scan(there)
        with _removed(store, *(blob_key(file.sha256) for file in files)):
            store_directory(store, there)
            for file in files:
                if store.size(blob_key(file.sha256)) != file.size:
                    raise InputError(f"{store.url} does not report the size of what it holds; give another store")
            fetch_files(store, files, back)


def _conditions(store: Objects, key: str) -> str:
    """Return what the store lets through that it must not."""
    if not store.create(key, b"first"):
        return "a new key counts as taken"
    if store.create(key, b"second") or store.read(key) != b"first":
        return "If-None-Match: * overwrites what is there"
    if not store.atomic:
        return "If-None-Match: * does not hold, so two writers can both create one key"
    tag = store.read_tagged(key)[1]
    store.replace(key, b"third", tag)
    try:
        store.replace(key, b"fourth", tag)  # of the bytes before
    except Conflict:
        pass
    else:
        return "If-Match with an old tag overwrites what is there"
    if store.read(key) != b"third" or list(store.keys(key)) != [key]:
        return "what was written is not what is read or listed"
    return ""


def try_registry(repository: str, *, insecure: bool) -> Finding:
    """Open an upload as a push does, and cancel it; ``repository`` may be empty.

    Repositories below it that have a login of their own are tried in the place of one that nobody has.
    """
    name = "registry"
    if not repository:
        return Finding(name, "skipped", "none is named", "try it: --repository host:port/prefix")
    try:
        place = repository.rstrip("/")
        opened = open_repository(f"{place}/doctor", insecure=insecure)
        if not isinstance(opened, Registry):
            return Finding(
                name, "wrong", f"{repository} is a directory here", "name one that the cluster can pull from"
            )
        own = [f"{place}/{below}" for below in logins_below(opened.host, opened.path.rpartition("/")[0])]
        tried = [open_repository(below, insecure=insecure) for below in own]
        if not own or opened.sign_in.login.credentials:
            tried.append(opened)
        for one in tried:
            cast(Registry, one).try_push()
    except (InputError, TransientError) as error:
        return _from(name, error)
    return Finding(name, "fine", f"{repository} takes pushes from this machine")


def _from(name: str, error: StepError) -> Finding:
    """Turn a sentence "what is wrong; what to do" into a finding."""
    what, _, fix = str(error).partition("; ")
    return Finding(name, "away" if isinstance(error, TransientError) else "wrong", what, fix or "see the sentence")
