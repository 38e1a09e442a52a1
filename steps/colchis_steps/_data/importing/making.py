"""Rows on their way into a data set: each batch is divided, counted and kept; then the parts and the manifest."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colchis_steps._data.hashing import row_hashes
from colchis_steps._data.importing import columns, doubts, parts
from colchis_steps._data.importing.dividing import Way
from colchis_steps._data.importing.division import NAMES
from colchis_steps._data.importing.facts import REFUSED, Facts
from colchis_steps._data.importing.groups import Groups
from colchis_steps._data.importing.in_place import InPlace
from colchis_steps._data.importing.request import Request
from colchis_steps._data.importing.spill import Spill
from colchis_steps._data.importing.tables import Table
from colchis_steps._data.importing.target import Target
from colchis_steps._formats.data import Column, DataManifest, Source, data_digest
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import DATA_MANIFEST, data_prefix
from colchis_steps._step.errors import InputError
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Objects

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("colchis")
MOST = 256  # times the size of the sources that their rows may have
LEAST = 1 << 30  # bytes that they may have in any case
SOURCES = 1000  # that a manifest lists; of more, such as images, one stands for each folder


@dataclass
class Import:
    """One import."""

    request: Request
    tables: Sequence[Table]
    schema: "pa.Schema"
    roles: Mapping[str, str]
    way: Way
    directory: Path

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.features = [name for name, role in self.roles.items() if role == "feature"]
        self.label = tuple(name for name in self.request.label if self.roles.get(name) == "label") or tuple(
            name for name, role in self.roles.items() if role == "label"
        )
        needed = self.way.needed | {name: REFUSED[role] for name, role in self.roles.items() if role in REFUSED}
        self.facts = Facts(self.schema, self.roles, needed)
        self.target = Target(self.request, self.label, self.schema, len(NAMES))
        self.groups = Groups(self.request.group if self.way.told.way == "given" else ())
        self.windows = doubts.Windows(self.schema, self.features if self.way.told.way == "hash" else ())
        self.counts: dict[str, int] = {}  # of rows, by the table
        size = sum(table.size for table in self.tables)
        expected = sum(table.expected or table.size for table in self.tables)
        self.kept: Spill | InPlace = (
            InPlace(self.tables, self.schema, self.way)
            if self.request.in_place
            else Spill(self.directory, self.schema, len(NAMES), expected, max(LEAST, MOST * size))
        )

    def read(self, bar: Progress) -> None:
        """Take in all rows. Raises InputError where they cannot be used."""
        for table in self.tables:
            row = seen = told = 0
            for batch in table.batches(self.schema):
                rows = columns.normal(batch, self.schema, table.where)
                self._take(rows, table, row)
                row, seen = row + len(rows), seen + rows.nbytes
                done = min(table.size, seen * table.size // max(1, table.expected or table.size))
                bar.advance(done - told)
                told = done
            bar.advance(table.size - told)
            self.counts[table.where] = row
        self.kept.flush()
        self.facts.check()
        if not self.kept.rows[0]:
            raise InputError(
                f"train has none of the {sum(self.kept.rows)} rows; import more, or give other --shares or --gap"
            )

    def _take(self, rows: "pa.RecordBatch", table: Table, at: int) -> None:
        features = row_hashes(rows, self.features)
        own = self.way.hashed == tuple(self.features)
        hashes = features if own or not self.way.hashed else row_hashes(rows, self.way.hashed)
        split = self.way.assign(rows, hashes, table.split, table.where)
        self.groups.add(rows, split, table.where)
        self.facts.add(rows, table.where, at)
        self.target.add(rows, split, table.where, at)
        self.windows.add(rows, split)
        self.kept.add(rows, split, features, row_hashes(rows, self.schema.names))

    def write(self, store: Objects, given: Mapping[str, Source]) -> str:
        """Store the parts, then the manifest; return the data set's URI."""
        task, twins = self.target.task(), parts.Twins(self.label)
        if isinstance(self.kept, InPlace):
            made = self.kept.parts(given, self.counts)
        else:
            made = {name: parts.make(self.kept, name, self.directory, self.request.shard_rows, twins) for name in NAMES}
        told = self.facts.columns()
        if self.request.in_place:  # where the files have all columns
            others = [field for field in self.tables[0].schema if field.name not in self.schema.names]
            told += tuple(Column(field.name, str(field.type), role="ignored", nullable=True) for field in others)
        warnings = (
            *doubts.empty(self.kept.rows, self.way.told.shares),
            *doubts.lacking(self.target.rows(), self.kept.rows),
            *doubts.random_in_time(told, self.way.told.way),
            *self.windows.told(),
            *doubts.contradictions(twins.other, twins.equal),
            *doubts.without_values(self.facts.empty),
            *doubts.left_out(self.tables[0].schema.names, self.schema.names, self.request.keep),
        )
        for warning in warnings:
            log.warning("%s", warning)
        manifest = DataManifest(
            name=self.request.name,
            digest="",
            task=task,
            columns=told,
            splits={name: found.split for name, found in made.items()},
            division=self.way.told,
            created_at=now(),
            parent=self.request.parent,
            sources=tuple(_sources([*given.values()])),
            warnings=warnings,
        )
        manifest.digest = data_digest(manifest)
        prefix = data_prefix(manifest.name, manifest.digest)
        for found in made.values():
            for path, sums in found.files:
                parts.store(store, f"{prefix}/{path.name}", path, sums)
        if store.size(f"{prefix}/{DATA_MANIFEST}") is None:
            store.create(f"{prefix}/{DATA_MANIFEST}", encode(manifest))
        rows = ", ".join(f"{name} {found.split.rows}" for name, found in made.items())
        log.info("%s: rows %s; digest %s", manifest.name, rows, manifest.digest)
        return f"{store.url.rstrip('/')}/{prefix}"


def _sources(given: Sequence[Source]) -> Iterator[Source]:
    """Yield the sources; of very many, one for each folder, whose digest is over the names and digests in it."""
    import hashlib

    if len(given) <= SOURCES:
        yield from given
        return
    folders: dict[str, list[Source]] = {}
    for source in given:
        folders.setdefault(source.name.rpartition("/")[0] or ".", []).append(source)
    for folder, found in folders.items():
        told = "".join(f"{source.sha256}  {source.name}\n" for source in found)
        size = sum(source.size for source in found)
        yield Source(folder, size, hashlib.sha256(told.encode()).hexdigest())
