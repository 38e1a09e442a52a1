"""What stands around a converted model: its columns, and its task's answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tests.steps._exporting.contexts import context, thirds

from colchis_steps._exporting.frame import Answer, Feed, framed
from colchis_steps._formats.data import Column
from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._step.errors import InputError

CLASSES = ("a", "b", "c")


def core(width: int, kept: int | None = None) -> Any:
    """Return a model that repeats the first columns of X, with a name of a column among its own."""
    kept = width if kept is None else kept
    ends = helper.make_tensor("age", TensorProto.INT64, [1], [kept])
    nodes = [
        helper.make_node("Constant", [], ["starts"], value=helper.make_tensor("starts", TensorProto.INT64, [1], [0])),
        helper.make_node("Constant", [], ["axis"], value=helper.make_tensor("axis", TensorProto.INT64, [1], [1])),
        helper.make_node("Slice", ["X", "starts", "age", "axis"], ["Y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "core",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, kept])],
        [ends],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def loaded(
    tmp_path: Path, answer: Answer, columns: dict[str, Column], width: int, kept: int | None = None
) -> OnnxModel:
    made = framed(core(width, kept), [Feed("X", tuple(columns))], answer, columns, CLASSES)
    assert json.loads({one.key: one.value for one in made.metadata_props}["colchis.classes"]) == ["a", "b", "c"]
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    return OnnxModel(tmp_path)


def test_columns_are_inputs_of_their_own_dtype_and_shape_and_numbers_stand_side_by_side(tmp_path: Path) -> None:
    rows = thirds(5)
    given = context({name: rows[name] for name in ("age", "rooms", "picture", "label")})
    model = loaded(tmp_path, Answer("regression", "Y", 8), dict(given.columns), 8)
    assert {name: (one.dtype, one.shape) for name, one in model.inputs.items()} == {
        "age": ("float64", (None,)),
        "rooms": ("int64", (None,)),
        "picture": ("uint8", (None, 2, 3)),
    }
    found = model.predict({name: rows[name] for name in given.columns})["value"]
    np.testing.assert_array_equal(found, given.matrix(rows))
    assert model.predict({name: rows[name][:0] for name in given.columns})["value"].shape == (0, 8)


@given(st.permutations([0, 1, 2]), st.integers(1, 3))
def test_probabilities_go_to_the_places_of_their_classes(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], known: int
) -> None:
    places, columns = order[:known], {"age": Column("age", "float", (known,))}
    answer = Answer("classification", "Y", 3, places=places)
    model = loaded(tmp_path_factory.mktemp("model"), answer, columns, known)
    given = np.linspace(0.1, 0.9, known, dtype=np.float32)[None]
    found = model.predict({"age": given})
    assert found["probability"][0, places].tolist() == given[0].tolist()
    assert found["probability"].sum() == pytest.approx(given.sum())
    assert found["class"].tolist() == [places[-1]]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (Answer("classification", "Y", 3, "Softmax"), [0.2119416, 0.5761169, 0.2119416]),
        (Answer("classification", "Y", 2, "Sigmoid", one=True), [0.5, 0.5]),
        (Answer("classification", "Y", 2, one=True), [1.0, 0.0]),
        (Answer("multilabel", "Y", 3, "Sigmoid"), [0.5, 0.7310586, 0.5]),
    ],
    ids=["softmax", "one logit", "one probability", "labels"],
)
def test_logits_become_probabilities(tmp_path: Path, answer: Answer, wanted: list[float]) -> None:
    model = loaded(tmp_path, answer, {"age": Column("age", "float", (3,))}, 3, 1 if answer.one else 3)
    assert model.outputs["probability"].shape == (None, answer.width)
    found = model.predict({"age": np.array([[0, 1, 0]], np.float32)})
    assert found["probability"][0].tolist() == pytest.approx(wanted, abs=1e-6)
    assert ("class" in found) == (answer.task == "classification")


def test_a_type_that_onnx_does_not_have_is_refused() -> None:
    columns = {"age": Column("age", "month_day_nano_interval")}
    with pytest.raises(InputError, match="the column 'age' is month_day_nano_interval, which ONNX does not have"):
        framed(core(1), [Feed("X", ("age",))], Answer("regression", "Y", 1), columns, ())
