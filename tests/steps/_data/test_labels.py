"""Labels as people write them: taken where their meaning is plain, else refused by a sentence of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._data.labels import known_labels
from colchis_steps._step.errors import InputError

NUMBERS = st.lists(st.integers(0, 4), min_size=1).map(lambda found: [*found, 0])
WRITTEN = [
    lambda found: found.astype("int32"),
    lambda found: found.astype("uint8"),
    lambda found: found.astype("uint64"),
    lambda found: found.astype("float64"),
    lambda found: found.astype("float16"),
    lambda found: found[:, None],
    lambda found: found.astype("float32")[:, None],
    lambda found: found.astype(object),
]


@given(NUMBERS, st.sampled_from(WRITTEN))
def test_whole_numbers_of_any_dtype_are_classes(numbers: list[int], written: Any) -> None:
    labels = known_labels(written(np.array(numbers)), ("a", "b", "c", "d", "e"), "here")
    assert labels.dtype == np.int64
    assert labels.tolist() == numbers


def test_truths_are_0_and_1() -> None:
    assert known_labels(np.array([[True], [False]]), ("no", "yes"), "here").tolist() == [1, 0]


@pytest.mark.parametrize("dtype", ["U", "S", "O"])
def test_names_are_found_again(dtype: str) -> None:
    given_labels = np.array(["dog", "cat", "emu", "cat"]).astype(dtype)
    classes = ("cat", "dog", "emu")
    assert known_labels(given_labels, classes, "here").tolist() == [1, 0, 2, 0]
    assert known_labels(given_labels[::-1], classes, "here").tolist() == [0, 2, 0, 1]
    assert known_labels(given_labels[:0], classes, "here").tolist() == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            [1, 2, 3],
            r"^here: labels are 1 to 3: number the classes from 0, e\.g\. subtract 1, or give names as strings$",
        ),
        ([0, 1.5, 0.25], r"2 labels are not whole numbers, the first is 1\.5 in row 1; give the number"),
        ([0, 1, np.nan], r"1 labels are not whole numbers, the first is NaN in row 2; "),
        ([np.inf, 0.0], r"the first is inf in row 0"),
        ([[1, 0], [0, 1]], r"labels of shape \[2, 2\] are one-hot or probabilities; .*labels\.argmax\(axis=1\)"),
        ([[[0]]], r"labels are int64\[1, 1, 1\]; give a whole number or a string for each row"),
        (np.array([0, None], object), r"labels are object\[2\]; give"),
        ([0, 10**12], r"labels are 0 to 1000000000000: number the classes from 0"),
    ],
)
def test_others_are_refused_and_the_sentence_says_what_to_do(values: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        known_labels(np.asarray(values), ("a", "b", "c"), "here")


@pytest.mark.parametrize(
    ("values", "classes", "sentence"),
    [
        (["b", "z"], ("a", "b"), r"^here: label 'z' in row 1 is none of the classes a, b$"),
        (["z"], tuple("abcdefghij"), r"none of the classes a, b, c, d, e, f, g, h and 2 more"),
        ([1, 3], ("a", "b", "c"), r"labels are 1 to 3: number the classes from 0, e\.g\. subtract 1"),
    ],
)
def test_of_some_rows_only_known_classes_are_taken(values: Any, classes: Sequence[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        known_labels(np.asarray(values), classes, "here")


def test_some_rows_need_not_have_the_first_class() -> None:
    assert known_labels(np.array([1, 2]), ("a", "b", "c"), "here").tolist() == [1, 2]
