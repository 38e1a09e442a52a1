"""Small data sets of manifest v2, in Arrow, for tests of training, evaluation and serving."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from colchis_steps._formats.data import RAGGED, Column, DataManifest, Division, Shard, Split, Task, data_digest
from colchis_steps._formats.documents import encode, now


def write_table(
    directory: Path,
    splits: Mapping[str, "pa.Table"],
    task: Task,
    *,
    roles: Mapping[str, str] | None = None,
    media: Mapping[str, str] | None = None,
    shard_rows: int = 1000,
) -> str:
    """Write a data set whose splits are these tables; give its URI. Columns that are no target are features."""
    directory.mkdir(parents=True)
    columns = tuple(_column(name, splits, task, roles or {}, media or {}) for name in splits["train"].column_names)
    parts = {
        name: tuple(
            _shard(directory, f"{name}-{at:05}.arrow", table.slice(at, shard_rows))
            for at in range(0, table.num_rows, shard_rows)
        )
        for name, table in splits.items()
    }
    found = {name: Split(splits[name].num_rows, "", shards) for name, shards in parts.items()}
    manifest = DataManifest("table", "", task, columns, found, Division("hash"), now())
    manifest = msgspec.structs.replace(manifest, digest=data_digest(manifest))
    (directory / "manifest.json").write_bytes(encode(manifest))
    return directory.as_uri()


def divided(table: "pa.Table", seed: int = 0) -> dict[str, "pa.Table"]:
    """Return seven tenths, one and a half and one and a half of the rows, shuffled."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(table.num_rows)
    cuts = [0, int(table.num_rows * 0.7), int(table.num_rows * 0.85), table.num_rows]
    return {name: table.take(order[cuts[i] : cuts[i + 1]]) for i, name in enumerate(("train", "eval", "test"))}


def _column(
    name: str, splits: Mapping[str, "pa.Table"], task: Task, roles: Mapping[str, str], media: Mapping[str, str]
) -> Column:
    tables = list(splits.values())
    kind, shape, longest = tables[0].schema.field(name).type, [], 0
    while pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        ragged = pa.types.is_list(kind)
        shape.append(RAGGED if ragged else kind.list_size)
        if ragged:
            longest = max(len(row or ()) for table in tables for row in table[name].to_pylist())
        kind = kind.value_type
    nulls = sum(table[name].null_count for table in tables)
    role = "label" if name in task.target else (roles.get(name, "feature"))
    return Column(name, str(kind), tuple(shape), role, nulls > 0, media.get(name, ""), None, None, longest)


def _shard(directory: Path, name: str, table: "pa.Table") -> Shard:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    content = buffer.getvalue()
    (directory / name).write_bytes(content)
    return Shard(name, table.num_rows, len(content), hashlib.sha256(content).hexdigest())


def penguins() -> tuple["pa.Table", Task]:
    """The 344 penguins of palmerpenguins: floats and text with nulls; what is asked is the species."""
    from palmerpenguins import load_penguins

    table = pa.Table.from_pandas(load_penguins(), preserve_index=False).drop(["year"])
    return table, Task("classification", ("species",), ("Adelie", "Chinstrap", "Gentoo"))


def diabetes() -> tuple["pa.Table", Task]:
    """The 442 patients of scikit-learn: ten floats; what is asked is a number."""
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    columns: dict[str, Any] = {name: found.data[:, i] for i, name in enumerate(found.feature_names)}
    return pa.table(columns | {"progression": found.target}), Task("regression", ("progression",))


def multilabel(count: int = 1200, seed: int = 0) -> tuple["pa.Table", Task]:
    """Generated rows, of which each has any of three labels, as a ragged column of text."""
    import numpy as np

    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 4)).astype(np.float32)
    names = ("large", "odd", "red")
    hot = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 0.5, x[:, 3] > -0.3], axis=1)
    tags: list[Sequence[str]] = [[names[i] for i in np.flatnonzero(row)] for row in hot]
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(4)}
    return pa.table(columns | {"tags": pa.array(tags, pa.list_(pa.string()))}), Task("multilabel", ("tags",), names)


def split_of(directory: Path, name: str) -> "pa.Table":
    """Read a split of a data set back."""
    parts = sorted(directory.glob(f"{name}-*.arrow"))
    return pa.concat_tables([pa.ipc.open_stream(part.read_bytes()).read_all() for part in parts])
