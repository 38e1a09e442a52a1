"""Rows of files as a server is asked them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colchis_steps._asking import rows
from colchis_steps._asking.served import Asked
from colchis_steps._step.errors import InputError

ASKED = Asked(
    "",
    {
        "zip": {"datatype": "BYTES"},
        "size": {"datatype": "FP64", "parameters": {"type": "double", "nullable": True}},
        "day": {"datatype": "INT64", "parameters": {"type": "date32[day]"}},
    },
)


def read(path: Path, asked: Asked = ASKED) -> list[dict[str, Any]]:
    return [row for _, part in rows.batches(str(path), asked, path.parent) for row in part]


def test_csv_has_the_types_that_the_model_takes(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("zip,size,day,label\n01234,1,2026-01-02,a\n99999,,2026-01-03,b\n")
    assert read(path) == [
        {"zip": "01234", "size": 1.0, "day": "2026-01-02"},
        {"zip": "99999", "size": None, "day": "2026-01-03"},
    ]


def test_a_column_may_be_absent_only_where_it_may_be_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("zip,day\n01234,2026-01-02\n")
    assert read(path) == [{"zip": "01234", "day": "2026-01-02"}]
    path.write_text("zip,size\n01234,1\n")
    with pytest.raises(InputError, match="lacks the column 'day', which the model takes; it has the columns zip, size"):
        read(path)


def test_parquet_keeps_lists_bytes_and_the_models_unit_of_time(tmp_path: Path) -> None:
    table = pa.table(
        {
            "at": pa.array([1_500_000], pa.timestamp("us")),
            "codes": pa.array([[1, 2]], pa.list_(pa.int64())),
            "picture": pa.array([b"\xff\x00"], pa.binary()),
            "score": pa.array([float("nan")]),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    asked = Asked(
        "",
        {
            "at": {"datatype": "INT64", "parameters": {"type": "timestamp[ms]"}},
            "codes": {"datatype": "INT64"},
            "picture": {"datatype": "BYTES"},
            "score": {"datatype": "FP64"},
        },
    )
    assert read(tmp_path / "rows.parquet", asked) == [
        {"at": 1500, "codes": [1, 2], "picture": {"b64": "/wA="}, "score": None}
    ]


def test_requests_are_of_bounded_size() -> None:
    big = [{"x": "a" * (rows.BYTES // 2)}] * 5
    assert [len(part) for part in rows.requests(big)] == [1] * 5
    assert [len(part) for part in rows.requests([{"x": 1}] * (rows.ROWS + 1))] == [rows.ROWS, 1]
