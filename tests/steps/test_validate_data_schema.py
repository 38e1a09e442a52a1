"""A schema.yaml is held strictly, beside the data, at a place of its own, or as it was inferred."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from tests.steps.arrow_data import broken, data_set, validated

from colchis_steps import infer_data
from colchis_steps._formats.data import Task

DAYS = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as Arrow has it


def table(first: int, rows: int = 40) -> pa.Table:
    numbers = range(first, first + rows)
    return pa.table(
        {
            "id": [f"AB-{number:04}" for number in numbers],
            "length": [number / 2 if number % 10 else None for number in numbers],
            "count": pa.array([number % 7 for number in numbers], pa.int32()),
            "island": [("Biscoe", "Dream")[number % 2] for number in numbers],
            "when": [DAYS + dt.timedelta(days=number) for number in numbers],
            "tags": [["a"] * (number % 3) for number in numbers],
            "label": [("no", "yes")[number % 2] for number in numbers],
        }
    )


ROLES = {"id": "key", "when": "time"}
SPLITS = {"train": table(0), "eval": table(40), "test": table(80)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return data_set(tmp_path / "data/tiny/1", SPLITS, roles=ROLES)


def held(data: Path, text: str) -> tuple[int, str, dict[str, Any]]:
    (data.parent.parent / "schema.yaml").write_text(text)
    code, result, report = validated(data, f"--schema=file://{data.parent.parent}/schema.yaml")
    return code, result.message, broken(report) if report else {}


GOOD = {
    "type": "length: {type: double, nullable: true, max_missing: 0.1}",
    "range": "count: {min: 0, max: 6}",
    "values": "island: {values: [Biscoe, Dream]}",
    "numbers": "count: {values: [0, 1, 2, 3, 4, 5, 6]}",
    "pattern": "id: {pattern: '[A-Z]{2}-[0-9]{4}', min_length: 7, max_length: 7, unique: true}",
    "dates": "when: {min: 2026-01-01, max: 2026-12-31}",
    "shape": "tags: {type: string, shape: [-1], values: [a]}",
    "nothing": "island: {}",
}
BAD = {
    "nullable": (
        "length: {nullable: false}",
        "has a null in row 0 where the schema says nullable: false (4 such values)",
    ),
    "max_missing": ("length: {max_missing: 0.05}", "10.00% of column 'length' is missing in train where the schema"),
    "min": ("count: {min: 1}", "column 'count' of train.arrow has 0 in row 0 where the schema says min: 1 (6 such"),
    "max": ("length: {max: 19}", "has 19.5 in row 39 where the schema says max: 19 (1 such values)"),
    "values": ("island: {values: [Biscoe]}", "has 'Dream' in row 1 where the schema says values: [Biscoe] (20 such"),
    "numbers": ("count: {values: [0, 1]}", "has 2 in row 2 where the schema says values: [0, 1]"),
    "pattern": ("id: {pattern: 'AB-000.'}", "has 'AB-0010' in row 10 where the schema says pattern: AB-000. (30 such"),
    "min_length": ("id: {min_length: 8}", "has 'AB-0000' in row 0 where the schema says min_length: 8"),
    "max_length": ("id: {max_length: 6}", "where the schema says max_length: 6 (40 such values); correct the rows"),
    "unique": ("island: {unique: true}", "118 rows of column 'island' repeat a value where the schema says unique"),
    "type": ("count: {type: int64}", "column 'count' has the type int32 where the schema says int64; import it so"),
    "shape": ("tags: {shape: [3]}", "column 'tags' has the shape [-1] where the schema says [3]"),
    "date": ("when: {min: 2026-01-02}", "in row 0 where the schema says min: 2026-01-02 (1 such values)"),
    "ragged": (
        "tags: {values: [b]}",
        "column 'tags' of train.arrow has 'a' in row 1 where the schema says values: [b]",
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_rules_that_hold(case: str, data: Path) -> None:
    assert held(data, f"columns:\n  {GOOD[case]}\n")[:1] == (0,)


@pytest.mark.parametrize("case", BAD)
def test_a_rule_that_does_not_hold_is_told_with_the_first_row(case: str, data: Path) -> None:
    rule, words = BAD[case]
    code, message, _ = held(data, f"columns:\n  {rule}\n")
    assert code == 65
    assert words in message


@pytest.mark.parametrize(("severity", "code"), [("error", 65), ("warn", 0), ("info", 0)])
def test_a_rule_has_a_severity(severity: str, code: int, data: Path) -> None:
    found = held(data, f"columns:\n  count: {{min: {{limit: 1, severity: {severity}}}}}\n")
    assert found[0] == code
    assert found[2]["schema: count: min 1"].severity == severity


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("columns: [", "is not YAML"),
        ("- a", "not a mapping of names"),
        ("column: {}", "unknown field 'column'; did you mean 'columns'?"),
        ("columns: {iland: {}}", "unknown column 'iland'; did you mean 'island'?"),
        ("columns: {island: {minn: 1}}", "column 'island' has the unknown rule 'minn'; did you mean 'min'?"),
        ("columns: {island: {min: 1}}", "column 'island': min does not go with string"),
        ("columns: {count: {pattern: a}}", "column 'count': pattern goes with text, and the column is int32"),
        ("columns: {id: {pattern: '('}}", "column 'id': pattern is no regular expression of RE2"),
        ("columns: {count: {min: many}}", "column 'count': min is 'many'; give a number or a date"),
        ("columns: {count: {min: .inf}}", "min does not go with int32, or is no number"),
        ("columns: {count: {nullable: 1}}", "nullable is '1'; give true or false"),
        ("columns: {count: {unique: {severity: warn}}}", "unique lacks its limit"),
        ("columns: {count: {min: {limit: 1, severity: fatal}}}", "the severity 'fatal'; give error, warn, info"),
        ("columns: {count: {values: [[1]]}}", "give plain values"),
        ("columns: {count: {min: 1, min: 2}}", "it names min twice"),
        ("columns: {count: &a {min: 1}, length: *a}", "it has an alias"),
        ("rules: {min_row: 1}", "the unknown rule 'min_row'"),
        ("rules: {min_rows: -1}", "give a number of at least 0"),
        ("freshness: {column: island, limit: 3d}", "column 'island' is string, not a date or a time"),
        ("freshness: {column: when, limit: soon}", "limit is 'soon'; give minutes, hours, days or weeks"),
        ("freshness: {column: wen, limit: 3d}", "unknown column 'wen'; did you mean 'when'?"),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused(text: str, words: str, data: Path) -> None:
    code, message, _ = held(data, text)
    assert code == 65
    assert words in message


def test_old_data_are_told(data: Path) -> None:
    code, message, _ = held(data, "freshness: {column: when, limit: 1h}")
    newest = DAYS + dt.timedelta(days=119)
    old = dt.datetime.now(dt.UTC).replace(tzinfo=None) - newest > dt.timedelta(hours=1)
    assert (code, "the newest row by 'when' is" in message) == ((65, True) if old else (0, False))
    assert held(data, "freshness: {column: when, limit: 999999d}")[0] == 0


def test_a_schema_is_found_beside_the_data_or_its_name_and_changes_no_digest(data: Path) -> None:
    digest = validated(data)[1].outputs["digest"]
    (data.parent / "schema.yaml").write_text("columns: {count: {min: 1}}")
    code, result, report = validated(data)
    assert (code, report is not None and report.schema[:7]) == (65, "sha256:")
    (data / "schema.yaml").write_text("rules: {min_rows: 41}")
    code, result, _ = validated(data)
    assert (code, result.outputs["digest"]) == (65, digest)
    assert "split 'train' has 40 rows where min_rows says 41" in result.message
    assert validated(data, '--rules={"min_rows": 40}')[0] == 0


def test_a_schema_is_given_by_its_path(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("rules: {min_rows: 1000}")
    code, result, _ = validated(data, "--schema=mine.yaml")
    assert code == 65
    assert "1000" in result.message


def test_a_schema_that_is_not_there_is_refused(data: Path) -> None:
    code, result, _ = validated(data, f"--schema=file://{data}/none.yaml")
    assert (code, "there is no schema at" in result.message) == (65, True)


def test_what_is_inferred_holds_and_names_what_was_seen(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert infer_data.main([data.as_uri()]) == 0
    text = capsys.readouterr().out
    found = yaml.safe_load(text)
    assert found["columns"]["island"] == {"type": "string", "nullable": False, "values": ["Biscoe", "Dream"]}
    assert found["columns"]["id"]["unique"] is True
    assert found["columns"]["id"]["pattern"]["limit"] == "AB\\-[0-9]{4}"
    assert found["columns"]["count"]["max"] == {"limit": 6, "severity": "warn"}
    assert found["columns"]["when"]["min"]["limit"] == DAYS
    assert found["columns"]["tags"]["shape"] == [-1]
    assert found["columns"]["label"]["values"] == ["no", "yes"]
    assert found["rules"]["min_rows"] == 20
    assert found["freshness"]["column"] == "when"
    code, message, odd = held(data, text)
    assert (code, odd) == (0, {}), message


def test_an_edited_schema_is_checked_and_kept_with_the_data(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = data.parent.parent / "mine.yaml"
    file.write_text("columns: {cuont: {min: 1}}")
    store = f"--store=file://{data.parent.parent.parent}"
    assert infer_data.main(["tiny", store, f"--keep={file}"]) == 65
    assert "did you mean 'count'?" in caplog.text
    file.write_text("columns: {count: {min: 1}}")
    assert infer_data.main(["tiny", store, f"--keep={file}"]) == 0
    assert (data.parent / "schema.yaml").read_text() == file.read_text()
    assert validated(data)[0] == 65
    assert infer_data.main(["tiny", store, f"--keep={file}.none"]) == 65


def test_data_without_labels_or_classes_have_a_schema_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = {name: pa.table({"x": [1.5, 2.5], "y": [1.0, 2.0]}) for name in ("train", "eval", "test")}
    data = data_set(tmp_path / "data/tiny/1", tables, Task("none"))
    assert infer_data.main([data.as_uri()]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["columns"]["x"]["min"]["limit"] == 1.5
