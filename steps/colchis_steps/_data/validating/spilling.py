"""Hashes of all rows, on disk by their range, so that equal ones are found exactly in memory that does not grow."""

import tempfile
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

PARTS = 64  # files; of 100 million rows each has 36 MiB
HELD = 1 << 18  # bytes of each that stay in memory
PENDING = 1 << 16  # rows that are divided at a time
SPLIT = 48  # bits of a row's number, below that of its split


@dataclass
class Alike:
    """What rows have in common. Splits are numbers; rows count from 0 in theirs."""

    duplicates: dict[int, int] = field(default_factory=dict)  # rows of a split that another was equal to before
    shared: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # rows of the second, and the first
    contradictions: dict[int, tuple[int, int]] = field(default_factory=dict)  # rows with another's features, not label
    repeated: int = 0  # rows that one of any split was equal to before


class Spill:
    """Takes hashes of rows, 24 bytes each, and tells which are alike; the files are gone when it is closed."""

    def __init__(self) -> None:
        self._files: list[IO[bytes]] = []
        self._pending: list[Array] = []
        self._count = 0

    def __enter__(self) -> "Spill":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()

    def add(self, split: int, first: int, hashes: "Array", labels: "Array | None" = None) -> None:
        """Add rows of a split from the row ``first`` on: a hash each, and one of its label."""
        import numpy as np

        rows = np.empty((len(hashes), 3), np.uint64)
        rows[:, 0] = hashes
        rows[:, 1] = 0 if labels is None else labels
        rows[:, 2] = np.arange(first, first + len(hashes), dtype=np.uint64) + np.uint64(split << SPLIT)
        self._pending.append(rows)
        self._count += len(rows)
        if self._count >= PENDING:
            self._flush()

    def _flush(self) -> None:
        try:
            self._write()
        except OSError as error:
            raise InputError(
                f"there is no room for the hashes of rows in {tempfile.gettempdir()} ({error.strerror}): 24 bytes "
                "for each; free some, or set TMPDIR"
            ) from error

    def _write(self) -> None:
        import numpy as np

        if not self._files:
            self._files = [_file() for _ in range(PARTS)]
        rows = np.concatenate(self._pending)
        parts = (rows[:, 0] >> np.uint64(58)).astype(np.uint8)
        rows = rows[np.argsort(parts, kind="stable")]
        ends = np.cumsum(np.bincount(parts, minlength=PARTS))
        for file, begin, end in zip(self._files, np.r_[0, ends[:-1]], ends, strict=True):
            file.write(rows[begin:end].tobytes())
        self._pending, self._count = [], 0

    def _parts(self) -> "Iterator[Array]":
        import numpy as np

        if not self._files:
            yield np.concatenate(self._pending) if self._pending else np.empty((0, 3), np.uint64)
            return
        if self._pending:
            self._flush()
        for file in self._files:
            file.seek(0)
            yield np.frombuffer(file.read(), np.uint64).reshape(-1, 3)

    def alike(self, splits: int) -> Alike:
        """Return what the rows of so many splits have in common."""
        found = Alike(dict.fromkeys(range(splits), 0))
        for rows in self._parts():
            if len(rows):
                _compare(rows, splits, found)
        return found


def _file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(HELD, prefix="colchis-")


def _compare(rows: "Array", splits: int, found: Alike) -> None:
    """Add what rows of one range of hashes have in common."""
    import numpy as np

    order = np.argsort(rows[:, 0], kind="stable")
    hashes = rows[order, 0]
    begins = np.r_[True, hashes[1:] != hashes[:-1]]
    group = np.cumsum(begins) - 1
    several = np.bincount(group) > 1
    found.repeated += len(rows) - len(several)
    kept = several[group]  # the others are like none
    if not kept.any():
        return
    labels, places = rows[order[kept], 1], rows[order[kept], 2]
    starts = np.flatnonzero(begins[kept])
    group = np.cumsum(begins[kept]) - 1
    split, row = (places >> np.uint64(SPLIT)).astype(np.int64), places & np.uint64((1 << SPLIT) - 1)
    present = np.zeros((len(starts), splits), bool)
    present[group, split] = True
    noisy = (np.minimum.reduceat(labels, starts) != np.maximum.reduceat(labels, starts))[group]
    for second in range(splits):
        mine = split == second
        found.duplicates[second] += int(mine.sum() - present[:, second].sum())
        _note(found.contradictions, second, row[mine & noisy])
        for first in range(second):
            _note(found.shared, (first, second), row[mine & present[group, first]])


def _note(into: dict[Any, tuple[int, int]], key: Any, rows: "Array") -> None:
    if len(rows):
        count, first = into.get(key, (0, 1 << SPLIT))
        into[key] = (count + len(rows), min(first, int(rows.min())))
