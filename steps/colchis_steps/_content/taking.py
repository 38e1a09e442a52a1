"""A candidate's blobs among the store's own: verified, then put where the training's key may not write.

A small one is written as it was read. A large one is copied by the server, and only while it is what was verified: its
tag says so, and whoever reads a blob in the end holds it against its sha256 all the same.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from colchis_steps._content.blobs import Moved, contents, digest_of, each, hold, missing, size_of, together
from colchis_steps._content.confirmed import confirmed, described_as
from colchis_steps._content.storing import BATCH, is_old, settled
from colchis_steps._formats.keys import blob_key, candidate_blob_key
from colchis_steps._formats.models import Description, File
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Blob, Conflict, Entry, Objects, bulk
from colchis_steps._store.sums import sums_of

log = logging.getLogger("colchis")


class Taking(NamedTuple):
    """Where a run's blobs lie and where they go; large ones that were confirmed (``known``) are not read again."""

    store: Objects
    beside: Objects  # the store at the candidate's prefix
    run: str
    known: Mapping[str, Description]


def take_over(store: Objects, beside: Objects, run: str, files: Sequence[File], moved: Moved | None = None) -> int:
    """Make the store hold the candidate's blobs, which lie beside it; return the bytes sent. Safe to run again.

    Raises:
        InputError: a blob is missing, altered, or changes meanwhile; it is named.
    """
    taking = Taking(store, beside, run, confirmed(store, run))

    def take_group(group: Sequence[File], tell: Moved) -> int:
        return sum(_take_some(taking, group[at : at + BATCH], tell) for at in range(0, len(group), BATCH))

    unique = {file.sha256: file for file in files}.values()
    return sum(each(take_group, together(unique, size_of), moved))


def _take_some(taking: Taking, files: Sequence[File], tell: Moved) -> int:
    blobs, large = dict[str, Blob](), list[File]()
    for file, content in zip(files, contents(taking.beside, files), strict=True):
        if content is None:
            large.append(file)
            continue
        hold(taking.beside, file, len(content), hashlib.sha256(content).hexdigest())
        key = blob_key(file.sha256)
        blobs[key] = Blob(key, Path(file.path), sums_of(content), content)
    written = {blob.key for blob in bulk(taking.store).upload_all(list(blobs.values()))}
    for key in written:
        tell(blobs[key].sums.size)
    there = settled(taking.store, [blob for key, blob in blobs.items() if key not in written], tell)
    for key in blobs.keys() - written - there:
        taking.store.write(key, blobs[key].content or b"")
        tell(blobs[key].sums.size)
    for file in large:
        _take(taking, file, tell)
    return sum(blobs[key].sums.size for key in blobs.keys() - there)


def _take(taking: Taking, file: File, tell: Moved) -> None:
    """Verify a blob, then have the server copy it; no condition on the target, as others write the same bytes there."""
    store, key = taking.store, blob_key(file.sha256)
    found = taking.beside.find(key)
    if found is None:
        raise missing(taking.beside, file)
    try:
        if described_as(taking.beside, found) == taking.known.get(file.sha256):
            tell(file.size)
        else:
            _verify(taking.beside, file, found, tell)
        there = store.find(key)
        if there and _is_whole(store, file, found, there):
            if is_old(there):
                store.copy(key, key)
            return
        if there:
            log.warning("blob %s in %s is altered: it is stored again", file.sha256, store.url)
        store.copy(candidate_blob_key(taking.run, file.sha256), key, tag=found.tag)
    except Conflict as error:
        what = f"blob {file.sha256} of {file.path} in {taking.beside.url} changed while it was verified"
        raise InputError(f"{what}; let nobody write there, and train the model again") from error


def _verify(beside: Objects, file: File, found: Entry, tell: Moved) -> None:
    digest, size = hashlib.sha256(), 0
    for block in beside.stream(found.key, tag=found.tag):
        digest.update(block)
        size += len(block)
        tell(len(block))
    hold(beside, file, size, digest.hexdigest())


def _is_whole(store: Objects, file: File, source: Entry, there: Entry) -> bool:
    """Return whether a blob that is there is what was verified: by the store's own checksum, else by reading it."""
    if source.crc64nvme and there.crc64nvme:
        return (there.size, there.crc64nvme) == (file.size, source.crc64nvme)
    return there.size == file.size and digest_of(store, there.key, lambda _: None) == (file.size, file.sha256)
