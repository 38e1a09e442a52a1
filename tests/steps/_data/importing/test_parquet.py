"""Parquet: types that are kept, and files that are damaged."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.steps.imports import Importer, read


def table(count: int = 90) -> pa.Table:
    return pa.table(
        {
            "x": pa.array([None if i == 7 else float("nan") if i == 8 else i / 2 for i in range(count)]),
            "w": pa.array([f"w{i % 4}" for i in range(count)]).dictionary_encode(),
            "l": pa.array([f"l{i}" for i in range(count)], pa.large_string()),
            "v": pa.array([[i, i + 1] for i in range(count)], pa.list_(pa.int32(), 2)),
            "r": pa.array([list(range(i % 3)) for i in range(count)], pa.list_(pa.int64())),
            "t": pa.array(range(count), pa.timestamp("us")),
            "y": pa.array([i % 2 == 0 for i in range(count)]),
        }
    )


def put(directory: Path, found: pa.Table, name: str = "t.parquet") -> Path:
    pq.write_table(found, directory / name, row_group_size=40)
    return directory / name


def test_types_are_kept(importer: Importer) -> None:
    data = importer.does(put(importer.directory, table()), "--label=y", "--time=t", "--split-by=hash")
    assert [(c.name, c.type, c.shape, c.role, c.nullable, c.longest) for c in data.manifest.columns] == [
        ("x", "double", (), "feature", True, 0),
        ("w", "string", (), "feature", False, 0),
        ("l", "string", (), "feature", False, 0),
        ("v", "int32", (2,), "feature", False, 0),
        ("r", "int64", (-1,), "feature", False, 2),
        ("t", "timestamp[us]", (), "time", False, 0),
        ("y", "bool", (), "label", False, 0),
    ]
    assert data.manifest.task.classes == ("false", "true")
    found = read(data)
    order = np.argsort(found["t"])
    assert np.isnan(found["x"][order][[7, 8]]).all()
    assert found["v"][order].tolist() == [[i, i + 1] for i in range(90)]
    assert found["r__mask"][order].sum(1).tolist() == [i % 3 for i in range(90)]
    assert found["l"][order].tolist() == [f"l{i}" for i in range(90)]


def test_damage_is_told(importer: Importer) -> None:
    path = put(importer.directory, table())
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    assert "t.parquet is damaged or truncated" in importer.refuses(path, "--label=y")
    path.write_bytes(b"PAR1" + bytes(40) + content[44:])
    assert "t.parquet is damaged or truncated" in importer.refuses(path, "--label=y")


def test_no_rows_and_columns_that_no_model_takes_are_refused(importer: Importer) -> None:
    assert "t.parquet has no rows" in importer.refuses(put(importer.directory, table().slice(0, 0)), "--label=y")
    odd = table().append_column("s", pa.array([{"a": 1}] * 90))
    sentence = importer.refuses(put(importer.directory, odd), "--label=y")
    assert "column 's' is struct<a: int64>, which no model takes" in sentence
    importer.does(put(importer.directory, odd), "--label=y", "--columns=x,w")
