"""A model's files to a store as blobs: equal files are stored once, and a blob is there whole or not at all."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from colchis_steps._blobs import Moved, blob_key, digest_of, each, size_of, together
from colchis_steps._formats import File
from colchis_steps._step import TransientError
from colchis_steps._store import Blob, Entry, Store
from colchis_steps._sums import Sums, changed, encoded, read_sums

BATCH = 256  # small files of which it is decided at once whether to ask for them before they are sent
ASK_FIRST = 1 << 20  # bytes from which it is asked whether a blob is there before it is sent
YOUNG = 24 * 3600  # seconds; a blob that is found older is made young again, so that gc takes it for one just written
log = logging.getLogger("colchis")


def store_files(
    store: Store,
    directory: Path,
    files: Sequence[File],
    moved: Moved | None = None,
    known: Mapping[str, Sums] | None = None,
) -> int:
    """Store the directory's files as blobs, each verified; give the bytes sent. Safe to run again.

    Args:
        store: where to.
        directory: where from.
        files: as ``scan`` lists them.
        moved: is told of each blob's bytes, those that were there already too.
        known: what ``survey`` gave; a file that it lacks is read once more.

    Raises:
        InputError: a file is not what it was when it was listed; it is named.
    """

    def blob_of(file: File) -> Blob:
        path = directory / file.path
        sums = (known or {}).get(file.path) or read_sums(path)
        if sums.sha256 != file.sha256:
            raise changed(path)
        return Blob(blob_key(file.sha256), path, sums)

    def store_group(group: Sequence[File], tell: Moved) -> int:
        if len(group) == 1:
            return _store_one(store, blob_of(group[0]), tell)
        return _store_many(store, [blob_of(file) for file in group], tell)

    groups = together({file.sha256: file for file in files}.values(), size_of)
    return sum(each(store_group, groups, moved))


def _store_one(store: Store, blob: Blob, tell: Moved) -> int:
    size, sent = blob.sums.size, 0

    def count(some: int) -> None:
        nonlocal sent
        sent += some
        tell(some)

    for _ in range(3):
        found = store.find(blob.key) if size >= ASK_FIRST else None
        if not found and store.upload(blob.key, blob.path, count, blob.sums):
            break
        if (found := found or store.find(blob.key)) and _is_whole(store, blob, found):
            if _is_old(found):
                store.copy(blob.key, blob.key)
            break
        log.warning("blob %s in %s is altered: it is stored again", blob.sums.sha256, store.url)
        store.delete(blob.key)
    else:
        raise TransientError(f"others keep writing {blob.key} in {store.url}; try again")
    tell(max(0, size - sent))
    return sent


def _store_many(store: Store, blobs: Sequence[Blob], tell: Moved) -> int:
    """Store small files in batches; what does not go that way is stored alone."""
    sent, ask = 0, False  # asking first costs less than sending where most of the last batch were there
    for start in range(0, len(blobs), BATCH):
        batch = blobs[start : start + BATCH]
        left = {blob.key: blob for blob in batch}
        if ask:
            _settle(store, left, tell)
        absent = list(left.values())
        for blob, written in zip(absent, store.upload_all(absent), strict=True):
            if written:
                sent += left.pop(blob.key).sums.size
                tell(blob.sums.size)
        ask = len(absent) - len(left) < len(batch) / 2
        _settle(store, left, tell)
        sent += sum(_store_one(store, blob, tell) for blob in left.values())
    return sent


def _settle(store: Store, left: dict[str, Blob], tell: Moved) -> None:
    """Take out the blobs that are there, whole and young."""
    found = [entry for entry in store.find_all(list(left)) if entry and _is_whole(store, left[entry.key], entry)]
    old = [entry.key for entry in found if _is_old(entry)]
    kept = dict(zip(old, store.copy_all([(key, key) for key in old]), strict=True))
    for entry in found:
        if kept.get(entry.key, True):
            tell(left.pop(entry.key).sums.size)


def _is_old(entry: Entry) -> bool:
    return entry.modified < time.time() - YOUNG


def _is_whole(store: Store, blob: Blob, found: Entry) -> bool:
    """Tell whether a blob that is there is what its name says: by the store's own checksum, else by reading it."""
    sums = blob.sums
    if found.size == sums.size and not found.crc64nvme:
        return digest_of(store, blob.key, lambda _: None) == (sums.size, sums.sha256)
    return (found.size, found.crc64nvme) == (sums.size, encoded(sums.crc64nvme))
