"""A repository of images: one at a registry, or an OCI layout in a directory."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from colchis_steps._oci.image import Blob, Block
from colchis_steps._oci.layout import Layout
from colchis_steps._step.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"


class Repository(Protocol):
    """Where images of one name lie.

    Every method raises InputError where right, name, disk or certificate is wrong, and TransientError where the
    registry is away; both sentences name it and the fix.
    """

    name: str

    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is there, with its size."""

    def put(self, blocks: Callable[[], Iterable[Block]], size: int | None, digest: str | None = None) -> str:
        """Write a blob and return its digest; ``blocks`` may be called again after a broken connection.

        ``size`` is what the blocks come to, where that is known; a ``digest`` that they do not have is an InputError.
        """

    def mount(self, digest: str, size: int, name: str) -> bool:
        """Take the blob from the repository of this name, without its bytes; say whether it is here now."""

    def put_manifest(self, manifest: Blob, tag: str | None = None) -> bool:
        """Write a manifest or index; with a tag, make the tag name it. Say whether its subject lists it from now on."""

    def tagged(self, tag: str) -> str | None:
        """Return the digest that the tag names, or None."""

    def manifest(self, digest: str) -> bytes:
        """Return a manifest's bytes, unverified."""

    def blob(self, digest: str) -> Iterator[bytes]:
        """Return a blob's bytes, unverified, in chunks."""


def open_repository(name: str, *, insecure: bool = False) -> Repository:
    """Open ``oci:/absolute/directory`` or ``host[:port]/path``.

    Plain HTTP is for the machine itself, for names that begin with ``http://`` and for ``insecure``.

    Raises:
        InputError: the name is of another form.
    """
    scheme, separator, rest = name.partition("://")
    if scheme == "oci" or name.startswith("oci:"):
        directory = Path(name.removeprefix("oci:"))
        if not directory.is_absolute() or ".." in directory.parts:
            raise InputError(f"{name[:128]!r} is not an image layout; give oci:/absolute/directory")
        return Layout(directory)
    host, _, path = (rest if separator else name).partition("/")
    local = host.rpartition(":")[0] in LOOPBACK or host in LOOPBACK
    known = scheme in {"http", "https"} if separator else True
    if not known or not re.search(r"[.:]|^localhost$", host) or not re.fullmatch(f"{COMPONENT}(?:/{COMPONENT})*", path):
        raise InputError(
            f"{name[:128]!r} is not a repository; give host:port/path with a path of lower-case letters, digits and "
            "single separators (._-), or oci:/absolute/directory"
        )
    from colchis_steps._oci.registry import Registry

    secure = scheme == "https" if separator else not (insecure or local)
    return Registry(host, path, secure=secure)


def parse_reference(text: str) -> tuple[str, str]:
    """Take ``<repository>@sha256:<hex>`` apart.

    Raises:
        InputError: there is no digest; a tag may name other bytes tomorrow.
    """
    repository, _, digest = text.rpartition("@")
    if not repository or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise InputError(f"{text[:128]!r} names no image by digest; give repository@sha256:… as build_image wrote it")
    return repository, digest
