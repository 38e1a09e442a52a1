"""Reads windows of a data set's rows: each shard is verified, and stays in memory as long as there is room."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from colchis_steps._data.checking import check_column
from colchis_steps._data.loading import Loaded, from_arrays, from_batch, together
from colchis_steps._data.ordering import Window
from colchis_steps._data.shards import check_shard, named, parquet_rows, read_npz, read_rows
from colchis_steps._formats.data import Column, DataManifest, Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects

KEPT = 128 << 20  # bytes of verified shards that stay in memory from one epoch to the next


@dataclass
class Reader:
    """Reads a data set; ``columns`` are those of ``as_read``."""

    store: Objects
    manifest: DataManifest
    columns: Mapping[str, Column]
    kept: dict[str, Loaded] = field(default_factory=dict)
    kept_bytes: int = 0
    tags: dict[str, str] = field(default_factory=dict)  # of Parquet that was verified, by its path
    flow: tuple[str, int, Iterator[Any]] = ("", 0, iter(()))  # of Parquet: its path, the next row, the rows

    def load(self, window: Window) -> Loaded:
        """Return the rows of a window, verified.

        Raises:
            InputError: a shard is missing or damaged, or holds other things than the manifest says.
        """
        first = window.shards[0]
        if first.format == "parquet":
            return self._piece(first, window)
        return together([self._shard(shard) for shard in window.shards])

    def _shard(self, shard: Shard) -> Loaded:
        if shard.path in self.kept:
            return self.kept[shard.path]
        where, remedy = named(self.store, shard), "import the data again"
        if shard.format == "npz":
            columns = read_npz(self.store, shard)
            for column in self.columns.values():
                check_column(where, shard.rows, column, columns, remedy)
            loaded = from_arrays({name: columns[name] for name in self.columns}, shard.rows, self.manifest, where)
        else:
            loaded = from_batch(read_rows(self.store, shard, self._names), self.manifest, where)
        if loaded.rows != shard.rows:
            raise InputError(f"{where} has {loaded.rows} rows instead of {shard.rows}; {remedy}")
        if self.kept_bytes + loaded.nbytes <= KEPT:
            self.kept[shard.path] = loaded
            self.kept_bytes += loaded.nbytes
        return loaded

    @property
    def _names(self) -> list[str]:
        return [column.name for column in self.manifest.columns if column.role != "ignored"]

    def _piece(self, shard: Shard, window: Window) -> Loaded:
        """Return some rows of Parquet, which are read on from where the last ones ended."""
        import pyarrow as pa

        if shard.path not in self.tags:
            self.tags[shard.path] = check_shard(self.store, shard)
        path, at, flow = self.flow
        if (path, at) != (shard.path, window.start):
            flow = parquet_rows(self.store, shard, self._names, self.tags[shard.path], window.start)
        found, left = list[Any](), window.rows
        while left and (batch := next(flow, None)) is not None:
            if len(batch) > left:
                flow = itertools.chain([batch.slice(left)], flow)
                batch = batch.slice(0, left)
            found.append(batch)
            left -= len(batch)
        if left:
            rows = window.start + window.rows - left
            raise InputError(
                f"{named(self.store, shard)} has {rows} rows instead of {shard.rows}; import the data again"
            )
        self.flow = (shard.path, window.start + window.rows, flow)
        return from_batch(pa.concat_batches(found), self.manifest, named(self.store, shard))
