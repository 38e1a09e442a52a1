"""What the two protocols make of JSON, without a server and without TensorFlow."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.protocol import Question, read_v1, read_v2
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor

IMAGE = {"image": Tensor("image", "uint8", (None, 2, 2))}
REAL = {"x": Tensor("x", "float32", (None,))}
FLAG = {"flag": Tensor("flag", "bool", (None,))}
TEXT = {"text": Tensor("text", "string", (None,))}
OUTPUTS = {"class": Tensor("class", "int64", (None,))}
BLANK = [[0, 0], [0, 0]]


def v1(body: Any, inputs: dict[str, Tensor]) -> Question:
    return read_v1(body if isinstance(body, bytes) else msgspec.json.encode(body), Columns(inputs))


@pytest.mark.parametrize(
    ("body", "inputs", "sentence"),
    [
        (b"", IMAGE, "not JSON"),
        (b"\xff", IMAGE, "not JSON"),
        (b"[]", IMAGE, "the body is empty"),
        (b'{"instances": [[[NaN, 0], [0, 0]]]}', IMAGE, "holds NaN or Infinity"),
        (b'{"instances": [1e999]}', REAL, "out of range"),
        (b'{"a":' * 100_000, IMAGE, "nested too deeply"),
        ({}, IMAGE, 'either "instances" (rows) or "inputs"'),
        ({"instances": [BLANK], "inputs": [BLANK]}, IMAGE, "send one of them"),
        ({"instances": []}, IMAGE, '"instances" is empty'),
        ({"instances": "rows"}, IMAGE, "at least one row"),
        ({"instances": [BLANK], "signature_name": "other"}, IMAGE, 'signature "other" is not served'),
        ({"instances": [{"picture": BLANK}]}, IMAGE, "instances[0] holds picture; send an object with image"),
        ({"instances": [[[0, 0]]]}, IMAGE, "image has the shape 1 by 1 by 2; this model takes n by 2 by 2"),
        ({"instances": [BLANK, [[0, 0], [0]]]}, IMAGE, "image is ragged"),
        ({"instances": [[[0, 256], [0, 0]]]}, IMAGE, "image holds 256 at [0, 0, 1]; uint8 takes whole numbers from 0"),
        ({"instances": [[[0, -1], [0, 0]]]}, IMAGE, "image holds -1"),
        ({"instances": [[[0, 0.5], [0, 0]]]}, IMAGE, "image holds 0.5"),
        ({"instances": [[[0, 2**80], [0, 0]]]}, IMAGE, "image holds 1208925819614629174706176"),
        ({"instances": [[[0, "1"], [0, 0]]]}, IMAGE, 'image holds "1"; uint8 takes numbers only'),
        ({"instances": [[[0, None], [0, 0]]]}, IMAGE, "image holds null"),
        ({"instances": [[[0, {"a": 1}], [0, 0]]]}, IMAGE, "image holds an object"),
        ({"instances": [[[True, True], [True, True]]]}, IMAGE, "image holds true"),
        ({"inputs": [1e39]}, REAL, "float32 takes finite numbers"),
        ({"inputs": [1]}, FLAG, "flag holds 1; bool takes true and false only"),
        ({"inputs": [1]}, TEXT, "text holds 1; send strings"),
        ({"inputs": [{"b64": "?"}]}, TEXT, "not base64"),
    ],
)
def test_v1_refuses(body: Any, inputs: dict[str, Tensor], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        v1(body, inputs)
    assert refused.value.status == 400
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "picture"}, 'input "picture" is unknown'),
        ({"datatype": "FP32"}, "this model takes UINT8"),
        ({"shape": [2, 2, 2]}, "has 4 values, but its shape [2, 2, 2] wants 8"),
        ({"shape": [1] * 40_000}, "image has the shape 1 by 1 by 1 by 1 by 1 by 1 by 1 by 1 and 39992 more"),
        ({"shape": [1, -2, -2]}, "send a list of lengths"),
        ({"shape": [4]}, "image has the shape 4; this model takes n by 2 by 2"),
        ({"data": None}, "image holds null"),
        ({"data": [0, 0, 0, 999]}, "image holds 999"),
        ({"shape": [0, 2, 2], "data": []}, "holds no values"),
    ],
)
def test_v2_refuses(changes: dict[str, Any], sentence: str) -> None:
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "UINT8", "data": [0, 0, 0, 0], **changes}
    with pytest.raises(Refused) as refused:
        read_v2(msgspec.json.encode({"inputs": [tensor]}), Columns(IMAGE), OUTPUTS)
    assert sentence in str(refused.value)


def test_v2_refuses_what_is_missing_or_asked_for_in_vain() -> None:
    for body, sentence in [
        ({}, '"inputs" is null'),
        ({"inputs": []}, "input image is missing"),
        ({"inputs": [1]}, "send a list of objects"),
    ]:
        with pytest.raises(Refused) as refused:
            read_v2(msgspec.json.encode(body), Columns(IMAGE), OUTPUTS)
        assert sentence in str(refused.value)
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "UINT8", "data": BLANK}
    with pytest.raises(Refused, match="output other is unknown"):
        read_v2(msgspec.json.encode({"inputs": [tensor], "outputs": [{"name": "other"}]}), Columns(IMAGE), OUTPUTS)


def test_outputs_without_a_row_each_are_refused_in_row_format_only() -> None:
    outputs = {"mean": np.array(0.5, np.float32)}
    assert v1({"inputs": [1.0]}, REAL).write(outputs) == {"outputs": 0.5}
    with pytest.raises(Refused, match='send "inputs"'):
        v1({"instances": [1.0]}, REAL).write(outputs)


def test_bytes_that_are_no_text_are_answered_as_base64() -> None:
    outputs = {"text": np.array([b"abc", b"\xff"], dtype=object)}
    assert v1({"instances": ["a", "b"]}, TEXT).write(outputs) == {"predictions": ["abc", {"b64": "/w=="}]}


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_arrive_as_they_were_sent(values: list[float]) -> None:
    found = v1({"instances": values}, REAL).arrays["x"]
    assert found.dtype == np.float32
    assert [float(value) for value in found] == values


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["image", "b64", "x"]) | st.text(), inner),
)


@given(JSON)
def test_whatever_comes_is_a_question_or_refused(value: Any) -> None:
    for inputs in (IMAGE, REAL, FLAG, TEXT):
        for body in (value, {"instances": value}, {"inputs": value}):
            try:
                found = v1(body, inputs)
            except Refused:
                continue
            assert all(math.prod(array.shape) for array in found.arrays.values())
