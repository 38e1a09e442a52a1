"""V2's binary tensors: both ways, and what does not add up."""

import json
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._serving.server.binary import LENGTH, Rest, divided, joined, read_binary, to_binary
from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.protocol import DATATYPES, read_v2
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor

X, TEXT = Tensor("x", "float32", (None, 2)), Tensor("t", "string", (None,))
FLAG = Tensor("flag", "bool", (None,))
INPUTS, OUTPUTS = {"t": TEXT, "x": X}, {"x": X, "t": TEXT}


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=20))
def test_texts_come_back(values: list[bytes]) -> None:
    made = np.array([*values, b""], dtype=object)[:-1]
    assert read_binary(TEXT, [len(values)], to_binary(made)).tolist() == values


@pytest.mark.parametrize("dtype", [name for name in DATATYPES if name != "string"])
def test_numbers_come_back(dtype: str) -> None:
    made = np.array([[0, 1], [1, 0]]).astype(dtype)
    found = read_binary(Tensor("x", dtype, (None, 2)), [2, 2], to_binary(made))
    assert (found.dtype, found.tolist()) == (made.dtype, made.tolist())


def body(tensors: list[dict[str, Any]], rest: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    head = json.dumps({"inputs": tensors, **more}).encode()
    return head + rest, {LENGTH: str(len(head))}


def asked(x: bytes, t: bytes) -> list[dict[str, Any]]:
    return [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": len(x)}},
        {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(t)}},
    ]


def test_tensors_behind_the_json_are_taken_in_order_and_answered_alike() -> None:
    x, t = np.array([1.5, -2], "<f4").tobytes(), struct.pack("<I", 3) + b"\xff,]"
    content, headers = body(asked(x, t), x + t, parameters={"binary_data_output": True})
    question = read_v2(*divided(content, headers)[:1], Columns(INPUTS), OUTPUTS, divided(content, headers)[1])
    assert question.arrays["x"].tolist() == [[1.5, -2]]
    assert question.arrays["t"].tolist() == [b"\xff,]"]
    written, about = joined(question.write(question.arrays))
    document, rest = divided(written, about)
    told = msgspec.json.decode(document)["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in told] == [8, 7]
    assert (bytes(rest), about["Content-Type"]) == (x + t, "application/octet-stream")


def test_an_output_is_binary_where_it_is_asked_for_so() -> None:
    x, t = np.zeros(2, "<f4").tobytes(), struct.pack("<I", 0)
    outputs = [{"name": "t"}, {"name": "x", "parameters": {"binary_data": True}}]
    content, headers = body(asked(x, t), x + t, outputs=outputs)
    question = read_v2(divided(content, headers)[0], Columns(INPUTS), OUTPUTS, divided(content, headers)[1])
    document, rest = divided(*joined(question.write(question.arrays)))
    told = msgspec.json.decode(document)["outputs"]
    assert told[0]["data"] == [""]
    assert (told[1]["parameters"], bytes(rest)) == ({"binary_data_size": 8}, x)
    assert joined({"outputs": [{"name": "x", "data": [1]}]})[1] == {}
    assert joined({"outputs": 2.5}) == (b'{"outputs":2.5}', {})  # V1's one output, of no rows


@pytest.mark.parametrize(
    ("tensor", "shape", "content"),
    [
        (X, [1, 2], b"\0" * 7),
        (X, [1, 2], b"\0" * 12),
        (X, [1, 3], b"\0" * 12),
        (X, [2**62, 2], b"\0" * 8),
        (X, [1] * 1000, b"\0" * 4),
        (X, [1, 2], struct.pack("<ff", float("nan"), 0)),
        (X, [1, 2], struct.pack("<ff", float("inf"), 0)),
        (FLAG, [1], b"\2"),
        (TEXT, [2**40], b"\0" * 8),
        (TEXT, [1], struct.pack("<I", 5) + b"abc"),
        (TEXT, [1], struct.pack("<I", 2) + b"abc"),
        (TEXT, [2], struct.pack("<I", 4) + b"abcd"),
        (TEXT, [0], b""),
    ],
)
def test_what_does_not_add_up_is_refused(tensor: Tensor, shape: list[int], content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_binary(tensor, shape, content)
    assert refused.value.status == 400


def test_lengths_of_the_parts_are_held_against_the_body() -> None:
    for text in ("-1", "x", "9" * 30, "3", "²"):
        with pytest.raises(Refused, match="send the JSON's length"):
            divided(b"{}", {LENGTH: text})
    for size in (-1, 5, True, None, "4", 1e3):
        with pytest.raises(Refused, match="binary_data_size"):
            Rest(memoryview(b"abcd")).take("x", size)
    with pytest.raises(Refused, match="belong to no tensor"):
        Rest(memoryview(b"abcd")).end()


@given(st.binary(max_size=64), st.integers(0, 20))
def test_any_bytes_are_an_array_or_refused(content: bytes, rows: int) -> None:
    for tensor, shape in ((X, [rows, 2]), (TEXT, [rows]), (FLAG, [rows])):
        try:
            found = read_binary(tensor, shape, content)
        except Refused:
            continue
        assert list(found.shape) == shape
