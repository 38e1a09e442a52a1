"""Repositories and what is in them: open one by name, take an image's files out, verified.

A repository is a registry's (``host:port/path``) or an OCI layout (``oci:/absolute/directory``). A reference is
``<repository>@sha256:<hex>``. Files are streamed: memory stays the same from a kilobyte to a terabyte.
"""

import contextlib
import gzip
import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from colchis_steps._formats.images import Layer
from colchis_steps._formats.models import File
from colchis_steps._oci.archive import Bound, Member
from colchis_steps._oci.image import ROOT
from colchis_steps._oci.layout import explained
from colchis_steps._oci.repository import Repository, open_repository, parse_reference
from colchis_steps._step.errors import InputError

CHUNK = 1 << 20


def unpack(reference: str, directory: Path, *, most: int = 0, insecure: bool = False) -> list[File]:
    """Write the files below ``/models/1`` of the image into the directory, and list them, sorted by path.

    The directory appears whole or not at all; one that is there is replaced. ``most`` is how many bytes the files have
    together; where it is not known (0) they may fill the disk.

    Raises:
        InputError: the reference is a tag, a digest does not match, or the image holds a link, a path that leaves, a
            sparse file, or more than it may.
        TransientError: the registry is away.
    """
    with explained(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.incomplete-"))
        try:
            new, old = temporary / "new", temporary / "old"
            new.mkdir()

            def write(path: str) -> IO[bytes]:
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                return (new / path).open("wb")

            free = shutil.disk_usage(temporary).free
            bound = Bound(most, "the size of the model") if most else Bound(free, "what the disk has free")
            files = _contents(reference, write, bound, insecure=insecure)
            if directory.exists():
                directory.replace(old)
            new.replace(directory)
            return files
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def contents(reference: str, *, most: int = 0, insecure: bool = False) -> list[File]:
    """List the files below ``/models/1`` of the image, from its layers' bytes, sorted by path.

    ``most`` is how many bytes they have together, 0 where it is not known. Raises as ``unpack``.
    """
    bound = Bound(most or sys.maxsize, "the size of the model")
    return _contents(reference, lambda _: contextlib.nullcontext(_Nothing()), bound, insecure=insecure)


class _Nothing(io.RawIOBase):
    def write(self, block: Any) -> int:
        return len(block)


def _contents(
    reference: str,
    write: Callable[[str], contextlib.AbstractContextManager[Any]],
    bound: Bound,
    *,
    insecure: bool,
) -> list[File]:
    from backports import zstd

    name, digest = parse_reference(reference)
    repository, files = open_repository(name, insecure=insecure), dict[str, File]()
    for layer in image_layers(repository, digest):
        source = _Source(repository.blob(layer.digest))
        try:
            with (
                _plain(source, layer, reference) as tar,
                tarfile.open(fileobj=tar, mode="r|", bufsize=CHUNK, tarinfo=Member) as archive,
            ):
                for member in archive:
                    bound.see(member, reference)
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps each that it has read
                    if path := _path_in_model(member, reference):
                        bound.take(member, reference)
                        files[path] = _copy(archive.extractfile(member), path, write)
            source.drain()
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError) as error:
            raise InputError(f"layer {layer.digest} of {reference} is damaged; build the image again") from error
        if source.digest != layer.digest:
            raise InputError(f"layer {layer.digest} of {reference} is altered; build the image again")
    if not files:
        raise InputError(f"{reference} has no file below /{ROOT}; give an image that build_image made")
    return sorted(files.values(), key=lambda file: file.path)


def image_layers(repository: Repository, digest: str) -> list[Layer]:
    """List the layers of the image with this digest, lowest first; of an index, those of its first image for Linux.

    Raises:
        InputError: it is not there, is altered or is not an image.
        TransientError: the registry is away.
    """
    content = repository.manifest(digest)
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise InputError(f"{repository.name}@{digest} is altered; build the image again")
    try:
        manifest = json.loads(content)
        if "manifests" not in manifest:
            return [_layer(descriptor) for descriptor in manifest["layers"]]
        # architectures share the layers, so any will do; what is not an image for Linux is an attestation
        first = next(entry["digest"] for entry in manifest["manifests"] if entry["platform"]["os"] == "linux")
        parse_reference(f"manifest@{first}")
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(f"{repository.name}@{digest} is not an OCI image; give one that build_image made") from error
    return image_layers(repository, first)


def _layer(descriptor: dict[str, Any]) -> Layer:
    path = descriptor.get("annotations", {}).get("org.cncf.model.filepath", "")
    digest = parse_reference(f"layer@{descriptor['digest']}")[1]
    return Layer(path=path, digest=digest, size=int(descriptor["size"]), media_type=str(descriptor["mediaType"]))


def _path_in_model(member: tarfile.TarInfo, reference: str) -> str | None:
    """Return a file's path below ``models/1``, or None where the member is a directory or lies elsewhere."""
    name = member.name.removeprefix(".").lstrip("/")
    if not name.startswith(f"{ROOT}/") and name not in {"models", ROOT}:
        return None
    path = name.removeprefix(f"{ROOT}/")
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise InputError(f"{reference} holds {member.name!r}, which leaves the model; do not use this image")
    if member.isdir():
        return None
    if not member.isreg() or path == name or not path or Path(path).name.startswith(".wh."):
        raise InputError(f"{reference} holds {member.name!r}, which is not a plain file; do not use this image")
    return path


def _copy(source: IO[bytes] | None, path: str, write: Callable[[str], contextlib.AbstractContextManager[Any]]) -> File:
    digest, size = hashlib.sha256(), 0
    with write(path) as out:
        while source and (block := source.read(CHUNK)):
            digest.update(block)
            size += len(block)
            out.write(block)
    return File(path=path, size=size, sha256=digest.hexdigest())


def _plain(source: "_Source", layer: Layer, reference: str) -> contextlib.AbstractContextManager[Any]:
    """Return the layer's tar, as it is or unpacked on the way."""
    from backports import zstd

    match re.split(r"[.+]", layer.media_type)[-1]:
        case "tar":
            return contextlib.nullcontext(source)
        case "gzip":
            return gzip.GzipFile(fileobj=cast(Any, source), mode="rb")
        case "zstd":
            return zstd.ZstdFile(cast(Any, source))
    raise InputError(f"{reference} has a layer of type {layer.media_type}; build it as tar, tar+gzip or tar+zstd")


class _Source:
    """A blob as a file that tarfile can read, hashed as it is read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks, self.rest, self.hash = blocks, b"", hashlib.sha256()

    def read(self, size: int) -> bytes:
        while len(self.rest) < size and (block := next(self.blocks, b"")):
            self.hash.update(block)
            self.rest += block
        given, self.rest = self.rest[:size], self.rest[size:]
        return given

    def drain(self) -> None:
        for block in self.blocks:
            self.hash.update(block)

    @property
    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"
