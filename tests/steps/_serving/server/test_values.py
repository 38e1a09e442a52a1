"""Lists of JSON as arrays: the same as NumPy makes of them, or a sentence."""

import base64
import textwrap
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.values import read_values
from colchis_steps._tensors.tensor import Tensor

DTYPES = ("bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64")


@given(st.data(), st.sampled_from(DTYPES))
def test_arrays_come_back_from_their_lists(data: st.DataObject, dtype: str) -> None:
    shape = data.draw(arrays.array_shapes(min_side=1, max_dims=4))
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else None
    made = data.draw(arrays.arrays(dtype, shape, elements=elements))
    tensor = Tensor("x", dtype, (None, *shape[1:]))
    for found in (
        read_values(tensor, made.tolist()),
        read_values(tensor, made.ravel().tolist(), list(shape)),
        read_values(tensor, made.tolist(), list(shape)),
    ):
        assert found.dtype == made.dtype
        assert np.array_equal(found, made)


@pytest.mark.parametrize(
    ("dtype", "values", "sentence"),
    [
        ("int64", [2**63], "holds 9223372036854775808 at [0]"),
        ("int64", [1.0, 2.0**63], "holds 9.223372036854776e+18 at [1]"),
        ("uint8", [1, 2, 2.5], "holds 2.5 at [2]"),
        ("uint64", [-1], "holds -1 at [0]"),
        ("float16", [1, 70_000], "holds 70000 at [1]; float16 takes finite numbers"),
        ("float64", [10**400], "finite numbers within its range"),
        ("float64", [10**5000], "holds a number of too many digits at [0]"),
        ("bool", [True, 0], "holds 0; bool takes true and false only"),
        ("float32", [True, 1], "holds true; float32 takes numbers only"),
    ],
)
def test_a_value_that_the_dtype_cannot_hold_is_told(dtype: str, values: list[Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        read_values(Tensor("x", dtype, (None,)), values)
    assert refused.value.status == 400
    assert sentence in str(refused.value)


def test_whole_numbers_that_no_float_has_stay_exact() -> None:
    assert read_values(Tensor("x", "int64", (None,)), [2**53 + 1]).tolist() == [2**53 + 1]


@pytest.mark.parametrize("value", [[[1], 2], [[1, 2], [3]], [[1], None, [1]], [[[[1]]]], [1, [2]]])
def test_ragged_and_deeper_lists_are_refused(value: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_values(Tensor("x", "float32", (None, 1)), value)
    assert refused.value.status == 400


def test_base64_may_be_of_urls_wrapped_and_without_padding() -> None:
    content, tensor = bytes(range(256)), Tensor("t", "string", (None,))
    plain = base64.b64encode(content).decode()
    forms = [
        plain,
        base64.urlsafe_b64encode(content).decode(),
        plain.rstrip("="),
        "\r\n".join(textwrap.wrap(plain, 76)),
        base64.encodebytes(content).decode(),
    ]
    assert read_values(tensor, [{"b64": form} for form in forms]).tolist() == [content] * len(forms)
    for wrong in ("?", "a", "ab=c", "é"):
        with pytest.raises(Refused, match="not base64"):
            read_values(tensor, [{"b64": wrong}])
