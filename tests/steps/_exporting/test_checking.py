"""An exported model is asked as a server asks it, and what differs is refused with the row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.steps._exporting.contexts import context
from tests.steps._exporting.test_frame import core

from colchis_steps._exporting.checking import some_rows, write_checked
from colchis_steps._exporting.frame import Answer, Feed, framed
from colchis_steps._formats.data import Column
from colchis_steps._step.errors import InputError

COLUMNS = {"age": Column("age", "float", (3,))}
ROWS: dict[str, Any] = {"age": np.full((4, 3), 1 / 3, np.float32)}


def model(task: str = "classification") -> Any:
    return framed(core(3), [Feed("X", ("age",))], Answer(task, "Y", 3), COLUMNS, ("a", "b", "c"))


def test_what_agrees_is_written_whole_and_alone(tmp_path: Path) -> None:
    write_checked(model(), tmp_path / "new", ROWS, lambda rows: {"probability": rows["age"]}, "classification")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (lambda rows: {"probability": rows["age"] + (np.arange(len(rows["age"])) == 2)[:, None] * 0.5},
         "the exported model's probability differs in 1 of 4 rows, by 0.5 in row 2;"),
        (lambda rows: {"probability": rows["age"][:, :2]}, "gives probability [4, 3] and the model itself [4, 2]"),
    ],
    ids=["another answer", "another shape"],
)  # fmt: skip
def test_what_differs_is_refused_and_nothing_is_left(tmp_path: Path, own: Any, says: str) -> None:
    with pytest.raises(InputError) as refused:
        write_checked(model(), tmp_path / "new", ROWS, own, "classification")
    assert says in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_what_are_no_probabilities_is_refused(tmp_path: Path) -> None:
    rows: dict[str, Any] = {"age": np.full((4, 3), 2, np.float32)}
    with pytest.raises(
        InputError, match=r"rows like \[2, 2, 2\] with the sum 6, not probabilities; if they are logits"
    ):
        write_checked(model(), tmp_path, rows, lambda given: {"probability": given["age"]}, "classification")


def test_rows_are_of_eval_else_of_train() -> None:
    given = context({"age": np.arange(3.0)})
    assert some_rows(given)["age"].tolist() == [0, 1, 2]

    def without_eval(split: str, epoch: int) -> Any:
        if split == "eval":
            raise InputError("there is no split eval")
        yield {"age": np.zeros(0)}
        yield {"age": np.arange(500.0)}

    object.__setattr__(given, "blocks", without_eval)
    assert len(some_rows(given)["age"]) == 256
    object.__setattr__(given, "blocks", lambda split, epoch: ())
    with pytest.raises(InputError, match="the context has no rows to compare answers on"):
        some_rows(given)
