"""What the labels are for: guessed where that is safe, asked for where it is not."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.steps.imports import Importer, read

TWO = [0, 1] * 60
LISTS = pa.array([["a"] if i % 2 else ["a", "b"] if i % 3 else [] for i in range(120)])
VECTORS = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(240.0)), 2)
HOT = pa.FixedSizeListArray.from_arrays(pa.array(TWO * 2, pa.uint8()), 2)


def put(importer: Importer, **columns: Any) -> str:
    pq.write_table(pa.table({"x": range(120), **columns}), importer.directory / "t.parquet")
    return str(importer.directory / "t.parquet")


@pytest.mark.parametrize(
    ("columns", "flags", "kind", "classes"),
    [
        ({"y": ["b", "a"] * 60}, (), "classification", ("a", "b")),
        ({"y": ["b", "a"] * 60}, ("--classes=b,a",), "classification", ("b", "a")),
        ({"y": [True, False] * 60}, (), "classification", ("false", "true")),
        ({"y": [10, 9, 2] * 40}, (), "classification", ("2", "9", "10")),
        ({"y": range(120)}, ("--task=regression",), "regression", ()),
        ({"y": range(120)}, ("--task=classification",), "classification", tuple(map(str, range(120)))),
        ({"y": [0.0, 1.0] * 60}, ("--task=classification",), "classification", ("0", "1")),
        ({"y": [i / 7 for i in range(120)]}, (), "regression", ()),
        ({"y": [float(i) for i in range(120)]}, (), "regression", ()),
        ({"y": VECTORS}, (), "regression", ()),
        ({"y": LISTS}, (), "multilabel", ("a", "b")),
        ({"y": HOT}, ("--task=multilabel", "--classes=u,v"), "multilabel", ("u", "v")),
        ({"y": LISTS}, ("--task=sequence",), "sequence", ("a", "b")),
    ],
)
def test_a_task_by_its_labels(
    importer: Importer, columns: dict[str, Any], flags: tuple[str, ...], kind: str, classes: tuple[str, ...]
) -> None:
    data = importer.does(put(importer, **columns), "--label=y", *flags)
    assert (data.task.kind, data.task.classes) == (kind, classes)
    assert len(read(data)["y"]) == 120


def test_several_labels(importer: Importer) -> None:
    hot = importer.does(put(importer, a=TWO, b=[1, 1, 0] * 40), "--label=a,b")
    assert (hot.task.kind, hot.task.target, hot.classes) == ("multilabel", ("a", "b"), ("a", "b"))
    assert read(hot)["a"].shape == (120, 2)
    values = importer.does(put(importer, a=[i / 3 for i in range(120)], b=[i / 4 for i in range(120)]), "--label=a,b")
    assert (values.task.kind, read(values)["a"].shape) == ("regression", (120, 2))


@pytest.mark.parametrize(
    ("columns", "flags", "said"),
    [
        (
            {"y": range(120)},
            ("--label=y",),
            "'y' has more than 20 whole numbers, so the task is open",
        ),
        (
            {"y": [0.0, 1.0] * 60},
            ("--label=y",),
            "the label 'y' has 2 whole numbers, kept as fractions, so the task",
        ),
        ({"y": pa.array(range(120), pa.timestamp("s"))}, ("--label=y",), "cannot be the label: a label is a number"),
        ({"y": ["a"] * 120}, ("--label=y", "--task=regression"), "--task regression takes columns of numbers"),
        ({"a": TWO, "b": [2] * 120}, ("--label=a,b",), "the label 'b' has other values than 0 and 1"),
        ({"a": TWO, "b": [2] * 120}, ("--label=a,b", "--task=multilabel"), "'b' in row 0 is neither 0 nor 1"),
        ({"y": ["a", "c"] * 60}, ("--label=y", "--classes=a,b"), "the label 'c' .* is none of --classes a, b"),
        ({"y": ["a", None] * 60}, ("--label=y",), "column 'y' has 60 nulls, the first in row 1 of .*, and is a label"),
        (
            {"y": ["a"] * 120, "w": [1.0, None] * 60},
            ("--label=y", "--weight=w"),
            "'w' has 60 nulls, .* a weight",
        ),
        ({"y": ["a"] * 120, "w": [1, -1] * 60}, ("--label=y", "--weight=w"), "weights from -1.0; give numbers of at"),
        ({"y": ["a"] * 120, "z": [1.0, float("inf")] * 60}, ("--label=y",), "'z' has 60 values .* in row 1 of"),
        ({"y": HOT}, ("--label=y",), "its labels may be of several tasks"),
    ],
)
def test_labels_that_leave_it_open_or_do_not_fit(
    importer: Importer, columns: dict[str, Any], flags: tuple[str, ...], said: str
) -> None:
    assert re.search(said, importer.refuses(put(importer, **columns), *flags))
