"""Put a model's layers over a base image: a server and its model, or a shell and a model, in one image.

The base's layers are copied as they are, or mounted where the model's registry has them in another repository.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from colchis_steps._formats.images import Layer
from colchis_steps._oci.image import ARCHITECTURES, TAR, Base, image
from colchis_steps._oci.repository import Repository, open_repository, parse_reference
from colchis_steps._packing.pack import write_image
from colchis_steps._step.errors import InputError

LIMIT = 4 << 20  # bytes of a config; registries take no larger manifest either
DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
OCI = {DOCKER: TAR, f"{DOCKER}.gzip": f"{TAR}+gzip"}  # the same bytes under another name


def stand_on(name: str, layers: Sequence[Layer], repository: Repository, tag: str, *, insecure: bool) -> str:
    """Write the image of the base's layers and these, tag ``<tag>-<base>``; return its reference by digest.

    Raises:
        InputError: the base is not there, is altered or is not an image for Linux, or the tag names another image.
        TransientError: a registry is away.
    """
    place, label, digest = parse_base(name)
    source = open_repository(place, insecure=insecure)
    found = digest or source.tagged(label)
    if found is None:
        raise InputError(f"{place} has no tag {label}; give --base an image that is there")
    bases = read_bases(source, found)
    if not bases:
        raise InputError(f"{name} is for neither {' nor '.join(ARCHITECTURES)}; give --base an image that is")
    for descriptor in {layer["digest"]: layer for base in bases for layer in base.layers}.values():
        blob, size = parse_reference(f"base@{descriptor['digest']}")[1], int(descriptor["size"])
        if not repository.has(blob, size) and not repository.mount(blob, size, source.name):
            repository.put(lambda blob=blob: source.blob(blob), size, blob)  # type: ignore[misc]
    made = image(layers, bases)
    write_image(repository, made, f"{tag}-{place.rpartition('/')[2]}")
    return f"{repository.name}@{made.index.digest}"


def parse_base(name: str) -> tuple[str, str, str]:
    """Take ``host/path[:tag][@sha256:…]`` apart; no tag is ``latest``.

    Raises:
        InputError: it is of another form.
    """
    found = re.fullmatch(r"(?P<place>.+?)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?", name)
    if not found:
        raise InputError(f"{name[:128]!r} is not an image; give --base host/path:tag or host/path@sha256:…")
    return found["place"], found["tag"] or "latest", found["digest"] or ""


def read_bases(source: Repository, digest: str) -> tuple[Base, ...]:
    """Read the image's manifest and config for each architecture that we build for."""
    try:
        manifest = json.loads(_held(source, digest, source.manifest(digest)))
        if "manifests" in manifest:
            entries = [entry for entry in manifest["manifests"] if _fits(entry.get("platform", {}))]
            return tuple(base for entry in entries for base in read_bases(source, entry["digest"]))
        wanted = parse_reference(f"config@{manifest['config']['digest']}")[1]
        config: dict[str, Any] = json.loads(_held(source, wanted, _small(source, wanted)))
        platform: dict[str, str] = {name: config[name] for name in ("architecture", "os", "variant") if name in config}
        if not _fits(platform):
            raise InputError(f"{source.name}@{digest} is for {platform}; give --base an image for Linux")
        layers = [
            {"mediaType": OCI.get(layer["mediaType"], layer["mediaType"]), **{k: layer[k] for k in ("digest", "size")}}
            for layer in manifest["layers"]
        ]
        described = {"architecture": platform["architecture"], "os": "linux"}
        described |= {"variant": platform["variant"]} if platform.get("variant") else {}
        return (Base(described, config, layers),)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source.name}@{digest} is not an image; give --base one that docker can run") from error


def _fits(platform: dict[str, str]) -> bool:
    return platform.get("os") == "linux" and platform.get("architecture") in ARCHITECTURES


def _small(source: Repository, digest: str) -> bytes:
    content = bytearray()
    for block in source.blob(digest):
        content += block
        if len(content) > LIMIT:
            raise InputError(f"{source.name}@{digest} is too large for a config; give --base another image")
    return bytes(content)


def _held(source: Repository, digest: str, content: bytes) -> bytes:
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise InputError(f"{source.name}@{digest} is altered; push the base image again")
    return content
