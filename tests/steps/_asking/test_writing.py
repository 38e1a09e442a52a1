"""Rows and answers on stdout and in files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colchis_steps._asking.writing import check_target, writing
from colchis_steps._step.errors import InputError

BATCH = pa.record_batch({"name": ["é", "b"], "size": [1.0, None]})
ANSWERS = [{"prediction": ["x", "y"], "value": 0.5}, {"prediction": [], "value": 12345.678}]


def test_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with writing(None) as write:
        write(BATCH, ANSWERS)
        write(BATCH, ANSWERS)
    assert capsys.readouterr().out.splitlines()[:4] == [
        "row  prediction  value",
        "0    x, y        0.5",
        "1                1.235e+04",
        "2    x, y        0.5",
    ]


def test_files_have_the_rows_and_the_answers(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        with writing(tmp_path / name) as write:
            write(BATCH, ANSWERS)
            write(BATCH, ANSWERS)
    assert (tmp_path / "a.csv").read_text().splitlines()[:3] == [
        "name,size,prediction,value",
        'é,1.0,"[""x"", ""y""]",0.5',
        "b,,[],12345.678",
    ]
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[1] == {"name": "b", "size": None, "prediction": [], "value": 12345.678}
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == lines


def test_vectors_and_bytes_are_written_and_vectors_are_printed_short(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[dict[str, Any]] = [
        {"v": [0.123456, [1.0, None]], "raw": {"b64": "/w=="}, "n": None},
        {"v": [2.0, []], "raw": "é", "n": None},
    ]
    with writing(None) as write:
        write(BATCH, answers)
    row = capsys.readouterr().out.splitlines()[1]
    assert "0.1235, 1," in row
    assert '{"b64": "/w=="}' in row
    told = [{"raw": answer["raw"], "n": answer["n"]} for answer in answers]
    with writing(tmp_path / "a.parquet") as write:
        write(BATCH, told)
        write(BATCH, [{"raw": "b", "n": 0.5}] * 2)
    found = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert found["raw"] == ['{"b64": "/w=="}', "é", "b", "b"]
    assert found["n"] == [None, None, 0.5, 0.5]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writing(tmp_path / "a.csv"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"end its name with \.csv, \.jsonl, \.parquet"):
        check_target(tmp_path / "a.xlsx")
