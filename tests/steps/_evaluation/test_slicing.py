"""Slices by columns: each row is in one slice of each column, whatever the values are."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.steps.task_data import write_set

from colchis_steps._data.dataset import open_data
from colchis_steps._evaluation.scoring import score
from colchis_steps._evaluation.slicing import MOST, cuts, parts_of
from colchis_steps._formats.data import Task

TASK = Task("regression", ("y",))


def sliced(directory: Path, values: Any, *, nullable: bool = False) -> dict[str, int]:
    """Return the rows by slice of a set whose column c has the values."""
    rows = {"x": np.arange(len(values), dtype=np.float32), "y": np.ones(len(values)), "c": values}
    data = open_data(write_set(directory, rows, TASK, c={"role": "slice", "nullable": nullable}))
    found, counts = cuts(data), dict[str, int]()
    for batch in data.batches("test", 7):
        others = {name: column[: batch.total] for name, column in batch.others.items()}
        for name, chosen in parts_of(found, others):
            counts[name] = counts.get(name, 0) + int(chosen.sum())
    return counts


def test_few_values_have_a_slice_each(tmp_path: Path) -> None:
    assert sliced(tmp_path / "text", ["north", "south", "north"]) == {"c=north": 2, "c=south": 1}
    assert sliced(tmp_path / "bool", [True, False, True]) == {"c=true": 2, "c=false": 1}
    assert sliced(tmp_path / "whole", [3, 3, 10]) == {"c=3": 2, "c=10": 1}
    assert sliced(tmp_path / "float", [3.0, 3.5, 3.0]) == {"c=3": 2, "c=3.5": 1}


def test_rare_values_share_one_and_nulls_have_one(tmp_path: Path) -> None:
    values: list[str | None] = [f"often {i}" for i in range(MOST) for _ in range(3)]
    values += [f"rare {i}" for i in range(30)] + [None] * 4
    found = sliced(tmp_path / "set", values, nullable=True)
    assert len(found) == MOST + 1
    assert found["c=(null)"] == 4
    assert found["c=often 1"] == 3
    assert found["c=(other)"] == 30 + 3
    assert sum(found.values()) == len(values)
    assert sliced(tmp_path / "nan", pa.array([1.0, None, 2.0]), nullable=True) == {"c=1": 1, "c=2": 1, "c=(null)": 1}


def test_many_numbers_are_cut_where_about_as_many_rows_are(tmp_path: Path) -> None:
    found = sliced(tmp_path / "set", np.arange(100.0))
    assert list(found) == ["c=0..19.8", "c=19.8..39.6", "c=39.6..59.4", "c=59.4..79.2", "c=79.2..99"]
    assert set(found.values()) == {20}


def test_dates_are_told_as_dates(tmp_path: Path) -> None:
    first = dt.date(2026, 1, 1)
    found = sliced(tmp_path / "days", [first + dt.timedelta(days=i) for i in range(101)])
    assert next(iter(found)) == "c=2026-01-01..2026-01-21"
    moments = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(101)]
    found = sliced(tmp_path / "moments", pa.array(moments, pa.timestamp("us", tz="UTC")))
    assert next(iter(found)) == "c=2026-01-01T00:00:00..2026-01-01T20:00:00"


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.none() | st.text(max_size=4), min_size=1, max_size=60)
    | st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=60)
    | st.lists(st.none() | st.integers(-5, 40), min_size=1, max_size=60)
)
def test_each_row_is_in_one_slice(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    if all(value is None for value in values):
        values = [*values, "a"]
    found = sliced(tmp_path_factory.mktemp("any") / "set", values, nullable=True)
    assert sum(found.values()) == len(values)
    nulls = sum(value is None for value in values)
    assert found.get("c=(null)", 0) == nulls


def test_a_slice_has_the_figures_of_its_rows_alone(tmp_path: Path) -> None:
    rows = {"y": [1.0, 2.0, 3.0, 4.0], "c": ["a", "b", "a", "b"], "w": [1.0, 3.0, 1.0, 1.0]}
    data = open_data(write_set(tmp_path / "set", rows, TASK, c={"role": "slice"}, w={"role": "weight"}))
    figures, _ = score(data, np.array([[1.0], [3.0], [4.0], [4.0]], np.float32), cuts(data))
    assert figures.flat()["mae"] == pytest.approx(4 / 6)
    assert figures.flat()["mae/c=a"] == pytest.approx(0.5)
    assert figures.flat()["mae/c=b"] == pytest.approx(0.75)
    assert figures.flat()["support/c=b"] == 2
