"""Rows of a data set: how one is recognised again, how splits divide them, and the bytes that a shard has."""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Arrays = Mapping[str, "np.ndarray"]


EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def row_hashes(features: Arrays) -> "np.ndarray":
    """Return a 64-bit hash of each row over the bytes of its features (not of its label), uint64 of shape (rows,).

    Two different rows among n share a hash with a probability of about n²/2⁶⁵: 3·10⁻⁸ for a million rows.
    """
    import numpy as np

    columns = [np.ascontiguousarray(features[name]) for name in sorted(features)]
    hashes = np.empty(len(columns[0]) if columns else 0, np.uint64)
    for i in range(len(hashes)):
        digest = hashlib.blake2b(digest_size=8)
        for column in columns:
            digest.update(column[i].tobytes())
        hashes[i] = int.from_bytes(digest.digest(), "little")
    return hashes


def divide(hashes: "np.ndarray", labels: "np.ndarray", shares: Mapping[str, float]) -> dict[str, "np.ndarray"]:
    """Divide rows into splits; return each split's row numbers, int64, in the order of their hashes.

    Within each class rows go by hash, which no one chose and every run repeats, so that the splits have the same
    class balance. Rows with equal hashes stay together, so that no row of one split is in another.
    """
    import numpy as np

    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    classes = labels[first[group]]  # of equal rows with different labels, the first one's counts
    bounds = np.cumsum([0.0, *shares.values()]) / sum(shares.values())
    split = np.empty(len(hashes), np.int64)
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        limits = np.rint(bounds[1:-1] * len(rows))
        place = np.arange(len(rows))
        begins = np.maximum.accumulate(np.where(np.r_[True, np.diff(hashes[rows]) != 0], place, 0))
        split[rows] = np.searchsorted(limits, begins, side="right")
    order = np.argsort(hashes, kind="stable")
    return {name: order[split[order] == i] for i, name in enumerate(shares)}


def shard_bytes(arrays: Arrays) -> bytes:
    """Return the bytes of an uncompressed npz with these arrays; equal arrays have equal bytes on any day."""
    import numpy as np

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.external_attr = 0o644 << 16
            file.writestr(info, member.getvalue())
    return buffer.getvalue()


def shards_of(rows: "np.ndarray", size: int) -> Sequence["np.ndarray"]:
    """Cut row numbers into shards of at most ``size`` rows; no rows make no shard."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
