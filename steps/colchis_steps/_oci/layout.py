"""A repository in a directory: the OCI image layout that buildah, skopeo, crane and containerd's tools read.

Writes ``oci-layout``, ``blobs/sha256/<hex>`` and, last, ``index.json``, which names what has a tag.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from colchis_steps._oci.image import Blob, Block
from colchis_steps._step.errors import InputError
from colchis_steps._step.outputs import write_atomically

TEMPORARY = ".incomplete-"
CHUNK = 1 << 20
STALE = 24 * 3600  # seconds
REF_NAME = "org.opencontainers.image.ref.name"


class Layout:
    """A layout directory; ``name`` is how references call it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"oci:{directory}"

    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is there, with its size."""
        path = self._blob(digest)
        return path.is_file() and path.stat().st_size == size

    def put(self, blocks: Callable[[], Iterable[Block]], size: int | None, digest: str | None = None) -> str:
        """Write a blob and return its digest; ``digest`` is what it should be."""
        with explained(self.directory):
            blobs = self._made()
            handle, name = tempfile.mkstemp(dir=blobs, prefix=TEMPORARY)
            temporary, hashed = Path(name), hashlib.sha256()
            try:
                with os.fdopen(handle, "wb") as file:
                    for block in blocks():
                        hashed.update(block)
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                    size = file.tell()
                found = f"sha256:{hashed.hexdigest()}"
                if digest not in {None, found}:
                    raise InputError(f"what was read for {digest} is {found}; it was altered, so build the image again")
                if not self.has(found, size):
                    temporary.chmod(0o644)
                    temporary.replace(self._blob(found))
            finally:
                temporary.unlink(missing_ok=True)
            return found

    def mount(self, digest: str, size: int, name: str) -> bool:  # noqa: ARG002 - a registry can
        """Say that a layout takes nothing from another one."""
        return False

    def put_manifest(self, manifest: Blob, tag: str | None = None) -> bool:
        """Write a manifest or index; with a tag, make the tag name it. A layout lists nothing by itself: False."""
        if not self.has(manifest.digest, len(manifest.content)):
            self.put(lambda: [manifest.content], len(manifest.content))
        if tag is None:
            return False
        with explained(self.directory), (self.directory / f"{TEMPORARY}lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = [entry for entry in self._index() if _tag(entry) != tag]
            entries = [*kept, {**manifest.descriptor(), "annotations": {REF_NAME: tag}}]
            index = {"schemaVersion": 2, "manifests": sorted(entries, key=_tag)}
            write_atomically(self.directory / "index.json", json.dumps(index, indent=1))
        return False

    def tagged(self, tag: str) -> str | None:
        """Return the digest that the tag names, or None."""
        with explained(self.directory):
            return next((str(entry["digest"]) for entry in self._index() if _tag(entry) == tag), None)

    def manifest(self, digest: str) -> bytes:
        """Return a manifest's bytes, unverified. Raises InputError where there is none."""
        return b"".join(self.blob(digest))

    def blob(self, digest: str) -> Iterator[bytes]:
        """Yield a blob's bytes, unverified, in chunks. Raises InputError where there is none."""
        try:
            file = self._blob(digest).open("rb")
        except FileNotFoundError as error:
            raise InputError(f"{self.name} has no {digest}; build the image, or give the right digest") from error
        with file:
            while block := file.read(CHUNK):
                yield block

    def _blob(self, digest: str) -> Path:
        return self.directory / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _made(self) -> Path:
        blobs = self.directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        if not (marker := self.directory / "oci-layout").exists():
            write_atomically(marker, '{"imageLayoutVersion":"1.0.0"}')
        for left in blobs.glob(f"{TEMPORARY}*"):  # by a writer that was killed; a live one writes all the time
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE:
                    left.unlink()
        return blobs

    def _index(self) -> list[dict[str, Any]]:
        path = self.directory / "index.json"
        try:
            return list(json.loads(path.read_bytes())["manifests"])
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not an OCI index; move the directory away, or give another one") from error


def _tag(entry: dict[str, Any]) -> str:
    return str(entry.get("annotations", {}).get(REF_NAME, ""))


@contextlib.contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence that names the directory."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InputError(f"{directory} is on a full disk; free space there, or give another directory") from error
        if error.errno in {errno.EACCES, errno.ENOENT, errno.EPERM, errno.EROFS}:
            raise InputError(f"{directory} cannot be written; give this user the right, or another place") from error
        if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
            raise InputError(f"{directory} is not a directory, or lies in a file; give another place") from error
        raise
