"""The one pass: each shard's batches, looked at column by column, held against the rules, measured and hashed."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from colchis_steps._data.hashing import combined
from colchis_steps._data.validating.classes import add_classes, no_rows
from colchis_steps._data.validating.contract import Contract
from colchis_steps._data.validating.faults import Faults
from colchis_steps._data.validating.holding import fits, hold
from colchis_steps._data.validating.images import bad_images
from colchis_steps._data.validating.looking import Look, look
from colchis_steps._data.validating.measuring import Measured, measured
from colchis_steps._data.validating.reading import batches
from colchis_steps._data.validating.spilling import Alike, Spill
from colchis_steps._data.windows import LEAST, edges
from colchis_steps._formats.data import RAGGED, DataManifest, Shard
from colchis_steps._store.api import Objects

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Edges = Mapping[str, Mapping[str, tuple[float, ...]]]  # of a reference's histograms, by split and column
WINDOWS = 1 << 20  # rows of a split whose windows are compared


@dataclass
class Split:
    """What the pass has found of a split."""

    rows: int = 0
    columns: dict[str, Measured] = field(default_factory=dict)
    classes: dict[str, int] | None = None  # rows a class, where the task has classes
    edges: "list[Array]" = field(default_factory=list)


@dataclass
class Scanned:
    """What the pass has found; splits have the numbers of their order in ``alike``."""

    splits: dict[str, Split]
    faults: Faults
    alike: Alike
    keys: Alike
    groups: Alike
    unique: dict[str, Alike]
    images: int = 0  # that cannot be decoded
    image: str = ""  # the first


@dataclass
class _Pass:
    """What one pass needs: the hashes of rows go to ``rows``, ``keys``, ``groups`` and each column's to ``unique``."""

    manifest: DataManifest
    contract: Contract
    found: Scanned
    rows: Spill
    keys: Spill
    groups: Spill
    unique: dict[str, Spill]

    def take(self, number: int, into: Split, batch: Any, where: str, before: int) -> None:
        """Take a batch of the split that has the number; ``before`` are the rows of its file that came earlier."""
        looks: dict[str, Look] = {}
        for column in self.manifest.columns:
            if batch.schema.names.count(column.name) != 1:
                continue
            values = batch.column(column.name)
            if not fits(column, values.type, where, self.found.faults):
                continue
            seen = looks[column.name] = look(column, values)
            hold(seen, where, before, self.found.faults)
            self.contract.hold(seen, where, before, self.found.faults)
            into.columns[column.name].add(seen)
            if column.media.startswith("image/"):
                count, reason = bad_images(seen, where, before)
                self.found.images += count
                self.found.image = self.found.image or reason
        self._hash(number, into, looks)
        if into.classes is not None:
            add_classes(self.manifest.task, self.manifest.by_name, looks, into.classes)
        into.rows += batch.num_rows

    def _hash(self, number: int, into: Split, looks: Mapping[str, Look]) -> None:
        def hashes(columns: Iterable[str]) -> "Array | None":
            names = list(columns)
            if not names or not looks.keys() >= set(names):
                return None
            return combined({name: looks[name].hashes for name in names}, len(looks[names[0]].values))

        of_role = {
            role: [column.name for column in self.manifest.of_role(role)] for role in ("feature", "key", "group")
        }
        features = hashes(of_role["feature"])
        if features is not None:
            self.rows.add(number, into.rows, features, hashes(self.manifest.task.target))
            _windows(looks, of_role["feature"], into)
        for spill, role in ((self.keys, "key"), (self.groups, "group")):
            if (found := hashes(of_role[role])) is not None:
                spill.add(number, into.rows, found)
        for name, spill in self.unique.items():
            if name in looks:
                kept = looks[name].values.is_valid().to_numpy(zero_copy_only=False)
                spill.add(number, into.rows, looks[name].hashes[kept])


def _windows(looks: Mapping[str, Look], features: Iterable[str], into: Split) -> None:
    """Keep the edges of rows that may be windows of a series."""
    arrays = {}
    for name in features:
        shape, seen = looks[name].column.shape, looks[name]
        if shape and RAGGED not in shape and shape[0] >= LEAST and seen.numbers is not None and not seen.missing:
            arrays[name] = seen.numbers.reshape(-1, *shape)
    if arrays and into.rows < WINDOWS:
        into.edges.append(edges(arrays))


def scan(
    store: Objects,
    manifest: DataManifest,
    contract: Contract,
    edges_of: Edges,
    done: Callable[[Shard], object] = lambda _shard: None,
) -> Scanned:
    """Read every shard once; ``done`` is called after each.

    Raises:
        InputError: there is no room for hashes. TransientError: the store is away.
    """
    splits = {name: Split(classes=no_rows(manifest.task)) for name in manifest.splits}
    found = Scanned(splits, Faults(), Alike(), Alike(), Alike(), {})
    with ExitStack() as stack:
        unique = {name: stack.enter_context(Spill()) for name in contract.unique}
        spills = [stack.enter_context(Spill()) for _ in range(3)]
        rows, keys, groups = spills
        taking = _Pass(manifest, contract, found, rows, keys, groups, unique)
        for number, (name, split) in enumerate(manifest.splits.items()):
            into = splits[name]
            for column in manifest.columns:
                classes = len(manifest.task.classes) if column.role == "label" else 0
                into.columns[column.name] = measured(column, classes, edges_of.get(name, {}).get(column.name))
            for shard in split.parts:
                first = into.rows
                for batch in batches(store, manifest, shard, found.faults):
                    taking.take(number, into, batch, shard.path, into.rows - first)
                done(shard)
        _release()
        found.alike, found.keys, found.groups = (spill.alike(len(splits)) for spill in spills)
        found.unique = {name: spill.alike(len(splits)) for name, spill in unique.items()}
    return found


def _release() -> None:
    """Release what Arrow holds of the batches, before hashes are sorted."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
