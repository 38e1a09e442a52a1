"""Manifests of data sets as releases before manifest v2 wrote them; they stay readable."""

import hashlib
import json
import math
from collections.abc import Iterable
from itertools import product
from typing import Any

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


def stated_digests(manifest: bytes) -> set[str]:
    """Return the digests that a manifest may have by what it says, with fields of a newer release in its parts.

    Earlier releases wrote null for a bound of a column that is not finite, and had the bound itself in the digest.
    """
    everything = msgspec.json.decode(manifest)
    stated = {field: everything[field] for field in ("name", "label", "columns", "splits")}
    found = {canonical_digest(stated)}
    for low, high in product((math.nan, -math.inf), (math.nan, math.inf)):
        columns = [_with_bounds(column, low, high) for column in stated["columns"]]
        text = json.dumps({**stated, "columns": columns}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        found.add(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")
    return found


def _with_bounds(column: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    if not column["dtype"].startswith("float"):
        return column
    bounds = {"minimum": low, "maximum": high}
    return column | {name: bound for name, bound in bounds.items() if column.get(name, 0.0) is None}
