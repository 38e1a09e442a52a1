"""Groups that must not be in two splits, where the splits are given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.hashing import row_hashes
from colchis_steps._data.importing.division import NAMES
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Groups:
    """The split of each group that was seen: 16 bytes a group."""

    def __init__(self, columns: Sequence[str]) -> None:
        import numpy as np

        self.columns = tuple(columns)
        self.known, self.splits = np.empty(0, np.uint64), np.empty(0, np.int64)

    def add(self, rows: "pa.RecordBatch", split: "np.ndarray[Any, Any]", where: str) -> None:
        """Take in rows. Raises InputError where a group has rows of another split than before."""
        import numpy as np

        if not self.columns:
            return
        hashes = np.concatenate([self.known, row_hashes(rows, self.columns)])
        splits = np.concatenate([self.splits, split])
        known, first, back = np.unique(hashes, return_index=True, return_inverse=True)
        odd = np.flatnonzero(splits != splits[first][back])
        if len(odd):
            i = int(odd[0])
            row = i - len(self.known)
            value = ", ".join(str(rows.column(name)[row].as_py())[:64] for name in self.columns)
            raise InputError(
                f"the group {', '.join(self.columns)} {value!r} is in the splits {NAMES[splits[first][back][i]]} and "
                f"{NAMES[splits[i]]}, the latter in {where}; put its rows into one, or give --split-by group"
            )
        self.known, self.splits = known, splits[first]
