"""Rows that are windows of one series: moved by a step, they share all values but one.

Divided at random, nearly every window of the test split has such a neighbour in training, and the model is judged on
what it has seen.
"""

from typing import TYPE_CHECKING

from colchis_steps._data.hashing import column_hashes, combined

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

LEAST = 4  # steps that a window has


def edges(features: "Mapping[str, np.ndarray]") -> "np.ndarray":
    """Return hashes of each row without its last step and without its first, uint64 [rows, 2].

    Windows are the columns of at least LEAST steps, [rows, steps, …]; without one there is no row. A row that does not
    change in time has the hash 0: it is like any other of its kind.
    """
    import numpy as np

    windows = {name: values for name, values in features.items() if values.ndim > 1 and values.shape[1] >= LEAST}
    if not windows:
        return np.empty((0, 2), np.uint64)
    parts = [{name: values[:, part] for name, values in windows.items()} for part in (np.s_[:-1], np.s_[1:])]
    found = np.stack([_hashes(part) for part in parts], axis=1)
    still = np.all([(v == v[:, :1]).reshape(len(v), -1).all(1) for v in windows.values()], axis=0)
    found[still] = 0
    return found


def moved(first: "np.ndarray", second: "np.ndarray") -> int:
    """Count the rows of ``second`` that are a row of ``first`` moved by one step."""
    import numpy as np

    heads, tails = first.T
    forward, back = np.isin(second[:, 0], tails[tails > 0]), np.isin(second[:, 1], heads[heads > 0])
    return int(np.count_nonzero(forward | back))


def _hashes(arrays: "Mapping[str, np.ndarray]") -> "np.ndarray":
    import numpy as np
    import pyarrow as pa

    columns = {}
    for name, values in arrays.items():
        flat = pa.array(np.ascontiguousarray(values).ravel())
        columns[name] = column_hashes(pa.FixedSizeListArray.from_arrays(flat, values[0].size if len(values) else 1))
    return combined(columns, len(next(iter(arrays.values()))))
