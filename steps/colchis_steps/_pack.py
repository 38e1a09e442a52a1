"""Pack a version's files from the store into a repository: streamed, hashed on the way, the tag last.

A layer's digest is not its blob's: the tar header comes before the content. Layers that an earlier image has are known
by its report and found in the repository by HEAD; nothing of them is read or sent.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from colchis_steps._blobs import blob_key
from colchis_steps._formats import File
from colchis_steps._image import TAR, image, layer_blocks, layer_name, layer_size, lineage, split
from colchis_steps._oci import Repository
from colchis_steps._reports import ImageReport, Layer
from colchis_steps._step import InputError
from colchis_steps._store import Store

PARALLEL = 4  # layers in flight; hashing and sending release the interpreter's lock


class _Stopped(Exception):  # noqa: N818 - never leaves this module
    """Another layer met an error, or the step was asked to stop."""


def pack(
    store: Store,
    files: Sequence[File],
    repository: Repository,
    tag: str,
    *,
    annotations: Mapping[str, str],
    known: Mapping[tuple[str, str], Layer],
    sent: Callable[[int], object] = lambda _: None,
) -> ImageReport:
    """Write the files from the store as an image; the tag names it last.

    ``annotations`` (version and lineage) go to the artifact beside the image, tag ``<tag>-lineage``. ``known`` are
    layers that an earlier image of the model has, by path and sha256 of their file. ``sent`` is told the bytes of files
    as they are done, sent or not.

    Raises:
        InputError: a blob is missing or altered (it is named, and no image is made), or the tag names another image.
        TransientError: the store or the registry is away.
    """
    for file in files:
        if (size := store.size(blob_key(file.sha256))) != file.size:
            found = "is missing" if size is None else f"has {size} bytes instead of {file.size}"
            raise InputError(f"blob {file.sha256} of {file.path} in {store.url} {found}; upload the model again")
    failed, count = threading.Event(), [0]

    def content(file: File) -> Iterator[bytes]:
        for block in _verified(store, file):
            if failed.is_set():
                raise _Stopped
            yield block
            sent(len(block))

    def write(group: tuple[File, ...]) -> Layer:
        earlier = known.get((group[0].path, group[0].sha256)) if len(group) == 1 else None
        if earlier and repository.has(earlier.digest, earlier.size):
            sent(group[0].size)
            return earlier
        size = layer_size(group)
        try:
            digest = repository.put(lambda: layer_blocks(group, content), size)
        except BaseException:
            failed.set()
            raise
        count.append(size)
        return Layer(path=layer_name(group), digest=digest, size=size, media_type=TAR)

    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(write, group) for group in split(files)]
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
    layers = tuple(future.result() for future in futures)
    made = image(files, layers)
    if (there := repository.tagged(tag)) not in {None, made.index.digest}:
        raise InputError(
            f"{repository.name} has the tag {tag} for another image ({there}), which may be served; give another "
            "repository, or delete that tag if nothing uses it"
        )
    note, artifact = lineage(made.index, annotations)
    for blob in (*made.configs, note):
        if not repository.has(blob.digest, len(blob.content)):
            repository.put(lambda blob=blob: [blob.content], len(blob.content))  # type: ignore[misc]
            count.append(len(blob.content))
    for manifest in made.manifests:
        repository.put_manifest(manifest)
    repository.put_manifest(made.index, tag)
    repository.put_manifest(artifact, f"{tag}-lineage")
    digest = made.index.digest
    return ImageReport(
        builder="direct", image=f"{repository.name}@{digest}", digest=digest, layers=layers, bytes_sent=sum(count)
    )


def _verified(store: Store, file: File) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for block in store.stream(blob_key(file.sha256)):
        size += len(block)
        if size > file.size:
            break
        digest.update(block)
        yield block
    if size != file.size or digest.hexdigest() != file.sha256:
        raise InputError(f"blob {file.sha256} of {file.path} in {store.url} is altered; upload the model again")
