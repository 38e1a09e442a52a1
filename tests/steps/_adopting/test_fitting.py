"""How inputs and outputs of a model that exists fit the data."""

from collections.abc import Mapping

import pytest

from colchis_steps._adopting.fitting import Wanted, fit
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Tensor


def tensors(**kinds: str) -> dict[str, Tensor]:
    """Make tensors of words like ``float32 4``: the dtype, then the lengths after the rows, ``?`` for a free one."""
    found = {}
    for name, kind in kinds.items():
        dtype, *lengths = kind.split()
        found[name] = Tensor(name, dtype, (None, *(None if length == "?" else int(length) for length in lengths)))
    return found


X, THREE = tensors(x="float32 4"), Wanted("classification", 3, tensors(x="float32 4"))


@pytest.mark.parametrize(
    ("inputs", "columns", "taken"),
    [
        ({"x": "float32 4"}, {"x": "float32 4"}, {"x": ["x"]}),
        ({"keras_tensor": "float32 4"}, {"lengths": "float32 4"}, {"keras_tensor": ["lengths"]}),
        ({"x": "float32 ?"}, {"x": "float32 4"}, {"x": ["x"]}),
        ({"x": "float32 8 8"}, {"x": "uint8 8 8"}, {"x": ["x"]}),
        ({"a": "float32 1", "b": "string 1"}, {"b": "string", "a": "float32", "c": "int64"}, {"a": ["a"], "b": ["b"]}),
        ({"input": "float32 3"}, {"b": "int64", "a": "float32", "c": "bool"}, {"input": ["b", "a", "c"]}),
        ({"input": "float32 ?"}, {"b": "float64", "a": "float32"}, {"input": ["b", "a"]}),
    ],
    ids=["same", "lone", "free length", "cast", "vectors of one", "columns together", "together, free"],
)
def test_inputs_take_columns(
    inputs: Mapping[str, str], columns: Mapping[str, str], taken: Mapping[str, list[str]]
) -> None:
    found = fit(tensors(**inputs), {}, Wanted(columns=tensors(**columns)), "m")
    assert {name: [one.name for one in given] for name, given in found.inputs.items()} == taken
    given = tensors(**columns)
    assert found.wraps is ([given.get(name) for name in inputs] != list(tensors(**inputs).values()))


@pytest.mark.parametrize(
    ("inputs", "columns", "words"),
    [
        ({"x": "float32 4"}, {"x": "float32 5"}, "m takes x float32[4], and the data have x float32[5]"),
        ({"x": "float32 4"}, {"y": "string"}, "m takes x float32[4], and the data have y string[]"),
        ({"x": "int64 4"}, {"x": "float32 4"}, "m takes x int64[4], and the data have x float32[4]"),
        ({"a": "float32", "b": "float32"}, {"a": "float32"}, "name its input 'b' after the column that it takes"),
        ({"x": "float32 2"}, {"a": "float32", "b": "float32", "c": "float32"}, "m takes x float32[2], and the data"),
        ({"x": "float32 2 2"}, {"x": "float32 2"}, "judge it on data like that of its training"),
    ],
    ids=["length", "dtype", "fractions", "missing", "too many", "rank"],
)
def test_inputs_that_do_not_fit_have_their_sentence(
    inputs: Mapping[str, str], columns: Mapping[str, str], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        fit(tensors(**inputs), {}, Wanted(columns=tensors(**columns)), "m")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "task", "width", "answer"),
    [
        ({"class": "int64", "probability": "float32 3"}, "classification", 3, ""),
        ({"output_0": "float32 3"}, "classification", 3, "output_0"),
        ({"probability": "float32 3"}, "classification", 3, "probability"),
        ({"label": "int64", "probabilities": "float32 3"}, "classification", 3, "probabilities"),
        ({"dense_3": "float32 1"}, "classification", 2, "dense_3"),
        ({"dense_3": "float32"}, "classification", 2, "dense_3"),
        ({"a": "float32 8", "b": "float64 3"}, "classification", 3, "b"),
        ({"tags": "float32 7"}, "multilabel", 7, "tags"),
        ({"probability": "float32 7"}, "multilabel", 7, ""),
        ({"variable": "float32 1"}, "regression", 1, "variable"),
        ({"value": "float32 2"}, "regression", 2, ""),
        ({"y": "float32"}, "regression", 1, "y"),
        ({"logits": "float32 ?"}, "classification", 3, "logits"),
        ({"embedding": "float32 8", "text": "string"}, "none", 0, ""),
    ],
    ids=[
        "named",
        "keras",
        "no class",
        "sklearn",
        "one unit",
        "one number",
        "by shape",
        "multilabel",
        "labels named",
        "regression",
        "targets named",
        "a number",
        "free length",
        "no task",
    ],
)
def test_the_answer_of_the_task_is_found(outputs: Mapping[str, str], task: str, width: int, answer: str) -> None:
    found = fit(X, tensors(**outputs), Wanted(task, width, X), "m")
    assert found.answer == answer
    assert found.wraps is bool(answer)


@pytest.mark.parametrize(
    ("outputs", "wanted", "words"),
    [
        ({"y": "float32 4"}, THREE, "m gives y float32[4], of which nothing is one probability a class (3 of them)"),
        ({"y": "int64 3"}, THREE, "of which nothing is one probability a class"),
        (
            {"a": "float32 3", "b": "float32 3"},
            THREE,
            "a and b may be one probability a class (3 of them); choose with",
        ),
        ({"a": "float32 3"}, Wanted("classification", 3, X, "b"), "m has no output 'b', but a float32[3]"),
        ({"a": "float32 3", "b": "float32 2"}, Wanted("classification", 3, X, "b"), "'b' is not one probability a cl"),
        ({"v": "string"}, Wanted("regression", 1, X), "of which nothing is one number a target (1 of them)"),
    ],
    ids=["width", "whole numbers", "several", "absent", "not that", "text"],
)
def test_answers_that_do_not_fit_have_their_sentence(outputs: Mapping[str, str], wanted: Wanted, words: str) -> None:
    with pytest.raises(InputError) as caught:
        fit(X, tensors(**outputs), wanted, "m")
    assert words in str(caught.value)


def test_a_person_chooses_among_several() -> None:
    found = fit(X, tensors(a="float32 3", b="float32 3"), Wanted("classification", 3, X, "b", "softmax"), "m")
    assert (found.answer, found.activation, found.wraps) == ("b", "softmax", True)
