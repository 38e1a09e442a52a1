"""A stored data set: its manifest, its verified shards, and batches of it for any number of workers.

Reads   <data URI>/manifest.json, and the shards beside it; a shard's bytes are checked before they are used
"""

import functools
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from colchis_steps._data.arrays import MASK, as_read
from colchis_steps._data.checking import check_column, check_labels
from colchis_steps._data.ordering import Window, rebatch, windows
from colchis_steps._data.reader import Reader
from colchis_steps._formats.data import Column, DataManifest, Shard, Task, decode_manifest
from colchis_steps._formats.documents import Newer, Unreadable
from colchis_steps._formats.keys import DATA_MANIFEST
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import document_bytes
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger("colchis")
WINDOW = 4  # shards that are shuffled together at most: the bound of how far a row can move
ROOM = 64 << 20  # bytes of the shards that are shuffled together, but for one that is larger
PIECE = 8 << 20  # bytes, as they are stored, of the rows of Parquet that are shuffled together
OTHERS = ("weight", "group", "time", "key", "slice")  # roles of columns that no model takes, and a row has


@dataclass(frozen=True)
class Batch:
    """One worker's part of a global batch; every part has the same number of rows, so padding rows fill it up.

    ``features`` has one array a column that a model may take (rows first, raw dtype), ``labels`` are as ``targets``
    tells, ``weights`` is float32: 1 for a row of the data, 0 for padding. ``total`` counts the rows of the data in the
    whole global batch. ``others`` has the columns of other roles: weight, group, time, key, slice; and of a sequence
    ``<label>__mask``, which says where a label is.
    """

    features: "dict[str, Array]"
    labels: "Array"
    weights: "Array"
    total: int
    others: "dict[str, Array]" = field(default_factory=dict)


@dataclass
class DataSet:
    """A data set in a store. Reading its shards costs memory for ROOM of them, and those that a Reader keeps."""

    uri: str
    store: Objects
    manifest: DataManifest

    @functools.cached_property
    def columns(self) -> dict[str, Column]:
        """All columns but the ignored ones, as they are read: see ``arrays``."""
        return as_read(column for column in self.manifest.columns if column.role != "ignored")

    @functools.cached_property
    def features(self) -> dict[str, Column]:
        """The columns that a model sees, by name."""
        return {name: column for name, column in self.columns.items() if column.role == "feature"}

    @functools.cached_property
    def _reader(self) -> Reader:
        return Reader(self.store, self.manifest, self.columns)

    @property
    def task(self) -> Task:
        """What a model of the data is to tell."""
        return self.manifest.task

    @property
    def weight(self) -> str:
        """The column that says how much a row counts; empty where all count alike."""
        return next((column.name for column in self.manifest.of_role("weight")), "")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the task's classes, in the order of their numbers; none where it has no classes."""
        return self.task.classes

    def shards(self, split: str) -> tuple[Shard, ...]:
        """Return the split's shards.

        Raises:
            InputError: there is no such split, or it has no rows.
        """
        splits = self.manifest.splits
        if split not in splits:
            raise InputError(f"{self.uri} has no split {split!r}, only {', '.join(splits)}; import the data again")
        if not self.rows(split):
            raise InputError(f"the split {split!r} of {self.uri} has no rows; import the data again")
        return splits[split].parts

    def rows(self, split: str) -> int:
        """Count the split's rows."""
        return self.manifest.splits[split].rows if split in self.manifest.splits else 0

    def read(self, shard: Shard) -> "dict[str, Array]":
        """Return the shard's columns, verified against the manifest: bytes, columns, dtypes, shapes and label range.

        Raises:
            InputError: the shard is missing or damaged, or holds other things than the manifest says.
        """
        import numpy as np

        return self._reader.load(Window((shard,), 0, shard.rows)).take(np.arange(shard.rows))

    def blocks(
        self, split: str, *, seed: int | None = None, epoch: int = 0, skip: int = 0
    ) -> "Iterator[dict[str, Array]]":
        """Yield the split's rows but the first ``skip`` ones, each once: those of a window of shards after another's.

        The order depends on ``seed`` and ``epoch`` alone; without a seed it is the order of the data. Shards all of
        whose rows are skipped are not read.
        """
        import numpy as np

        shards = list(self.shards(split))
        random = None if seed is None else np.random.default_rng([seed, epoch])
        if random:
            shards = [shards[i] for i in random.permutation(len(shards))]
        for window in windows(shards, WINDOW, ROOM, PIECE):
            order = random.permutation(window.rows) if random else np.arange(window.rows)
            order, skip = order[skip:], max(0, skip - window.rows)
            if len(order):
                loaded = self._reader.load(window)
                for at in range(0, len(order), loaded.step):
                    yield loaded.take(order[at : at + loaded.step])
                del loaded  # before the next one is in memory

    def batches(
        self,
        split: str,
        size: int,
        *,
        seed: int | None = None,
        epoch: int = 0,
        rank: int = 0,
        workers: int = 1,
        skip: int = 0,
        parts: int = 1,
        blocks: "Iterable[Mapping[str, Array]] | None" = None,
    ) -> Iterator[Batch]:
        """Yield worker ``rank``'s part of each global batch of ``size`` rows after the first ``skip`` batches.

        The k-th global batch holds the same rows whatever the number of workers is: consecutive ones of ``blocks``,
        which are the stored ones unless given. Every worker gets the same number of batches, each of
        ceil(size / workers) rows, rounded up to a multiple of ``parts``.
        """
        rows = -(-size // workers)
        rows += -rows % parts
        if blocks is None:
            found = rebatch(self.blocks(split, seed=seed, epoch=epoch, skip=skip * size), size)
        else:
            found = itertools.islice(rebatch(self._checked(split, blocks), size), skip, None)
        for batch in found:
            yield self._part(batch, rows, rank, workers)

    def _checked(self, split: str, blocks: "Iterable[Mapping[str, Array]]") -> "Iterator[Mapping[str, Array]]":
        for block in blocks:
            where, rows = f"a block of rows for {split!r}", len(next(iter(block.values()), ()))
            for column in self.columns.values():
                if column.name in self.task.target and column.classes is None:
                    check_labels(where, self.task, block.get(column.name))
                else:
                    check_column(where, rows, column, block, "correct the entry's dataset function")
            yield block

    def _part(self, rows: "Mapping[str, Array]", size: int, rank: int, workers: int) -> Batch:
        import numpy as np

        total = len(next(iter(rows.values())))
        mine = np.arange(rank, total, workers)
        padding = np.arange(size - len(mine)) % total  # rows of the data, so that no layer meets values it never sees
        chosen = np.concatenate([mine, padding]).astype(np.int64)
        columns = self.columns
        told = rows[self.manifest.label][chosen] if self.task.target else np.zeros((size, 0), np.float32)
        return Batch(
            features={name: values[chosen] for name, values in rows.items() if name in self.features},
            labels=told,
            weights=(np.arange(size) < len(mine)).astype(np.float32),
            total=total,
            others={
                n: v[chosen]
                for n, v in rows.items()
                if n in columns and (columns[n].role not in {"feature", "label"} or n == self.manifest.label + MASK)
            },
        )


def open_data(uri: str) -> DataSet:
    """Open the data set at the URI, which is the directory that holds its manifest.

    Raises:
        InputError: there is no data set, or its manifest is altered.
    """
    store = open_store(uri)
    return DataSet(uri, store, read_manifest(store, uri))


def read_manifest(store: Objects, uri: str, key: str = DATA_MANIFEST) -> DataManifest:
    """Read the manifest, of this release or an earlier one; ``uri`` is what the store is called.

    Raises:
        NotFound: there is none. InputError: it is altered or no manifest.
    """
    try:
        return decode_manifest(document_bytes(store, key), f"{uri}/{key}")
    except ValueError as error:
        raise InputError(f"{uri}/{key} is altered: {error}; import the data again") from error


def newest(uri: str) -> str:
    """Return the URI itself where it names a data set; else that of the newest of the data sets in this directory.

    A damaged manifest is left out with a warning; not so one of a newer release, which is likely the newest.

    Raises:
        InputError: there is no data set, here or one level below, or one is of a newer release.
    """
    store, name = open_store(uri), DATA_MANIFEST
    if store.size(name) is not None:
        read_manifest(store, uri)
        return uri
    found = [key for key in store.keys("") if key.endswith(f"/{name}") and key.count("/") == 1]
    made: dict[str, str] = {}
    for key in found:
        try:
            made[key] = read_manifest(store, uri, key).created_at
        except Newer:
            raise
        except Unreadable as error:
            log.warning("left out: %s", error)
    if not made:
        raise InputError(
            f"{uri} holds no data set; import one (colchis data import NAME --to STORE) and give the URI it prints"
        )
    return f"{uri.rstrip('/')}/{max(made, key=lambda key: (made[key], key)).removesuffix(f'/{name}')}"
