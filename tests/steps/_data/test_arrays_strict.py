"""What no column may hold, said with its name, a count and the first row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from colchis_steps._data.arrays import arrays
from colchis_steps._data.targets import labels
from colchis_steps._formats.data import Column, Task
from colchis_steps._step.errors import InputError

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "column", "sentence"),
    [
        (
            pa.array([1.0, None, None]),
            Column("x", "double"),
            "column 'x' of here has 2 nulls, the first in row 1, and may",
        ),
        (pa.array([1.0, NAN]), Column("x", "double"), "has 1 NaN, the first in row 1, and takes finite numbers; fill"),
        (
            pa.array([1.0, INF, -INF]),
            Column("x", "double", nullable=True),
            "has 2 values such as inf, the first in row 1",
        ),
        (pa.array(["a", None]), Column("x", "string"), "has 1 null, the first in row 1, and may have none; fill them"),
        (
            pa.array([1, None]),
            Column("x", "int64", (), "label", True),
            "has 1 null, the first in row 1, and is the label",
        ),
        (
            pa.array([1.0, None]),
            Column("x", "double", (), "weight", True),
            "the first in row 1, and is the weight; leave",
        ),
        (pa.array([1.0, -0.5]), Column("x", "double", (), "weight"), "has 1 value such as -0.5, the first in row 1"),
        (
            pa.array([[1.0, 2.0], [3.0, INF]], pa.list_(pa.float64(), 2)),
            Column("x", "double", (2,)),
            "the first in row 1",
        ),
    ],
)
def test_what_no_column_may_hold_is_said(values: Any, column: Column, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        arrays(pa.table({"x": values}), [column], "here")
    assert sentence in str(error.value)


def test_nulls_of_a_nullable_column_are_nan() -> None:
    found = arrays(pa.table({"x": [1.0, None]}), [Column("x", "double", nullable=True)], "here")["x"]
    assert np.isnan(found[1])
    assert not np.isnan(found[0])


def test_a_sequences_end_has_no_label() -> None:
    column = Column("tags", "string", (-1,), "label", longest=3)
    rows = arrays(pa.table({"tags": pa.array([["b"], ["a", "b", "a"]])}), [column], "here")
    found = labels(Task("sequence", ("tags",), ("a", "b")), {"tags": column}, rows, "here")
    assert found.tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(InputError, match="label 'b' in row 0 is none of the classes a"):
        labels(Task("sequence", ("tags",), ("a",)), {"tags": column}, rows, "here")
