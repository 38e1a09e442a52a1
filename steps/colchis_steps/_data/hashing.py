"""A 64-bit hash of each row of Arrow's columns: the same on every machine and in every release, streamed or not.

Numbers are mixed by splitmix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014). Text is
hashed by a polynomial modulo 2⁶⁴, whose value for each row comes of prefix sums over all rows' bytes; texts of more
than LONG bytes, and images, go by blake2b. Two of n different rows share a hash with a probability of about n²/2⁶⁵.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2⁶⁴
NULL = 0x5851F42D4C957F2D
LONG = 512  # bytes of a text, from which on blake2b is faster
PIECE = 1 << 20  # bytes whose prefix sums are in memory at a time


def row_hashes(rows: Any, names: Sequence[str]) -> "Array":
    """Return the hashes of rows (a RecordBatch or Table) over these columns, in any order: uint64 [rows].

    Equal numbers of one type have equal hashes, 0.0 and -0.0 too, and all NaN; a null differs from every value.
    """
    return combined({name: column_hashes(rows.column(name)) for name in names}, rows.num_rows)


def combined(columns: "Mapping[str, Array]", rows: int) -> "Array":
    """Return the hashes of rows whose columns have these: ``row_hashes`` for who has the columns' hashes already."""
    import numpy as np

    found = np.zeros(rows, np.uint64)
    for name in sorted(columns):
        seed = np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))
        found = _mixed(found * np.uint64(BASE) + (columns[name] ^ seed))
    return found


def column_hashes(values: Any) -> "Array":
    """Return the hashes of a column's values, uint64 [rows]."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        parts = [column_hashes(chunk) for chunk in values.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    if pa.types.is_dictionary(values.type):
        known = np.append(column_hashes(values.dictionary), np.uint64(NULL))
        found: Array = known[values.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
    elif pa.types.is_fixed_size_list(values.type):
        found = _lists(values, np.arange(len(values) + 1) * values.type.list_size, _inner(values))
    elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        offsets = values.offsets.to_numpy()
        found = _lists(values, offsets - offsets[0], values.flatten())
    elif _is_bytes(values.type):
        found = _texts(values)
    else:
        found = _mixed(_bits(values))
    if values.null_count:
        found = np.where(values.is_null().to_numpy(zero_copy_only=False), np.uint64(NULL), found)
    return found


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(check(kind) for check in kinds)


def _bits(values: Any) -> "Array":
    """Return fixed-width values as uint64: floats by their bits, others by their number."""
    import numpy as np
    import pyarrow as pa

    kind = values.type
    if pa.types.is_null(kind):
        return np.zeros(len(values), np.uint64)
    if pa.types.is_decimal(kind):
        return _texts(values.cast(pa.string()))
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    elif pa.types.is_temporal(kind):
        values = values.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        wide = numbers.astype(np.float64) + 0.0  # -0.0 becomes 0.0
        wide[np.isnan(wide)] = np.nan
        found: Array = wide.view(np.uint64)
    else:
        found = numbers.astype(np.int64 if numbers.dtype.kind == "i" else np.uint64).view(np.uint64)
    return found


def _inner(values: Any) -> Any:
    return values.values.slice(values.offset * values.type.list_size, len(values) * values.type.list_size)


def _lists(values: Any, offsets: "Array", inner: Any) -> "Array":
    return _polynomial(column_hashes(inner), offsets if len(values) else offsets[:1])


def _texts(values: Any) -> "Array":
    import numpy as np
    import pyarrow as pa

    wide = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    _, offsets, data = values.buffers()
    kind = np.dtype(np.int64 if wide else np.int32)
    places = np.frombuffer(offsets, kind, len(values) + 1, values.offset * kind.itemsize).astype(np.int64)
    first = int(places[0]) if len(places) else 0
    content = np.frombuffer(data or b"", np.uint8)[first : int(places[-1]) if len(places) else 0]
    starts, lengths = places[:-1] - first, np.diff(places)
    long = lengths > LONG
    if not long.any():
        return _polynomial(content, places - first)
    found, view = np.empty(len(values), np.uint64), content.data
    for i in np.flatnonzero(long).tolist():
        end = int(starts[i] + lengths[i])
        found[i] = int.from_bytes(hashlib.blake2b(view[int(starts[i]) : end], digest_size=8).digest(), "little")
    if not long.all():
        offsets = np.concatenate([[0], np.cumsum(lengths[~long])])
        found[~long] = _polynomial(content[np.repeat(~long, lengths)], offsets)
    return found


def _polynomial(items: "Array", offsets: "Array") -> "Array":
    """Return a hash of each run of items, from one offset to the next: length and polynomial, mixed."""
    import numpy as np

    count = len(offsets) - 1
    found = np.empty(count, np.uint64)
    at = 0
    while at < count:
        end = max(at + 1, int(np.searchsorted(offsets, offsets[at] + PIECE, side="right")) - 1)
        begin, stop = int(offsets[at]), int(offsets[end])
        powers = np.full(stop - begin + 1, BASE, np.uint64)
        powers[0] = 1
        np.multiply.accumulate(powers, out=powers)
        prefix = np.zeros(stop - begin + 1, np.uint64)
        np.cumsum((items[begin:stop].astype(np.uint64) + np.uint64(1)) * powers[:-1], out=prefix[1:])
        starts, ends = offsets[at:end] - begin, offsets[at + 1 : end + 1] - begin
        back = np.full(stop - begin + 1, pow(BASE, -1, 1 << 64), np.uint64)
        back[0] = 1
        np.multiply.accumulate(back, out=back)
        found[at:end] = (prefix[ends] - prefix[starts]) * back[starts] + (ends - starts).astype(np.uint64)
        at = end
    return _mixed(found)


def _mixed(values: "Array") -> "Array":
    """Return splitmix64's finalizer of each value."""
    import numpy as np

    found = values + np.uint64(BASE)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31))
