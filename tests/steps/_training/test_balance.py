"""Weights that training itself makes or takes, before any worker starts."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.steps import tables

from colchis_steps._data.dataset import open_data
from colchis_steps._formats.data import Task
from colchis_steps._formats.hyperparameters import settings
from colchis_steps._step.errors import InputError
from colchis_steps._training.input import Source
from colchis_steps._training.rendezvous import Place
from colchis_steps.context import Context, Training
from colchis_steps.train import check_trainable

BALANCED = settings('{"class_weight": "balanced"}')


def source(data: str, training: Training, given: str = "{}") -> Source:
    found = open_data(data)
    context = Context({}, found.features, "y", found.classes, 0, task=found.task, weight=found.weight)
    return Source(found, settings(given), Place(), context, training, found.features)


def test_balanced_weights_are_rows_over_classes_and_their_rows(tmp_path: Path) -> None:
    """As scikit-learn has them; a class without a row weighs 1, and does not count."""
    rows = pa.table({"x": np.arange(8.0), "y": ["a", "b", "b", "b", "a", "b", "b", "b"]})
    task = Task("classification", ("y",), ("a", "b", "c"))
    data = tables.write_table(tmp_path / "data", {"train": rows, "eval": rows}, task, shard_rows=3)
    given = '{"class_weight": "balanced"}'
    assert source(data, Training(None), given).class_weights.tolist() == pytest.approx([8 / 4, 8 / 12, 1.0])
    assert source(data, Training(None, class_weight={"b": 5.0})).class_weights.tolist() == [1.0, 5.0, 1.0]
    assert source(data, Training(None)).class_weights is None


def test_balance_is_of_classes(tmp_path: Path) -> None:
    rows = pa.table({"x": [0.0, 1.0], "y": [0.5, 1.5]})
    data = open_data(tables.write_table(tmp_path / "data", {"train": rows, "eval": rows}, Task("regression", ("y",))))
    with pytest.raises(InputError, match=r"class_weight is balanced, and the task of .* is regression, in which a row"):
        check_trainable(BALANCED, data, 1)
    check_trainable(settings("{}"), data, 1)
    with pytest.raises(InputError, match="hyper-parameter class_weight is 'fair'; give one of balanced"):
        settings('{"class_weight": "fair"}')


@pytest.mark.parametrize(("kind", "names"), [("classification", ("a",)), ("classification", ())])
def test_a_classification_needs_two_classes(tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    rows = pa.table({"x": [0.0, 1.0], "y": ["a", "a"]})
    splits: dict[str, Any] = {"train": rows, "eval": rows}
    data = open_data(tables.write_table(tmp_path / "data", splits, Task(kind, ("y",), names)))
    with pytest.raises(InputError, match=f"has {len(names)} classes and 1 features; give both"):
        check_trainable(settings("{}"), data, 1)
