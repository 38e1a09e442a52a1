"""A version's files under their own names, for readers that know no manifest, as KServe's storage initializer."""

from colchis_steps._blobs import Moved, blob_key, each, missing
from colchis_steps._formats import File, Manifest
from colchis_steps._store import NotFound, Store


def plain_prefix(model: str, version: int) -> str:
    """Give the prefix below which a version's files lie as the SavedModel directory has them."""
    return f"models/{model}/{version}/files/"


def publish(store: Store, manifest: Manifest) -> None:
    """Make the prefix hold the manifest's files and nothing else: the store copies blobs. Safe to run again.

    Raises:
        InputError: a blob is missing; it is named.
    """
    prefix = plain_prefix(manifest.model, manifest.version)
    there = {entry.key: entry.size for entry in store.entries(prefix)}
    for key in there.keys() - {prefix + file.path for file in manifest.files}:
        store.delete(key)

    def place(file: File, _: Moved) -> None:
        source, target = blob_key(file.sha256), prefix + file.path
        if there.get(target) != file.size or not _equal(store, source, target):
            try:
                store.copy(source, target)
            except NotFound as error:
                raise missing(store, file) from error

    each(place, manifest.files)


def _equal(store: Store, source: str, target: str) -> bool:
    """Tell whether the store knows that two objects are equal."""
    known, found = store.find(source), store.find(target)
    return bool(known and found and known.crc64nvme and (known.size, known.crc64nvme) == (found.size, found.crc64nvme))
