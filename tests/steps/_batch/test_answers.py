"""What models of each task answer, as columns."""

from typing import Any

import numpy as np
import pytest

from colchis_steps._batch.answers import columns_of, not_finite
from colchis_steps._formats.data import Task
from colchis_steps._step.errors import InputError

SHARES = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
CASES: list[tuple[Task, dict[str, Any], dict[str, list[Any]]]] = [
    (
        Task("classification", ("y",), ("no", "yes")),
        {"probability": SHARES},
        {"prediction": ["yes", "no"], "probability": [0.75, 0.5]},
    ),
    (
        Task("classification", ("y",)),
        {"probability": SHARES, "class": np.array([1, 1])},
        {"prediction": [1, 1], "probability": [0.75, 0.5]},
    ),
    (
        Task("multilabel", ("tags",), ("cat", "dog")),
        {"probability": SHARES},
        {"probability_cat": [0.25, 0.5], "probability_dog": [0.75, 0.5]},
    ),
    (Task("regression", ("y",)), {"value": np.array([[1.5], [2.5]], np.float32)}, {"value": [1.5, 2.5]}),
    (Task("regression", ("y", "z")), {"value": SHARES}, {"value_y": [0.25, 0.5], "value_z": [0.75, 0.5]}),
    (Task("regression", ("y",)), {"value": SHARES}, {"value_0": [0.25, 0.5], "value_1": [0.75, 0.5]}),
    (
        Task("none"),
        {"words": np.array([b"a", b"\xff"], object), "cube": np.arange(8).reshape(2, 2, 2)},
        {"words": [b"a", b"\xff"], "cube": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]},
    ),
    (Task("classification", ("y",)), {"score": SHARES[:, 0]}, {"score": [0.25, 0.5]}),
]


@pytest.mark.parametrize(("task", "outputs", "wanted"), CASES)
def test_answers_by_task(task: Task, outputs: dict[str, Any], wanted: dict[str, list[Any]]) -> None:
    found = columns_of(task, outputs, 2)
    assert {name: values.to_pylist() for name, values in found.items()} == wanted
    assert not_finite(found) == 0


def test_an_answer_for_all_rows_at_once_is_refused() -> None:
    with pytest.raises(InputError, match=r"the model's output value has the shape \[1\] for 2 rows"):
        columns_of(Task("regression", ("y",)), {"value": np.zeros(1)}, 2)


def test_rows_with_odd_numbers_are_counted_once() -> None:
    values = np.array([[np.nan, np.inf], [1, 2], [np.inf, 1]], np.float32)
    assert not_finite(columns_of(Task("regression", ("y", "z")), {"value": values}, 3)) == 2
