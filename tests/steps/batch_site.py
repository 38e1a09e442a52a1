"""A store with a published version, and data for it, for the tests of batch.

The model that stands in for a SavedModel says "yes" to who earns more than 100, or is a poet.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.steps.registered import put_on_record

from colchis_steps._content.storing import store_directory
from colchis_steps._formats.data import Column, DataManifest, Division, Shard, Split, Task, data_digest
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Manifest, tree_digest
from colchis_steps._store.api import Objects
from colchis_steps._tensors.tensor import Tensor

TASK = Task("classification", ("buys",), ("no", "yes"))
COLUMNS = (
    Column("id", "string", role="key"),
    Column("income", "double", nullable=True),
    Column("job", "string"),
    Column("buys", "string", role="label"),
)
JOBS = ("poet", "baker", "clerk")


def people(first: int, count: int) -> pa.Table:
    """Return rows with consecutive ids; every seventh has no income."""
    numbers = np.arange(first, first + count)
    return pa.table(
        {
            "id": [f"p{number}" for number in numbers],
            "income": [None if number % 7 == 0 else float(number) for number in numbers],
            "job": [JOBS[number % 3] for number in numbers],
            "buys": ["yes" if number % 4 == 1 else "no" for number in numbers],
        }
    )


def said(number: int) -> str:
    """Return what the model says of the person."""
    return "yes" if (number % 7 and number > 100) or JOBS[number % 3] == "poet" else "no"


class Stand:
    """Stands in for a SavedModel."""

    inputs: Mapping[str, Tensor] = {
        "income": Tensor("income", "float64", (None,)),
        "job": Tensor("job", "string", (None,)),
    }
    asked: list[int]  # rows of each call
    on_call: Callable[[int], object] = staticmethod(lambda call: None)

    def __init__(self, path: Path, allowed: Any) -> None:
        assert (path / "saved_model.pb").read_bytes() == b"graph"

    def predict(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        type(self).on_call(len(self.asked))
        yes = (arrays["income"] > 100) | (arrays["job"] == "poet")
        self.asked.append(len(yes))
        share = np.where(yes, 0.75, 0.25).astype(np.float32)
        return {"class": yes.astype(np.int64), "probability": np.stack([1 - share, share], axis=1)}


def write_shard(store: Objects, key: str, table: pa.Table) -> Shard:
    """Write a part of a data set beside its manifest."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    content = sink.getvalue().to_pybytes()
    store.write(key, content)
    return Shard(key.rsplit("/", 1)[1], table.num_rows, len(content), hashlib.sha256(content).hexdigest())


def write_people(store: Objects, sizes: Mapping[str, list[int]], columns: tuple[Column, ...] = COLUMNS) -> str:
    """Write a data set whose splits have parts of these sizes; return its URI."""
    splits, first = {}, 0
    for split, counts in sizes.items():
        parts = []
        for i, count in enumerate(counts):
            parts.append(write_shard(store, f"data/people/1/{split}-{i:05}.arrow", people(first, count)))
            first += count
        splits[split] = Split(first, "", tuple(parts))
    found = DataManifest("people", "", TASK, columns, splits, Division("given"), now())
    found.digest = data_digest(found)
    store.write("data/people/1/manifest.json", encode(found))
    return f"{store.url.rstrip('/')}/data/people/1"


def publish(store: Objects, directory: Path, data: str, version: int = 1, graph: bytes = b"graph") -> Manifest:
    """Put a version into the store, and let stable name it."""
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(graph)
    files = tuple(store_directory(store, directory).files)
    manifest = Manifest("buyers", version, "r", files, tree_digest(files), now())
    put_on_record(store, manifest, "registry/buyers@sha256:1", data=data)
    store.write("models/buyers/aliases/stable.json", encode(Alias("buyers", version, now())))
    return manifest


LENGTHS = (Column("scale", "float"), Column("text", "string"))  # the model "two" multiplies one by the other's length


def lengths(first: int, count: int) -> pa.Table:
    """Return rows for that model, with consecutive ids."""
    rows = np.arange(first, first + count)
    return pa.table({"id": rows, "scale": rows.astype(np.float32), "text": ["ä" * (n % 5) for n in rows.tolist()]})


def publish_lengths(store: Objects, directory: Path, splits: Mapping[str, Split] | None = None) -> str:
    """Put the model ``two`` of the directory into the store as version 1 of lengths; return the URI of its data."""
    data = DataManifest("texts", "", Task("none"), LENGTHS, dict(splits or {}), Division("given"), now())
    data.digest = data_digest(data)
    store.write("data/texts/1/manifest.json", encode(data))
    files = tuple(store_directory(store, directory).files)
    manifest = Manifest("lengths", 1, "r", files, tree_digest(files), now())
    put_on_record(store, manifest, "registry/lengths@sha256:1", data="data/texts/1")
    store.write("models/lengths/aliases/stable.json", encode(Alias("lengths", 1, now())))
    return f"{store.url.rstrip('/')}/data/texts/1"
