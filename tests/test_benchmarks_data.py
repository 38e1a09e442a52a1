"""The race `data`: what it writes, and what it counts, on a table of a few MiB."""

from pathlib import Path

import pytest
from benchmarks import _data_input, data
from benchmarks._data_rows import COLUMNS, batch, write_csv, write_data_set
from tests.steps.arrow_data import validated

from colchis_steps._data.validating.holding import described


def test_the_table_is_that_of_its_manifest() -> None:
    rows = batch(0, 1000, 0)
    assert [(column.name, column.type, column.shape) for column in COLUMNS] == [
        (field.name, *described(field.type)) for field in rows.schema
    ]
    assert rows.equals(batch(0, 1000, 0))


@pytest.mark.parametrize("one_group", [False, True])
def test_the_data_set_passes_all_rules(one_group: bool, tmp_path: Path) -> None:
    rows = write_data_set(tmp_path / "data", 1, one_group=one_group)
    code, result, report = validated(tmp_path / "data")
    assert code == 0, result.message
    assert report
    assert [check.rule for check in report.checks if not check.passed] == []
    assert sum(split.rows for split in report.splits.values()) == rows


@pytest.mark.servers
def test_a_contender_that_fails_ends_the_race(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", 0.1)
    with pytest.raises(SystemExit, match=r"ended with \d+"):
        data.contender("validate", data.OURS, tmp_path / "rows.csv", tmp_path)()


@pytest.mark.tensorflow
def test_all_readers_read_the_same_rows(tmp_path: Path) -> None:
    _data_input.prepare(tmp_path / "input", 1)
    found = {_data_input.read(kind, tmp_path / "input") for kind in ("arrow", "npz")}
    assert found | {_data_input.tf_data(tmp_path / "input")} == {2 * _data_input.ROWS}
