"""An ONNX graph in another one: what is served has the columns' and the task's names, and gives the same numbers."""

from pathlib import Path

import numpy as np
import pytest
from tests.steps.onnx_made import linear

from colchis_steps._adopting import graph
from colchis_steps._adopting.finding import Found
from colchis_steps._adopting.fitting import Wanted
from colchis_steps._adopting.making import Asked, Made, make
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Tensor

WEIGHTS = [[1.0, -1.0, 0.5], [0.0, 2.0, -0.5]]


def column(name: str, dtype: str = "float32", *lengths: int) -> Tensor:
    return Tensor(name, dtype, (None, *lengths))


def made(file: Path, wanted: Wanted, top: Path) -> Made:
    work = top / "work"
    work.mkdir()
    files = tuple(path.name for path in file.parent.iterdir())
    return make(Found("onnx", file.name, files), (file.parent, work), wanted, "m", Asked())


def softmax(
    values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("beside", [False, True], ids=["weights inside", "weights beside"])
def test_outputs_get_the_tasks_names_and_inputs_the_columns(tmp_path: Path, *, beside: bool) -> None:
    file = linear(tmp_path / "in/any.onnx", WEIGHTS, kind="float64", beside=beside)
    columns = {"b": column("b", "int64"), "a": column("a", "float32")}
    found = made(file, Wanted("classification", 3, columns), tmp_path)
    assert found.wrapped
    assert found.frameworks == {"onnx": "by hand"}
    assert {name: (one.dtype, one.shape) for name, one in found.model.inputs.items()} == {
        "b": ("int64", (None,)),
        "a": ("float32", (None,)),
    }
    answer = found.model.predict({"b": np.array([1, -2]), "a": np.array([0.5, 3], np.float32)})
    wanted = softmax(np.array([[1, 0.5], [-2, 3]]) @ np.array(WEIGHTS))
    np.testing.assert_allclose(answer["probability"], wanted, rtol=1e-6)
    assert answer["probability"].dtype == np.float32
    assert answer["class"].tolist() == wanted.argmax(axis=1).tolist()
    assert answer["class"].dtype == np.int64
    assert sorted(path.name for path in found.directory.iterdir()) == ["model.onnx", "weights.bin"][: 1 + beside]


@pytest.mark.parametrize(("activation", "last"), [("softmax", "Identity"), ("none", "Softmax")])
def test_logits_become_probabilities(tmp_path: Path, activation: str, last: str) -> None:
    file = linear(tmp_path / "in/model.onnx", WEIGHTS, last=last)
    found = made(file, Wanted("classification", 3, {"x": column("x", "float32", 2)}, "", activation), tmp_path)
    given = np.array([[1, 0.5], [-2, 3]], np.float32)
    np.testing.assert_allclose(
        found.model.predict({"x": given})["probability"], softmax(given @ np.array(WEIGHTS)), 1e-5
    )


def test_one_unit_is_the_probability_of_the_second_class(tmp_path: Path) -> None:
    file = linear(tmp_path / "in/model.onnx", [[1.0], [0.0]], last="Sigmoid")
    found = made(file, Wanted("classification", 2, {"input": column("input", "float32", 2)}), tmp_path)
    answer = found.model.predict({"input": np.array([[0, 0], [3, 0]], np.float32)})
    np.testing.assert_allclose(answer["probability"], [[0.5, 0.5], [0.047426, 0.952574]], rtol=1e-4)
    assert answer["class"].tolist() == [0, 1]


def test_a_regressions_output_is_its_value(tmp_path: Path) -> None:
    file = linear(tmp_path / "in/model.onnx", [[2.0]], output="variable", last="Identity")
    found = made(file, Wanted("regression", 1, {"x": column("x")}), tmp_path)
    assert found.model.predict({"x": np.array([1, 4], np.float32)})["value"].tolist() == [[2.0], [8.0]]


def test_what_fits_is_served_as_the_very_bytes(tmp_path: Path) -> None:
    file = linear(tmp_path / "in/any.onnx", [[1.0, 0.0]], name="x", output="vector", last="Identity")
    content = file.read_bytes()
    found = made(file, Wanted("none", 0, {"x": column("x", "float32", 1)}), tmp_path)
    assert not found.wrapped
    assert (found.directory / "model.onnx").read_bytes() == content


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    file = linear(tmp_path / "in/any.onnx", WEIGHTS, beside=True)
    file.write_bytes(file.read_bytes().replace(b"weights.bin", b"../../x.bin"))
    with pytest.raises(InputError, match=r"names its weights '../../x.bin', which is no file beside it"):
        made(file, Wanted(), tmp_path)


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff\xff")
    with pytest.raises(InputError, match="m is no ONNX model"):
        graph.read(tmp_path / "model.onnx", "m")
