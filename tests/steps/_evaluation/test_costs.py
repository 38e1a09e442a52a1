"""Budgets: what is measured, and what it is held to."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colchis_steps._evaluation import costs
from colchis_steps._evaluation.costs import Costs, are_measured, check_budgets
from colchis_steps._step.errors import InputError


def test_nothing_but_the_size_is_told_where_nothing_more_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "model.onnx").write_bytes(bytes(1 << 20))
    (tmp_path / "variables" / "data").write_bytes(bytes(1 << 19))
    assert Costs(tmp_path, measured=False).take(lambda _: None, {}) == {"size_mib": 1.5}


def test_time_is_that_of_answers_to_one_row_and_to_32_and_memory_what_the_model_held(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    held, asked = list[Any](), list[Any]()
    measuring = Costs(tmp_path, measured=True)
    held.append(np.ones(64 << 17))  # 64 MiB, as a model might hold

    def answer(features: Any) -> None:
        asked.append(features["x"].shape)

    found = measuring.take(answer, {"x": np.arange(6, dtype=np.float32).reshape(3, 2)})
    assert set(asked) == {(1, 2), (32, 2)}, "rows are repeated where there are fewer"
    assert all(asked.count(shape) >= costs.LEAST + costs.WARM for shape in set(asked))
    assert found.keys() == {
        "size_mib", "memory_mib", "p50_ms/rows=1", "p95_ms/rows=1", "p50_ms/rows=32", "p95_ms/rows=32"
    }  # fmt: skip
    assert 0 <= found["p50_ms/rows=1"] <= found["p95_ms/rows=1"]
    assert found["memory_mib"] >= 60


def test_where_the_system_does_not_tell_memory_no_budget_of_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setattr(costs, "STATUS", tmp_path / "none")
    found = Costs(tmp_path, measured=True).take(lambda _: None, {"x": np.zeros((1, 1), np.float32)})
    assert math.isnan(found["memory_mib"])


def test_only_what_names_time_or_memory_has_them_measured() -> None:
    assert not are_measured({"accuracy": {"min": 0.9}, "size_mib": {"max": 1}})
    assert are_measured({"p95_ms/rows=1": {"max": 1}})
    assert are_measured({"memory_mib": {"max": 1}})


@pytest.mark.parametrize("bound", ["min", "max_change", "not_worse"])
def test_a_budget_is_a_maximum(bound: str) -> None:
    with pytest.raises(InputError, match=f"threshold {bound} of 'p95_ms/\\*' is no budget; give max alone"):
        check_budgets({"accuracy": {bound: 0.1}, "p95_ms/*": {"max": 1, bound: 0.1}})
