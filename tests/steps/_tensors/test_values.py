"""Arrays as JSON has them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from colchis_steps._tensors.values import plain


@given(arrays(object, array_shapes(), elements=st.text().map(str.encode)))
def test_bytes_that_are_text_are_written_as_it(array: np.ndarray) -> None:
    found = plain(array)
    assert json.loads(json.dumps(found)) == found
    assert [text.encode() for text in np.array(found, object).ravel()] == array.ravel().tolist()


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.array([b"caf\xc3\xa9", b"\xff"], object), ["café", {"b64": "/w=="}]),
        (np.array([b"a", b"bc"]), ["a", "bc"]),  # dtype S
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.array(b"a", object), "a"),
        (np.zeros((0, 2), object), []),
        (np.array([[1, 2]], np.uint8), [[1, 2]]),
        (np.array([0.5, 1], np.float32), [0.5, 1.0]),
    ],
)
def test_values_are_written_as_what_they_are(array: np.ndarray, wanted: object) -> None:
    assert plain(array) == wanted
