"""A version's files under their own names, for readers that know no manifest, as KServe's storage initializer."""

from collections.abc import Mapping, Sequence

from colchis_steps._content.blobs import Moved, each, missing, size_of, together
from colchis_steps._formats.keys import blob_key, plain_prefix
from colchis_steps._formats.models import File, Manifest
from colchis_steps._store.api import NotFound, Objects, bulk


def publish(store: Objects, manifest: Manifest) -> None:
    """Make the prefix hold the manifest's files and nothing else: the store copies blobs. Safe to run again.

    Raises:
        InputError: a blob is missing; it is named.
    """
    prefix = plain_prefix(manifest.model, manifest.version)
    there = {entry.key: entry.size for entry in store.entries(prefix)}
    for key in there.keys() - {prefix + file.path for file in manifest.files}:
        store.delete(key)

    sources = {prefix + f.path: blob_key(f.sha256) for f in manifest.files if there.get(prefix + f.path) == f.size}
    same = _equal(store, sources)

    def place(group: Sequence[File], _: Moved) -> None:
        keys = [(blob_key(file.sha256), prefix + file.path) for file in group]
        copied = bulk(store).copy_all(keys) if len(group) > 1 else iter([False])
        for file, pair, done in zip(group, keys, copied, strict=True):
            try:
                if not done:
                    store.copy(*pair)
            except NotFound as error:
                raise missing(store, file) from error

    each(place, together([file for file in manifest.files if prefix + file.path not in same], size_of))


def _equal(store: Objects, pairs: Mapping[str, str]) -> set[str]:
    """Return the keys of which the store knows that the objects there are equal to those at the keys they stand for."""
    known = list(bulk(store).find_all(list(pairs.values())))
    return {
        key
        for key, here, found in zip(pairs, known, bulk(store).find_all(list(pairs)), strict=True)
        if here and found and here.crc64nvme and (here.size, here.crc64nvme) == (found.size, found.crc64nvme)
    }
