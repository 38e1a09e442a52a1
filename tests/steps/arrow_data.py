"""Data sets of manifest v2 that tests write: Arrow shards of tables, and what validation says of them."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from colchis_steps._data.validating.holding import described
from colchis_steps._formats.data import Column, DataManifest, Division, Shard, Split, Task, data_digest
from colchis_steps._formats.documents import encode
from colchis_steps._formats.profiles import DataReport
from colchis_steps._formats.runs import Check, StepResult
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.validate_data import main

CLASSES = Task("classification", ("label",), ("no", "yes"))


def columns_of(table: pa.Table, roles: Mapping[str, str], **changes: Any) -> tuple[Column, ...]:
    """Return the columns of a table: nullable where it has nulls, a label of the name ``label``."""
    found = []
    for field in table.schema:
        name, shape = described(field.type)
        role = roles.get(field.name, "label" if field.name == "label" else "feature")
        column = Column(field.name, name, shape, role, nullable=bool(table[field.name].null_count))
        found.append(msgspec.structs.replace(column, **changes.get(field.name, {})))
    return tuple(found)


def shard_of(directory: Path, name: str, table: pa.Table, kind: str = "arrow") -> Shard:
    """Write a table as a shard."""
    buffer = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, buffer)
    else:
        with pa.ipc.new_stream(buffer, table.schema) as stream:
            stream.write_table(table)
    content = buffer.getvalue()
    (directory / f"{name}.{kind}").write_bytes(content)
    return Shard(f"{name}.{kind}", len(table), len(content), hashlib.sha256(content).hexdigest(), kind)


def data_set(
    directory: Path,
    tables: Mapping[str, pa.Table],
    task: Task = CLASSES,
    *,
    roles: Mapping[str, str] | None = None,
    kind: str = "arrow",
    **changes: Any,
) -> Path:
    """Write a data set with a shard a split; ``changes`` are those of the columns of the first table."""
    directory.mkdir(parents=True)
    splits = {name: Split(len(table), "", (shard_of(directory, name, table, kind),)) for name, table in tables.items()}
    columns = columns_of(next(iter(tables.values())), roles or {}, **changes)
    manifest = DataManifest("tiny", "", task, columns, splits, Division("given"), "2026-01-01T00:00:00Z")
    manifest.digest = data_digest(manifest)
    (directory / "manifest.json").write_bytes(encode(manifest))
    return directory


def validated(directory: Path, *flags: str, run: str = "r") -> tuple[int, StepResult, DataReport | None]:
    """Validate; return the exit code, the record and its report, which is not there where it did not come so far."""
    store = f"file://{directory.parent}/store"
    code = main([f"--store={store}", f"--run={run}", f"--data=file://{directory}", *flags])
    result = read_document(open_store(store), f"runs/{run}/validate_data.json", StepResult)
    return code, result, msgspec.convert(result.details, DataReport) if result.details else None


def broken(report: DataReport | None) -> dict[str, Check]:
    """Return the checks that do not hold, by their rules."""
    assert report
    return {check.rule: check for check in report.checks if not check.passed}
