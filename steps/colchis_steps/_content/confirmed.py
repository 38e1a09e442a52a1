"""Blobs that were read once and found to be what their names say: while the store describes them alike, that stands.

A bucket describes an object by size and CRC64NVME, which it checks itself, and a directory by size and the time of the
last write; what a bucket keeps no such checksum of is read each time, as its times are whole seconds. Whoever reads a
blob in the end, to pack or to serve it, verifies it all the same.
"""

from collections.abc import Mapping, Sequence

from colchis_steps._content.blobs import Moved, check_files
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import blob_key, confirmed_key
from colchis_steps._formats.models import Confirmed, Description, File
from colchis_steps._store.api import Entry, Objects, bulk
from colchis_steps._store.documents import find_document


def described(store: Objects, files: Sequence[File]) -> dict[str, Description]:
    """Return how the store describes each blob, by sha256 (hex), where that says enough; nothing is read."""
    keys = {blob_key(file.sha256): file.sha256 for file in files}
    found = (entry or store.find(key) for key, entry in zip(keys, bulk(store).find_all(list(keys)), strict=True))
    return {keys[entry.key]: description for entry in found if entry and (description := described_as(store, entry))}


def confirm(store: Objects, run: str, before: Mapping[str, Description]) -> None:
    """Note that the run's blobs were verified; ``before`` is how they were described before they were read."""
    store.write(confirmed_key(run), encode(Confirmed(run=run, blobs=dict(before))))


def confirmed(store: Objects, run: str) -> Mapping[str, Description]:
    """Return how the run's blobs were described when they were verified, by sha256 (hex)."""
    noted = find_document(store, confirmed_key(run), Confirmed)
    return noted.blobs if noted else {}


def check_confirmed(store: Objects, run: str, files: Sequence[File], moved: Moved | None = None) -> None:
    """Verify the run's blobs; those that were confirmed and are described as they were then are not read.

    Raises:
        InputError: a blob is missing or altered; it is named.
    """
    known, now = confirmed(store, run), described(store, files)
    alike = {sha256 for sha256, description in now.items() if description == known.get(sha256)}
    if moved:
        moved(sum({file.sha256: file.size for file in files if file.sha256 in alike}.values()))
    check_files(store, [file for file in files if file.sha256 not in alike], moved)


def described_as(store: Objects, entry: Entry) -> Description | None:
    """Return how the store describes an object; None where that does not say enough."""
    if not entry.crc64nvme and not store.url.startswith("file:"):
        return None
    return Description(entry.size, 0.0 if entry.crc64nvme else entry.modified, entry.crc64nvme)
