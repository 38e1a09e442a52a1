"""A model's files to a store as blobs: equal files are stored once, and a blob is there whole or not at all."""

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from colchis_steps._content.blobs import Moved, check_paths, digest_of, each, file_of, plain_files, together
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Blob, Entry, Objects, bulk
from colchis_steps._store.sums import encoded, read_small, read_sums

BATCH = 512  # small files of which it is decided at once whether to ask for them before they are sent
ASK_FIRST = 1 << 20  # bytes from which it is asked whether a blob is there before it is sent
YOUNG = 24 * 3600  # seconds; a blob that is found older is made young again, so that gc takes it for one just written
log = logging.getLogger("colchis")


class Stored(NamedTuple):
    """The files as manifests list them, sorted by path, and the bytes that were sent."""

    files: list[File]
    sent: int


def store_directory(
    store: Objects, directory: Path, moved: Moved | None = None, listed: Mapping[str, os.stat_result] | None = None
) -> Stored:
    """Store the directory's files as blobs, each read once for its digests and verified. Safe to run again.

    Args:
        store: where to.
        directory: where from.
        moved: is told of each file's bytes, those that were there already too.
        listed: what ``plain_files`` gave, where the caller has it.

    Raises:
        InputError: as ``plain_files`` and ``check_paths`` do, or a file changes meanwhile; it is named.
    """
    listed = plain_files(directory) if listed is None else listed
    check_paths(listed)
    found, first = dict[str, File](), dict[str, str]()  # by path; the first path of each digest

    def blobs(paths: Sequence[str], tell: Moved, *, small: bool) -> Iterator[Blob]:
        """Read the files for their digests; leave out those that an equal one stands for."""
        for name in paths:
            path = directory / name
            content, sums = read_small(path) if small else (None, read_sums(path))
            found[name] = file_of(name, sums)
            if first.setdefault(sums.sha256, name) == name:
                yield Blob(blob_key(sums.sha256), path, sums, content)
            else:
                tell(sums.size)

    def store_group(paths: Sequence[str], tell: Moved) -> int:
        if len(paths) == 1:
            return sum(_store_one(store, blob, tell) for blob in blobs(paths, tell, small=False))
        sent, ask = 0, False  # asking first costs less than sending where most of the last batch were there
        for start in range(0, len(paths), BATCH):
            some, ask = _store_batch(store, blobs(paths[start : start + BATCH], tell, small=True), tell, ask=ask)
            sent += some
        return sent

    sent = sum(each(store_group, together(listed, lambda path: listed[path].st_size), moved))
    return Stored([found[path] for path in listed], sent)


def _store_one(store: Objects, blob: Blob, tell: Moved) -> int:
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
            if is_old(found):
                store.copy(blob.key, blob.key)
            break
        log.warning("blob %s in %s is altered: it is stored again", blob.sums.sha256, store.url)
        store.delete(blob.key)
    else:
        raise TransientError(f"others keep writing {blob.key} in {store.url}; try again")
    tell(max(0, size - sent))
    return sent


def _store_batch(store: Objects, blobs: Iterator[Blob], tell: Moved, *, ask: bool) -> tuple[int, bool]:
    """Store small files, those that do not go together alone; return the bytes sent, and whether most were there."""
    batch, written, sent = dict[str, Blob](), set[str](), 0

    def noted() -> Iterator[Blob]:
        for blob in blobs:
            batch[blob.key] = blob._replace(content=None)  # many at a time would be much
            yield blob

    coming, there = noted(), set[str]()
    if ask:
        deque(coming, 0)
        there = settled(store, list(batch.values()), tell)
        coming = (blob for key, blob in batch.items() if key not in there)
    for blob in bulk(store).upload_all(coming):
        written.add(blob.key)
        sent += blob.sums.size
        tell(blob.sums.size)
    there |= settled(store, [blob for key, blob in batch.items() if key not in there | written], tell)
    sent += sum(_store_one(store, blob, tell) for key, blob in batch.items() if key not in there | written)
    return sent, len(written) < len(batch) / 2


def settled(store: Objects, blobs: Sequence[Blob], tell: Moved) -> set[str]:
    """Return the keys of the blobs that are there, whole and, from now on, young."""
    named = {blob.key: blob for blob in blobs}
    found = [
        entry for entry in bulk(store).find_all(list(named)) if entry and _is_whole(store, named[entry.key], entry)
    ]
    old = [entry.key for entry in found if is_old(entry)]
    stale = {
        key for key, copied in zip(old, bulk(store).copy_all([(key, key) for key in old]), strict=True) if not copied
    }
    settled = {entry.key for entry in found} - stale
    for key in settled:
        tell(named[key].sums.size)
    return settled


def is_old(entry: Entry) -> bool:
    """Return whether a blob that an upload finds is to be made young again."""
    return entry.modified < time.time() - YOUNG


def _is_whole(store: Objects, blob: Blob, found: Entry) -> bool:
    """Return whether a blob that is there is what its name says: by the store's own checksum, else by reading it."""
    sums = blob.sums
    if found.size == sums.size and not found.crc64nvme:
        return digest_of(store, blob.key, lambda _: None) == (sums.size, sums.sha256)
    return (found.size, found.crc64nvme) == (sums.size, encoded(sums.crc64nvme))
