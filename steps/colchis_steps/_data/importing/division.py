"""Which split a row goes to, told by the row alone, so that it never moves when data grow (but by time).

hash   a hash of the key, else of the features, falls into a share
group  as hash, over the columns of the group: all its rows go together
time   before, between or after two times, without the rows that are nearer than a gap to the end of their split
given  by a column, or by the source that has it; splits that are missing are taken out of train by hash
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.files import SPLITS
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

NAMES = ("train", "eval", "test")
Assign = Callable[["pa.RecordBatch", "Array", str, str], "Array"]  # rows, hashes, split of the source, its name


def by_hash(shares: Mapping[str, float]) -> Assign:
    """Return what gives rows to splits by their hashes: the first share of all 2⁶⁴ is train, and so on."""
    limits = _limits([shares.get(name, 0.0) for name in NAMES])

    def assign(rows: "pa.RecordBatch", hashes: "Array", split: str, where: str) -> "Array":  # noqa: ARG001 - one form
        return _shared(hashes, limits)

    return assign


def by_time(column: str, cuts: Sequence[float], gap: float) -> Assign:
    """Return what gives rows to splits by the time that they have, in units of the column; -1 where in a gap."""

    def assign(rows: "pa.RecordBatch", hashes: "Array", split: str, where: str) -> "Array":  # noqa: ARG001 - one form
        import numpy as np

        times = numbers(rows.column(column))
        found: Array = np.searchsorted(np.array(cuts, times.dtype), times, side="right")
        for cut in cuts:
            found[(times >= cut - gap) & (times < cut)] = -1
        return found

    return assign


def as_given(column: str, present: Sequence[str], shares: Mapping[str, float]) -> Assign:
    """Return what gives rows to the splits that their column, or else their source, says; ``present`` are those.

    Those that are not present are taken out of train, by hash, as their shares tell.
    """
    carved = [name for name in NAMES if name == "train" or name not in present]
    limits = _limits([shares.get(name, 0.0) if name in carved else 0.0 for name in NAMES])

    def assign(rows: "pa.RecordBatch", hashes: "Array", split: str, where: str) -> "Array":
        import numpy as np

        found = told(rows.column(column), column, where) if column else np.full(rows.num_rows, NAMES.index(split))
        divided: Array = np.where(found == 0, _shared(hashes, limits), found)
        return divided

    return assign


def told(values: Any, column: str, where: str) -> "Array":
    """Return the numbers of the splits that a column of names tells. Raises InputError where it tells none."""
    import numpy as np

    coded = values.dictionary_encode()
    if coded.null_count:
        raise InputError(
            f"{where}: column {column!r} has no split in {coded.null_count} rows; write train, eval or test"
        )
    names = [str(name) for name in coded.dictionary.to_pylist()]
    for name in names:
        if name.lower() not in SPLITS:
            raise InputError(f"{where}: column {column!r} has {name[:64]!r}; write train, eval or test")
    found: Array = np.array([NAMES.index(SPLITS[name.lower()]) for name in names], np.int64)[coded.indices.to_numpy()]
    return found


def numbers(values: Any) -> "Array":
    """Return times as numbers of their column: int64, or float64; a null is 0."""
    import numpy as np
    import pyarrow as pa

    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
    found: Array = values.fill_null(0).to_numpy(zero_copy_only=False)
    return found.astype(np.float64 if found.dtype.kind == "f" else np.int64)


def _shared(hashes: "Array", limits: Sequence[int]) -> "Array":
    import numpy as np

    found = np.zeros(len(hashes), np.int64)
    for limit in limits:
        if limit < 1 << 64:
            found += hashes >= np.uint64(limit)
    return found


def _limits(shares: Sequence[float]) -> list[int]:
    """Return the hashes at which the second split and those after it begin."""
    total, at, found = sum(shares), 0.0, list[int]()
    for share in shares[:-1]:
        at += share
        found.append(round(at / total * (1 << 64)))
    return found
