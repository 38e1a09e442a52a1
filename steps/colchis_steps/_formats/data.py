"""Documents of a data set: its manifest, shards and columns."""

from collections.abc import Iterable

import msgspec

from colchis_steps._formats.documents import Document, Part, canonical_digest


class Column(Part):
    """One column of a data set: ``shape`` is one row's, without the leading row axis."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    classes: tuple[str, ...] | None = None  # of a label: the name of class 0, 1, …


class Shard(Part):
    """One file of a split, beside the manifest: an npz whose arrays are the columns."""

    path: str
    rows: int
    size: int
    sha256: str


class DataManifest(Document, tag="colchis.dev/data/v1"):
    """A data set: its splits (train, eval, test), its schema and where it came from; written last, as manifest.json."""

    name: str
    digest: str  # of everything else here but ``source`` and ``created_at``
    label: str
    columns: tuple[Column, ...]
    splits: dict[str, tuple[Shard, ...]]
    source: str
    created_at: str


def data_digest(name: str, label: str, columns: Iterable[Column], splits: dict[str, tuple[Shard, ...]]) -> str:
    """Return the digest by which a data set is known."""
    return canonical_digest(
        msgspec.to_builtins({"name": name, "label": label, "columns": tuple(columns), "splits": splits})
    )


def stated_digest(manifest: bytes) -> str:
    """Return the digest of what a manifest says: as ``data_digest``, with fields of a newer release in its parts."""
    stated = msgspec.json.decode(manifest)
    return canonical_digest({field: stated[field] for field in ("name", "label", "columns", "splits")})
