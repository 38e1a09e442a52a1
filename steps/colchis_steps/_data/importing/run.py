"""An import from its sources to its manifest, in one pass over the rows and bounded memory."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.hashing import row_hashes
from colchis_steps._data.importing import columns, division, parts, reading, sources
from colchis_steps._data.importing.facts import REFUSED, Facts
from colchis_steps._data.importing.request import Request
from colchis_steps._data.importing.spill import Spill
from colchis_steps._data.importing.tables import Table
from colchis_steps._data.importing.target import Target, label_of
from colchis_steps._formats.data import DataManifest, Division, Source, data_digest
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


def run(store: Objects, request: Request) -> str:
    """Import into the store; return the data set's URI. Safe to run again.

    Raises:
        InputError: the sources, or what is asked of them, are wrong; nothing is in the store then.
    """
    files = [file for given in request.given for file in sources.find(given)]
    tables = reading.tables(request, files)
    schema = columns.chosen(request, tables)
    label = label_of(request, schema)
    with tempfile.TemporaryDirectory(prefix="colchis-") as temporary:
        made = Import(request, tables, schema, label, Path(temporary))
        before = {file.where: file.state() for file in files}
        with Progress(request.name, 2 * sum(file.size for file in files)) as bar:
            digests = [Source(file.name, file.size, sources.sha256_of(file, bar.advance)) for file in files]
            made.read(bar)
        for file in files:
            if file.state() != before[file.where]:
                raise InputError(f"{file.where} was changed while it was read; import again when nothing writes to it")
        return made.write(store, tuple(digests))


@dataclass
class Import:
    """Rows on their way into a data set."""

    request: Request
    tables: Sequence[Table]
    schema: "pa.Schema"
    label: tuple[str, ...]
    directory: Path

    def __post_init__(self) -> None:
        """Begin with nothing."""
        size = sum(table.size for table in self.tables)
        roles = self.request.roles | dict.fromkeys(self.label, "label")
        self.roles: Mapping[str, str] = {name: roles.get(name, "feature") for name in self.schema.names}
        self.features = [name for name, role in self.roles.items() if role == "feature"]
        if not self.features:
            raise InputError("there are no features beside the columns that were named; name fewer, or keep more")
        self.hashed = list(self.request.key) or self.features
        needed = {name: REFUSED[role] for name, role in self.roles.items() if role in REFUSED}
        self.facts = Facts(self.schema, self.roles, needed)
        self.target = Target(self.request, self.label, self.schema, len(division.NAMES))
        self.assign = division.by_hash(self.request.shares)
        self.division = Division("hash", tuple(self.request.key), dict(self.request.shares))
        self.spill = Spill(self.directory, self.schema, len(division.NAMES), size, max(LEAST, MOST * size))

    def read(self, bar: Progress) -> None:
        """Take in all rows. Raises InputError where they cannot be used."""
        for table in self.tables:
            row = 0
            for batch in table.batches(self.schema):
                rows = columns.normal(batch, self.schema, table.where)
                self._take(rows, table, row)
                row += len(rows)
            bar.advance(table.size)
        self.spill.flush()
        self.facts.check()
        if not sum(self.spill.rows):
            raise InputError("the sources have no rows; get them anew")

    def _take(self, rows: "pa.RecordBatch", table: Table, at: int) -> None:
        features = row_hashes(rows, self.features)
        hashes = row_hashes(rows, self.hashed) if self.request.key else features
        split = self.assign(rows, hashes, table.split, table.where)
        self.facts.add(rows, table.where, at)
        self.target.add(rows, split, table.where, at)
        self.spill.add(rows, split, features, row_hashes(rows, self.schema.names))

    def write(self, store: Objects, given: tuple[Source, ...]) -> str:
        """Store the parts, then the manifest; return the data set's URI."""
        task = self.target.task()
        twins = parts.Twins(self.label)
        made = {
            name: parts.make(self.spill, name, self.directory, self.request.shard_rows, twins)
            for name in division.NAMES
        }
        manifest = DataManifest(
            name=self.request.name,
            digest="",
            task=task,
            columns=self.facts.columns(),
            splits={name: found.split for name, found in made.items()},
            division=self.division,
            created_at=now(),
            sources=given,
        )
        manifest.digest = data_digest(manifest)
        prefix = data_prefix(manifest.name, manifest.digest)
        for found in made.values():
            for path, sums in found.files:
                _store(store, f"{prefix}/{path.name}", path, sums)
        if store.size(f"{prefix}/{DATA_MANIFEST}") is None:
            store.create(f"{prefix}/{DATA_MANIFEST}", encode(manifest))
        rows = ", ".join(f"{name} {found.split.rows}" for name, found in made.items())
        log.info("%s: rows %s; digest %s", manifest.name, rows, manifest.digest)
        return f"{store.url.rstrip('/')}/{prefix}"


def _store(store: Objects, key: str, path: Path, sums: Any) -> None:
    """Store a part; one that is there and was altered is written anew."""
    import hashlib

    if store.upload(key, path, sums=sums):
        return
    digest = hashlib.sha256()
    for piece in store.stream(key):
        digest.update(piece)
    if digest.hexdigest() != sums.sha256:
        log.warning("%s/%s was altered; it is written anew", store.url, key)
        store.delete(key)
        store.upload(key, path, sums=sums)
