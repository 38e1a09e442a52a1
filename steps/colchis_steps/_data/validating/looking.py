"""A column of a batch, looked at once: what is missing, the numbers or the different texts, and where a row's are."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from colchis_steps._data.hashing import LONG, column_hashes
from colchis_steps._formats.data import RAGGED, Column

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Texts:
    """Texts or bytes of a batch: the different ``words``, how often each is there, and how long it is.

    ``codes`` are the places in ``words`` of each single value, -1 where it is null.
    """

    words: Any  # pyarrow.Array
    codes: "Array"
    counts: "Array"
    lengths: "Array"
    encoded: Any = None  # all values, as a pyarrow.DictionaryArray; None where each is a word of its own


@dataclass
class Look:
    """A column of a batch; ``numbers`` are those that are neither null nor NaN, ``texts`` what is text or bytes."""

    column: Column
    values: Any  # the pyarrow.Array, a row each
    leaf: Any  # the pyarrow.Array of all single values
    nulls: int = 0  # of single values, and of rows
    nans: int = 0
    numbers: "Array | None" = None
    low: float = 0.0
    high: float = 0.0
    texts: Texts | None = None

    @property
    def missing(self) -> int:
        """How many values are null or NaN."""
        return self.nulls + self.nans

    @cached_property
    def hashes(self) -> "Array":
        """The hash of each row's value, uint64 [rows]."""
        encoded = self.texts.encoded if self.texts is not None and self.leaf is self.values else None
        return column_hashes(self.values if encoded is None else encoded)

    def first(self, where: "Array") -> int:
        """Return the row of the first single value for which ``where`` is true, [single values with nulls]."""
        import numpy as np

        place = int(np.argmax(where))
        if RAGGED in self.column.shape:
            offsets = self.values.offsets.to_numpy()
            return int(np.searchsorted(offsets - offsets[0], place, side="right")) - 1
        return place * len(self.values) // max(1, len(self.leaf))

    def raw(self) -> "Array":
        """Return the single values with NaN for nulls, float64."""
        import numpy as np

        found: Array = _plain(self.leaf).to_numpy(zero_copy_only=False).astype(np.float64)
        return found


def look(column: Column, values: Any) -> Look:
    """Look at a column of a batch, whose type is that of the schema."""
    import pyarrow as pa

    leaf = leaves(values)
    found = Look(column, values, leaf, leaf.null_count + (values.null_count if leaf is not values else 0))
    kind = leaf.type.value_type if pa.types.is_dictionary(leaf.type) else leaf.type
    if is_text(kind) or is_bytes(kind):
        found.texts = _texts(column, leaf, kind)
    elif not pa.types.is_null(kind) and not pa.types.is_nested(kind):
        _numbers(found)
    return found


def _texts(column: Column, leaf: Any, kind: Any) -> Texts:
    """Look at each different text once; pictures and long bytes are taken to differ."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    length = pc.utf8_length if is_text(kind) else pc.binary_length
    if column.media or (is_bytes(kind) and leaf.nbytes > LONG * max(1, len(leaf))):
        words, encoded = leaf, None
        codes, counts = np.arange(len(leaf)), np.ones(len(leaf), np.int64)
    else:
        encoded = leaf if pa.types.is_dictionary(leaf.type) else leaf.dictionary_encode()
        words = encoded.dictionary
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        counts = np.bincount(codes + 1, minlength=len(words) + 1)[1:]
    return Texts(words, codes, counts, length(words).fill_null(0).to_numpy(zero_copy_only=False), encoded)


def leaves(values: Any) -> Any:
    """Return the single values in the lists of each row; what is no list is itself."""
    import pyarrow as pa

    while (
        pa.types.is_fixed_size_list(values.type) or pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    ):
        values = values.flatten()
    return values


def is_text(kind: Any) -> bool:
    """Return whether values of the type are text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: Any) -> bool:
    """Return whether values of the type are bytes."""
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _plain(leaf: Any) -> Any:
    """Return numbers, dates, times and booleans as NumPy has them without loss: decimals as floats."""
    import pyarrow as pa

    if pa.types.is_dictionary(leaf.type):
        leaf = leaf.dictionary_decode()
    kind = leaf.type
    if pa.types.is_temporal(kind):
        return leaf.cast(pa.int64()) if kind.bit_width == 64 else leaf.cast(pa.int32())
    if pa.types.is_decimal(kind):
        return leaf.cast(pa.float64())
    return leaf.cast(pa.uint8()) if pa.types.is_boolean(kind) else leaf


def _numbers(found: Look) -> None:
    import numpy as np

    leaf = _plain(found.leaf)
    array = (leaf.drop_null() if leaf.null_count else leaf).to_numpy(zero_copy_only=False)
    if len(array):
        low = array.min()
        if array.dtype.kind == "f" and np.isnan(low):
            whole = array[~np.isnan(array)]
            found.nans, array = len(array) - len(whole), whole
    if len(array):
        found.low, found.high = float(array.min()), float(array.max())
    found.numbers = array
