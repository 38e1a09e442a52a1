"""The bytes of a model image: layers, config, manifests and index, as functions of the files and of nothing else.

Equal files give equal bytes, so equal digests: no clock, user, model name or version goes in. Version and lineage are
annotations of a small artifact beside the image (``lineage``), which names the image as its subject.

Format: OCI image-spec 1.1. One index serves amd64 and arm64 from the same layers, and ModelPack's tools by a third
manifest (https://github.com/modelpack/model-spec) of no platform, which container runtimes pass over. A layer is a tar
archive (GNU headers: they hold names and sizes of any length) with one file below ``models/1``; of a base image, the
layers come first.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from colchis_steps._formats.images import Layer
from colchis_steps._formats.models import File
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import ONNX, SAVED_MODEL

Block = bytes | memoryview


ROOT = "models/1"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar"
ZSTD = f"{TAR}+zstd"
EMPTY = "application/vnd.oci.empty.v1+json"
LINEAGE = "application/vnd.colchis.lineage.v1+json"
MODEL_PACK = "application/vnd.cncf.model.manifest.v1+json"
MODEL_PACK_FORMATS = {SAVED_MODEL: "tensorflow", ONNX: "onnx"}
MODEL_PACK_CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHT = {TAR: "application/vnd.cncf.model.weight.v1.tar", ZSTD: "application/vnd.cncf.model.weight.v1.tar+zstd"}
ARCHITECTURES = ("amd64", "arm64")
MOST_LAYERS = 64  # overlayfs takes about 128 layers; a base image and its own need room too


@dataclass(frozen=True)
class Blob:
    """A small blob of an image, whole in memory."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """The digest by which the blob is known."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self) -> dict[str, Any]:
        """The OCI descriptor of the blob."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class Base:
    """What an image for one platform stands on: a base image's config and layers, or nothing but the platform."""

    platform: Mapping[str, str]
    config: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]] = ()


SCRATCH = tuple(Base({"architecture": architecture, "os": "linux"}, {}) for architecture in ARCHITECTURES)


@dataclass(frozen=True)
class Image:
    """An image without its layers: what is written after them, in this order."""

    configs: tuple[Blob, ...]
    manifests: tuple[Blob, ...]
    index: Blob


def split(files: Sequence[File]) -> list[tuple[File, ...]]:
    """Return which files make which layer: one each, sorted by path.

    Of more than ``MOST_LAYERS`` files the largest keep a layer of their own and the others share the last.

    Raises:
        InputError: a path is not relative, plain and of one meaning, or is there twice.
    """
    ordered = sorted(files, key=lambda file: file.path)
    for file in ordered:
        parts = PurePosixPath(file.path).parts
        if not parts or file.path != "/".join(parts) or ".." in parts or "\0" in file.path or parts[0] == "/":
            raise InputError(f"the model's file {file.path!r} has no plain relative path; do not use this manifest")
    if len({file.path for file in ordered}) < len(ordered):
        raise InputError("the model's manifest names a path twice; do not use this manifest")
    if len(ordered) <= MOST_LAYERS:
        return [(file,) for file in ordered]
    large = {file.path for file in sorted(ordered, key=lambda file: (-file.size, file.path))[: MOST_LAYERS - 1]}
    small = tuple(file for file in ordered if file.path not in large)
    return [*((file,) for file in ordered if file.path in large), small]


def layer_size(files: Sequence[File]) -> int:
    """Return the size in bytes of the layer that holds the files."""
    return sum(map(len, layer_blocks(files, lambda _: iter(())))) + sum(file.size for file in files)


def layer_blocks(files: Sequence[File], content: Callable[[File], Iterator[Block]]) -> Iterator[Block]:
    """Yield the layer's bytes: directories before the files in them, headers, contents, padding."""
    made: set[str] = set()
    for file in files:
        path = f"{ROOT}/{file.path}"
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            if (name := parent.as_posix()) not in made:
                made.add(name)
                yield _header(name, 0, tarfile.DIRTYPE, 0o755)
        yield _header(path, file.size, tarfile.REGTYPE, 0o644)
        yield from content(file)
        if rest := -file.size % tarfile.BLOCKSIZE:
            yield bytes(rest)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(name: str, size: int, kind: bytes, mode: int) -> bytes:
    info = tarfile.TarInfo(name)  # its defaults: root, no names, 1970
    info.size, info.type, info.mode = size, kind, mode
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def layer_name(files: Sequence[File]) -> str:
    """Return a layer's name in reports: its file's path, or how many files share it."""
    return files[0].path if len(files) == 1 else f"{len(files)} small files"


def image(layers: Sequence[Layer], bases: Sequence[Base] = SCRATCH, kind: str = SAVED_MODEL) -> Image:
    """Make config and manifest for each base, and the index over them; over nothing, ModelPack's manifest too.

    ``kind`` is the model's format.
    """
    shared = [_descriptor(layer, layer.media_type) for layer in layers]
    configs = [_config(base, layers) for base in bases]
    manifests = [_manifest(config, [*base.layers, *shared]) for config, base in zip(configs, bases, strict=True)]
    platforms = [dict(base.platform) for base in bases]
    if bases == SCRATCH:
        diffs = {"type": "layers", "diffIds": [layer.uncompressed for layer in layers]}
        document = {"config": {"format": MODEL_PACK_FORMATS[kind]}, "descriptor": {}, "modelfs": diffs}
        configs.append(_json(MODEL_PACK_CONFIG, document))
        weights = [_descriptor(layer, WEIGHT[layer.media_type]) for layer in layers]
        manifests.append(_manifest(configs[-1], weights, artifactType=MODEL_PACK))
        platforms.append({"architecture": "unknown", "os": "unknown"})
    listed = [
        {**manifest.descriptor(), "platform": platform} for manifest, platform in zip(manifests, platforms, strict=True)
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    return Image(tuple(configs), tuple(manifests), _json(INDEX, index))


def _descriptor(layer: Layer, media_type: str) -> dict[str, Any]:
    path = {"org.cncf.model.filepath": layer.path}
    return {"mediaType": media_type, "digest": layer.digest, "size": layer.size, "annotations": path}


def _manifest(config: Blob, layers: Iterable[Mapping[str, Any]], **more: str) -> Blob:
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": list(layers)}
    return _json(MANIFEST, document | more)


def _config(base: Base, layers: Sequence[Layer]) -> Blob:
    below = base.config.get("rootfs", {}).get("diff_ids", [])
    config = {
        "config": {},
        **base.config,
        **base.platform,
        "rootfs": {"type": "layers", "diff_ids": [*below, *(layer.uncompressed for layer in layers)]},
        "history": [
            *base.config.get("history", []),
            *({"created_by": f"colchis: {layer.path}"} for layer in layers),
        ],
    }
    return _json(CONFIG, config)


def artifact(subject: Blob, kind: str, content: Blob, annotations: Mapping[str, str]) -> Blob:
    """Make the manifest of an artifact that refers to the subject; its config is the empty blob."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": Blob(EMPTY, b"{}").descriptor(),
        "layers": [content.descriptor()],
        "subject": subject.descriptor(),
        "annotations": dict(annotations),
    }
    return _json(MANIFEST, document)


def _json(media_type: str, value: object) -> Blob:
    return Blob(media_type, json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
