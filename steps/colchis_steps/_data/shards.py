"""A shard of a data set: its bytes, verified, and the arrays in them."""

import hashlib
from typing import TYPE_CHECKING, Any

from colchis_steps._data.npz import UNREADABLE, load_npz
from colchis_steps._formats.data import Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


def shard_bytes(store: Objects, shard: Shard) -> bytes:
    """Return a shard as it is stored.

    Raises:
        InputError: it is missing, truncated or altered.
    """
    where, size = f"shard {shard.path} of {store.url}", store.size(shard.path)
    if size is not None and size != shard.size:  # before it is in memory
        raise InputError(f"{where} is damaged: {size} bytes instead of {shard.size}; import the data again")
    content = store.read(shard.path)
    if (actual := hashlib.sha256(content).hexdigest()) != shard.sha256:
        raise InputError(f"{where} is damaged: sha256 {actual} instead of {shard.sha256}; import the data again")
    return content


def read_shard(store: Objects, shard: Shard) -> "dict[str, Array]":
    """Return the arrays of a shard by name.

    Raises:
        InputError: as ``shard_bytes``; or it is no npz, or one that needs too much memory.
    """
    content = shard_bytes(store, shard)
    try:
        return load_npz(content)
    except UNREADABLE as error:
        where, reason = f"shard {shard.path} of {store.url}", str(error)[:128]
        raise InputError(f"{where} is not an npz of plain arrays ({reason}); import the data again") from error
