"""Data sets of any task, for tests: manifests of v2 with Arrow shards, made of plain columns."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from colchis_steps._formats.data import Column, DataManifest, Division, Shard, Split, Task, data_digest
from colchis_steps._formats.documents import encode


def write_set(directory: Path, rows: Mapping[str, Any], task: Task, *, parts: int = 2, **columns: Any) -> str:
    """Write the rows as each of the splits, in ``parts`` shards; ``columns`` has what a column differs in; give a URI.

    Columns of the task's target are labels; others are features unless ``columns`` gives them a role.
    """
    directory.mkdir(parents=True)
    table = pa.table(dict(rows))
    step = -(-table.num_rows // parts)
    splits = {}
    for name in ("train", "eval", "test"):
        shards = []
        for i in range(-(-table.num_rows // step)):
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(part := table.slice(i * step, step))
            content = sink.getvalue()
            path = f"{name}-{i:05}.arrow"
            (directory / path).write_bytes(content)
            shards.append(Shard(path, part.num_rows, len(content), hashlib.sha256(content).hexdigest()))
        splits[name] = Split(table.num_rows, "", tuple(shards))
    found = tuple(_column(field, task, columns.get(field.name, {})) for field in table.schema)
    made = DataManifest(directory.name, "", task, found, splits, Division("given"), "2026-01-01T00:00:00Z")
    made = msgspec.structs.replace(made, digest=data_digest(made))
    (directory / "manifest.json").write_bytes(encode(made))
    return directory.as_uri()


def _column(field: "pa.Field[Any]", task: Task, more: Mapping[str, Any]) -> Column:
    kind, shape = field.type, []
    while pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        shape.append(kind.list_size if pa.types.is_fixed_size_list(kind) else -1)
        kind = kind.value_type
    role = "label" if field.name in task.target else "feature"
    return Column(**{"name": field.name, "type": str(kind), "shape": tuple(shape), "role": role, **more})
