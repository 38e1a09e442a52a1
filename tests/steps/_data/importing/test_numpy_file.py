"""npz: several arrays, and those that have their splits in their names."""

import re
from typing import Any

import numpy as np
import pytest
from tests.steps.imports import Importer, read


def put(importer: Importer, **arrays: Any) -> str:
    np.savez(importer.directory / "own.npz", **arrays)
    return str(importer.directory / "own.npz")


def test_arrays_become_columns(importer: Importer) -> None:
    images = np.arange(90 * 6, dtype=np.uint8).reshape(90, 2, 3)
    given = put(importer, image=images, age=np.arange(90.0), name=np.array([f"n{i}" for i in range(90)]),
                label=np.arange(90, dtype=np.int32) % 4)  # fmt: skip
    data = importer.does(given)
    assert [(c.name, c.type, c.shape, c.role) for c in data.manifest.columns] == [
        ("image", "uint8", (2, 3), "feature"),
        ("age", "double", (), "feature"),
        ("name", "string", (), "feature"),
        ("label", "int32", (), "label"),
    ]
    found = read(data)
    order = np.argsort(found["age"])
    assert (found["image"][order] == images).all()
    assert (found["label"][order] == np.arange(90) % 4).all()


def changed(array: np.ndarray, at: Any, value: float) -> np.ndarray:
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array(["setosa", "virginica", "setosa"] * 30), ("setosa", "virginica")),
        (np.array([True, False, True] * 30), ("false", "true")),
        (np.array([[1], [2], [3]] * 30), ("1", "2", "3")),
    ],
)
def test_labels_are_taken_as_people_write_them(
    importer: Importer, labels: np.ndarray, classes: tuple[str, ...]
) -> None:
    data = importer.does(put(importer, x=np.arange(180.0).reshape(90, 2), label=labels))
    assert data.classes == classes
    found = read(data)
    names = {tuple(x): classes[label] for x, label in zip(found["x"].tolist(), found["label"], strict=True)}
    assert [names[2.0 * i, 2.0 * i + 1] for i in range(90)] == [
        str(name).lower() if labels.dtype.kind == "b" else str(name) for name in labels.ravel()
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"x": np.zeros((3, 2))}, r"which column is the label\? .* there are x fixed_size_list<item: double>\[2\]"),
        ({"x": np.zeros((3, 2)), "label": np.zeros(2, int)}, "give each as many rows"),
        ({"x": np.zeros((3, 2)), "label": np.array([0, np.nan, 1])}, "'label' has 1 nulls, the first in row 1 of"),
        ({"x": np.zeros((3, 2)), "label": np.arange(3.0)}, "3 whole numbers, kept as fractions, so the task is open"),
        (
            {"x": changed(np.zeros((60, 6)), (slice(0, None, 17), 2), np.nan), "label": np.zeros(60, int)},
            "column 'x' has lists with 4 values that are null or NaN, the first in row 0 of",
        ),
        (
            {"x": changed(np.zeros((9, 2), "float32"), (5, 1), -np.inf), "label": np.zeros(9, int)},
            "column 'x' has 1 values that are infinite, the first in row 5 of .*own.npz; give finite numbers",
        ),
        ({"x": np.zeros((0, 2)), "label": np.zeros(0, int)}, "no rows"),
        ({"x": np.array([{}]), "label": np.zeros(1, int)}, "is not an npz of plain arrays"),
        ({"x": np.zeros(3, complex), "label": np.zeros(3, int)}, "'x' is complex128; give numbers, text, or dates"),
    ],
)
def test_an_npz_that_is_no_data_set_is_refused(importer: Importer, given: dict[str, Any], said: str) -> None:
    assert re.search(said, importer.refuses(put(importer, **given)))
