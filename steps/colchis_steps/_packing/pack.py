"""Pack a model's files into a repository as an image: streamed, hashed on the way, the tag last.

A layer's digest is not its file's: the tar header comes before the content. Layers that an earlier image has are known
by its report and found in the repository by HEAD; nothing of them is read or sent.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from colchis_steps._formats.images import Layer
from colchis_steps._formats.models import File
from colchis_steps._formats.runs import ImageReport
from colchis_steps._oci.image import TAR, ZSTD, Blob, Block, Image, image, layer_blocks, layer_name, layer_size, split
from colchis_steps._oci.repository import Repository
from colchis_steps._packing.compression import LEAST, Compressed, pays, sampled
from colchis_steps._packing.sources import NOTHING, Held, Source
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import SAVED_MODEL

PARALLEL = 4  # layers in flight; hashing and sending release the interpreter's lock


@dataclass(frozen=True)
class Known:
    """A layer of an earlier image, and the repository that has it."""

    layer: Layer
    repository: str


class _Stopped(Exception):  # noqa: N818 - never leaves this module
    """Another layer met an error, or the step was asked to stop."""


def pack(
    source: Source,
    repository: Repository,
    tag: str,
    *,
    known: Mapping[tuple[str, str], Known],
    kind: str = SAVED_MODEL,
    sent: Callable[[int], object] = lambda _: None,
) -> ImageReport:
    """Write the files as an image; the tag names it last.

    ``known`` are layers that an earlier image of the model has, by path and the source's key of their file; ``kind`` is
    the model's format. ``sent`` is told the bytes of files as they are done, sent or not.

    Raises:
        InputError: a file is missing, altered or changes meanwhile (it is named, and no image is made), or the tag
            names another image.
        TransientError: the store or the registry is away.
    """
    layers, count = write_layers(source, repository, known, sent)
    made = image(layers, kind=kind)
    count += write_image(repository, made, tag)
    return ImageReport(
        builder="direct",
        image=f"{repository.name}@{made.index.digest}",
        digest=made.index.digest,
        layers=layers,
        bytes_sent=count,
    )


def write_layers(
    source: Source,
    repository: Repository,
    known: Mapping[tuple[str, str], Known],
    sent: Callable[[int], object],
) -> tuple[tuple[Layer, ...], int]:
    """Write a layer a file, side by side; return them and the bytes sent. Raises as ``pack``."""
    failed = threading.Event()

    def watched(file: File, read: Callable[[File], Iterator[Block]]) -> Iterator[Block]:
        for block in read(file):
            if failed.is_set():
                raise _Stopped
            yield block
            sent(len(block))

    def write(group: tuple[File, ...]) -> tuple[Layer, int]:
        earlier = known.get((group[0].path, source.key(group[0]))) if len(group) == 1 else None
        if earlier and _found(repository, earlier):
            sent(group[0].size)
            return earlier.layer, 0
        try:
            held, shrinks = sampler.submit(_sample, source, group).result()

            def blocks() -> Iterator[Block]:
                read = source.reader(group, held)
                return layer_blocks(group, lambda file: watched(file, read))

            layer = _write_layer(repository, group, blocks, shrinks=shrinks)
        except BaseException:
            failed.set()
            raise
        return layer, layer.size

    # one thread samples, since each that has had a compressor keeps its megabytes
    with ThreadPoolExecutor(1) as sampler, ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(write, group) for group in split(source.files)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # the step is asked to stop
            failed.set()
            raise
        finally:
            for future in futures:
                future.cancel()
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, _Stopped)):
        raise error
    source.settle()
    done = [future.result() for future in futures]
    return tuple(layer for layer, _ in done), sum(count for _, count in done)


def _sample(source: Source, group: tuple[File, ...]) -> tuple[Held, bool]:
    """Read a sample of a lone file, which is all of a small one; say whether compressing the file pays."""
    if len(group) > 1 or group[0].size < LEAST:
        return NOTHING, False
    held = {start: source.piece(group[0], start, end) for start, end in sampled(group[0].size)}
    return held, pays(held.values())


def _write_layer(
    repository: Repository, group: tuple[File, ...], blocks: Callable[[], Iterator[Block]], *, shrinks: bool
) -> Layer:
    """Write the layer that has these blocks, compressed where it shrinks."""
    name, size = layer_name(group), layer_size(group)
    if not shrinks:
        return Layer(path=name, digest=repository.put(blocks, size), size=size, media_type=TAR)
    made = Compressed(blocks)
    digest = repository.put(lambda: iter(made), None)
    return Layer(path=name, digest=digest, size=made.size, media_type=ZSTD, diff_id=made.diff_id)


def _found(repository: Repository, known: Known) -> bool:
    """Return whether the repository has the layer, or takes it from the one that has."""
    layer = known.layer
    return repository.has(layer.digest, layer.size) or repository.mount(layer.digest, layer.size, known.repository)


def write_image(repository: Repository, made: Image, tag: str) -> int:
    """Write what an image is beside its layers; the tag names it last. Gives the bytes sent; raises as ``pack``."""
    there = repository.tagged(tag)
    if there not in {None, made.index.digest}:
        raise InputError(
            f"{repository.name} has the tag {tag} for another image ({there}), which may be served; give another "
            "repository, or delete that tag if nothing uses it"
        )
    count = sum(write_blob(repository, blob) for blob in made.configs)
    if there is None:  # a registry may keep a tag for good, and refuse the same again
        for manifest in made.manifests:
            repository.put_manifest(manifest)
        repository.put_manifest(made.index, tag)
    return count


def write_blob(repository: Repository, blob: Blob) -> int:
    """Write a small blob unless it is there; return the bytes sent."""
    if repository.has(blob.digest, len(blob.content)):
        return 0
    repository.put(lambda: [blob.content], len(blob.content), blob.digest)
    return len(blob.content)
