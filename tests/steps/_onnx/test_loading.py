"""ONNX models in this process: what they take and give, and which are refused, with which sentence."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.steps.onnx_models import model, node, save, thirds

from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Tensor, ValuesError

PICTURE = ("float32", ["rows", 2])


def loaded(directory: Path, made: Any) -> OnnxModel:
    return OnnxModel(save(directory, made))


def identity(kind: str = "float32", shape: Any = ("rows",)) -> Any:
    return model([node("Identity", "x", "y")], {"x": (kind, shape)}, {"y": (kind, shape)})


def outside(location: str) -> Any:
    """Return a model whose weights are 300 numbers in a file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[300], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    made = model([node("Add", "x w", "y")], {"x": ("float32", ["rows", 300])}, {"y": ("float32", ["rows", 300])})
    made.graph.initializer.append(weights)
    return made


def test_a_model_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    found = loaded(tmp_path, thirds())
    assert found.inputs == {"image": Tensor("image", "uint8", (None, 4, 4))}
    assert list(found.outputs.values()) == [
        Tensor("class", "int64", (None,)),
        Tensor("probability", "float32", (None, 3)),
    ]
    assert found.signature_def["serving_default"]["inputs"]["image"]["dtype"] == "DT_UINT8"
    assert (found.warm_up(), found.rows_apart) == (True, True)
    image = np.zeros((2, 4, 4), np.uint8)
    image[0, 1], image[1, 2] = 9, 9
    assert found.predict({"image": image})["class"].tolist() == [1, 2]


def test_a_model_with_a_loop_is_not_steady(tmp_path: Path) -> None:
    assert loaded(tmp_path / "thirds", thirds()).steady
    rows, flag, number = (
        helper.make_tensor_value_info(*one) for one in (("v", 1, ["n", 2]), ("c", 9, []), ("i", 7, []))
    )
    doubled, goes_on = helper.make_tensor_value_info("w", 1, ["n", 2]), helper.make_tensor_value_info("d", 9, [])
    body = helper.make_graph(
        [node("Add", "v v", "w"), node("Identity", "c", "d")], "body", [number, flag, rows], [goes_on, doubled]
    )
    nodes = [
        node("ReduceMax", "times", "often", keepdims=0),
        helper.make_node("Loop", ["often", "", "x"], ["y"], body=body),
    ]
    looping = model(nodes, {"x": PICTURE, "times": ("int64", ["rows"])}, {"y": PICTURE})
    found = loaded(tmp_path / "looping", looping)
    assert not found.steady
    answer = found.predict({"x": np.ones((1, 2), np.float32), "times": np.array([10])})
    assert answer["y"].tolist() == [[1024, 1024]]


def test_text_is_bytes_as_a_savedmodel_has_it(tmp_path: Path) -> None:
    found = loaded(tmp_path, identity("string", ["rows", 2]))
    assert found.warm_up()
    text = np.array([["gr\u00fcn".encode(), b""], [b"a" * 99, "\U0001f40f".encode()]], object)
    given = found.predict({"x": text})["y"]
    assert (given.tolist(), given.dtype) == (text.tolist(), object)
    assert found.predict({"x": np.array([["as str", "too"]], object)})["y"].tolist() == [[b"as str", b"too"]]
    assert found.predict({"x": np.empty((0, 2), object)})["y"].shape == (0, 2)
    with pytest.raises(ValuesError, match="text in UTF-8, and one is other bytes"):
        found.predict({"x": np.array([[b"\xff", b""]], object)})


@pytest.mark.parametrize("kind", ["float16", "int64"])
def test_a_dtype_stays_what_it_is(tmp_path: Path, kind: str) -> None:
    found = loaded(tmp_path, identity(kind))
    given = found.predict({"x": np.arange(3).astype(kind)})["y"]
    assert (given.tolist(), given.dtype, found.inputs["x"].dtype) == ([0, 1, 2], kind, kind)


def test_an_answer_tells_the_lengths_that_the_model_does_not(tmp_path: Path) -> None:
    tensors = {"x": ("float32", ["rows"]), "to": ("int64", ["lengths"])}
    made = model([node("Reshape", "x to", "y")], tensors, {"y": ("float32", None)})
    assert loaded(tmp_path, made).outputs["y"].shape == (None,)


def test_names_of_classes_come_from_the_metadata(tmp_path: Path) -> None:
    made = thirds()
    assert loaded(tmp_path / "without", made).classes == ()
    helper.set_model_props(made, {"colchis.classes": '["a", "b", "\u00e7"]'})
    assert loaded(tmp_path / "with", made).classes == ("a", "b", "\u00e7")
    helper.set_model_props(made, {"colchis.classes": "a, b"})
    with pytest.raises(InputError, match="in its metadata; give a list of names as JSON"):
        loaded(tmp_path / "odd", made)


def test_an_input_that_has_a_value_need_not_be_given(tmp_path: Path) -> None:
    tensors = {"x": PICTURE, "w": ("float32", [2])}
    made = model([node("Add", "x w", "y")], tensors, {"y": PICTURE}, {"w": np.ones(2, np.float32)})
    found = loaded(tmp_path, made)
    assert list(found.inputs) == ["x"]
    assert found.predict({"x": np.zeros((1, 2), np.float32)})["y"].tolist() == [[1.0, 1.0]]


def test_values_that_the_model_refuses_are_told_from_failures(tmp_path: Path) -> None:
    nodes = [node("Gather", "table x", "y")]
    made = model(nodes, {"x": ("int64", ["rows"])}, {"y": ("float32", ["rows"])}, {"table": np.ones(3, np.float32)})
    with pytest.raises(ValuesError, match="the model refuses these values"):
        loaded(tmp_path, made).predict({"x": np.array([9])})


@pytest.mark.parametrize(
    "location", ["../outside", "/outside", "link", "links/outside", "nothing", "../m/../outside", "fifo"]
)
def test_weights_from_elsewhere_are_not_read(tmp_path: Path, location: str) -> None:
    outer, top = tmp_path / "outside", tmp_path / "m"
    outer.write_bytes(np.arange(300, dtype=np.float32).tobytes())
    top.mkdir()
    (top / "link").symlink_to(outer)
    (top / "links").symlink_to(tmp_path)
    os.mkfifo(top / "fifo")
    where = str(outer) if location == "/outside" else location
    with pytest.raises(InputError, match=r"names weights that are not whole in a file of its own directory"):
        loaded(top, outside(where))


def test_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/w").write_bytes(np.arange(300, dtype=np.float32).tobytes())
    found = loaded(tmp_path, outside("weights/w"))
    assert found.predict({"x": np.zeros((1, 300), np.float32)})["y"][0, :3].tolist() == [0, 1, 2]


def of_opset(number: int) -> Any:
    made = identity()
    made.opset_import[0].version = number
    return made


def of_ir(number: int) -> Any:
    made = identity()
    made.ir_version = number
    return made


def of_type(kind: Any) -> Any:
    made = model([node("SequenceConstruct", "x", "y")], {"x": PICTURE}, {})
    made.graph.output.append(helper.make_value_info("y", kind))
    return made


SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["rows", 2]))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (of_opset(99), r"is of opset 99 of ai.onnx, and onnxruntime 1\.\S+ knows those to \d+; export it with opset"),
        (of_ir(99), r"is of IR version 99, and onnxruntime 1\.\S+ knows those to \d+; set the model's ir_version"),
        (
            model([node("Foo", "x", "y", domain="mine")], {"x": PICTURE}, {"y": PICTURE}, domains=["mine"]),
            r"needs the operator mine:Foo, which onnxruntime 1\.\S+ does not have; export it with ONNX's own",
        ),
        (model([node("Foo", "x", "y")], {"x": PICTURE}, {"y": PICTURE}), r"needs the operator Foo, which"),
        (identity(shape=None), r"takes x without a known shape; give it one that begins with a free number of rows"),
        (of_type(SEQUENCE), r"y of \S+ is seq\(tensor\(float\)\), which clients cannot .*zipmap=False"),
    ],
    ids=["opset", "ir", "domain", "operator", "rank", "sequence"],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(tmp_path: Path, made: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        loaded(tmp_path, made)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage", thirds().SerializeToString()[:200]], ids=["none", "odd", "half"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"the model of run r is not a model that onnxruntime \S+ can load"):
        OnnxModel(tmp_path, "the model of run r")


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no model.onnx; give the directory of an ONNX model"):
        OnnxModel(tmp_path)
