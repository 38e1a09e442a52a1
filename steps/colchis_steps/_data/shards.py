"""A shard of a data set: its bytes, verified, and the arrays in them."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import arrays
from colchis_steps._data.npz import UNREADABLE, load_npz
from colchis_steps._formats.data import Column, Shard
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


def read_shard(store: Objects, shard: Shard, columns: Sequence[Column]) -> "dict[str, Array]":
    """Return the arrays of a shard by the names of ``as_read``.

    Raises:
        InputError: as ``shard_bytes``; or it is not of the format it says, or one that needs too much memory.
    """
    content, where = shard_bytes(store, shard), f"shard {shard.path} of {store.url}"
    try:
        if shard.format == "npz":
            return load_npz(content)
        import pyarrow as pa

        if shard.format == "parquet":
            import pyarrow.parquet as pq

            table = pq.ParquetFile(pa.BufferReader(content)).read([column.name for column in columns])
        else:
            table = pa.ipc.open_stream(pa.BufferReader(content)).read_all()
    except ImportError as error:
        raise InputError(f"{where} needs pyarrow to be read; pip install 'colchis[data]'") from error
    except UNREADABLE as error:
        reason = str(error)[:128]
        raise InputError(f"{where} is not an npz of plain arrays ({reason}); import the data again") from error
    except pa.ArrowException as error:
        reason = str(error)[:128]
        raise InputError(f"{where} is no {shard.format} file ({reason}); import the data again") from error
    return arrays(table, columns, where)
