"""Which output is the probabilities, and what is none."""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._savedmodel.outputs import Output, find_output
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.probabilities import improper
from colchis_steps._tensors.tensor import tensor_dtype


class SparseLoss:
    def __init__(self, *, from_logits: bool) -> None:
        self.from_logits = from_logits


class BinaryLoss(SparseLoss):
    pass


def sparse(y: Any, p: Any, from_logits: bool = False) -> None:
    raise NotImplementedError(y, p, from_logits)


def model(loss: Any, names: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(loss=loss, output_names=list(names))


def rows(units: int) -> np.ndarray:
    return np.zeros((8, units), np.float32)


@pytest.mark.parametrize(
    ("loss", "predictions", "classes", "wanted"),
    [
        ("sparse", rows(3), 3, Output()),
        (SparseLoss(from_logits=False), rows(3), 3, Output()),
        (SparseLoss(from_logits=True), rows(3), 3, Output(activation="softmax")),
        (functools.partial(sparse, from_logits=True), rows(3), 3, Output(activation="softmax")),
        (BinaryLoss(from_logits=True), rows(3), 3, Output(activation="sigmoid")),
        (BinaryLoss(from_logits=True), rows(1), 2, Output(activation="sigmoid")),
        (BinaryLoss(from_logits=False), rows(1), 2, Output()),
        (["a", SparseLoss(from_logits=True)], [rows(5), rows(3)], 3, Output("q", 1, "softmax")),
        ({"q": SparseLoss(from_logits=True), "p": None}, {"p": rows(5), "q": rows(3)}, 3, Output("q", "q", "softmax")),
        ({"q": SparseLoss(from_logits=True)}, rows(3), 3, Output(activation="softmax")),
        ("sparse", {"p": rows(3), "q": rows(3)}, 3, Output("p", "p")),
        ("sparse", {"one": rows(1), "two": rows(2)}, 2, Output("two", "two")),
    ],
)
def test_the_output_and_its_activation(loss: Any, predictions: Any, classes: int, wanted: Output) -> None:
    assert find_output(model(loss, ("p", "q")), predictions, "classification", classes) == wanted


def test_none_that_fits_is_said_with_all_there_are() -> None:
    with pytest.raises(InputError, match=r"the model gives p \[8, 5\], q \[8, 1\] for 8 rows instead of \[8, 3\]"):
        find_output(model("sparse"), {"p": rows(5), "q": rows(1)}, "classification", 3)


@given(st.integers(0, 999), st.integers(2, 9), st.integers(1, 20))
def test_distributions_are_proper_and_logits_are_not(seed: int, classes: int, count: int) -> None:
    random = np.random.default_rng(seed)
    proper = random.dirichlet(np.ones(classes), count).astype(np.float32)
    assert improper(proper) is None
    wrong = int(random.integers(count))
    proper[wrong] *= 1.05
    assert improper(proper) == wrong
    assert improper(random.normal(size=(count, classes)) * 9) is not None


def test_negative_parts_of_a_sum_of_one_are_improper_and_nan_is_not_judged() -> None:
    assert improper(np.array([[1.5, -0.5]])) == 0
    assert improper(np.array([[np.nan, 0.5], [0.5, 0.5]])) is None


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [("<U5", "string"), ("|S3", "string"), ("object", "object"), ("uint8", "uint8"), ("float32", "float32")],
)
def test_text_of_any_length_is_a_string(dtype: str, wanted: str) -> None:
    assert tensor_dtype(dtype) == wanted
