"""In which pieces the rows of a split are read, and cut into batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from colchis_steps._formats.data import Shard

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class Window(NamedTuple):
    """Rows that are in memory together: those of whole shards, or some of one Parquet shard, from ``start`` on."""

    shards: tuple[Shard, ...]
    start: int
    rows: int


def windows(shards: Sequence[Shard], most: int, room: int, piece: int) -> Iterator[Window]:
    """Yield the windows over the shards, in their order.

    A window has at most ``most`` shards of at most ``room`` bytes together, or a larger one; of Parquet, which may have
    been left in place and be large, so many rows of one as have about ``piece`` bytes there.
    """
    waiting: list[Shard] = []
    for shard in shards:
        full = len(waiting) == most or sum(s.size for s in waiting) + shard.size > room
        if waiting and (full or shard.format == "parquet"):
            yield Window(tuple(waiting), 0, sum(s.rows for s in waiting))
            waiting = []
        if shard.format != "parquet":
            waiting.append(shard)
            continue
        step = max(1, min(shard.rows, piece * shard.rows // max(1, shard.size)))
        for start in range(0, shard.rows, step):
            yield Window((shard,), start, min(step, shard.rows - start))
    if waiting:
        yield Window(tuple(waiting), 0, sum(s.rows for s in waiting))


def rebatch(blocks: "Iterable[Mapping[str, Array]]", size: int) -> "Iterator[Mapping[str, Array]]":
    """Yield the blocks' rows again, ``size`` at a time; the last batch has those that are left."""
    import numpy as np

    left: Mapping[str, Array] = {}
    for block in blocks:
        rows = {name: np.concatenate([left[name], values]) for name, values in block.items()} if left else block
        count = len(next(iter(rows.values())))
        for at in range(0, count - size + 1, size):
            yield {name: values[at : at + size] for name, values in rows.items()}
        rest = count - count % size
        left = {name: values[rest:].copy() for name, values in rows.items()} if rest < count else {}
    if left:
        yield left
