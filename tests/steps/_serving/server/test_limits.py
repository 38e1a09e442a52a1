"""What small bodies may not become: work, memory, answers. Each was a way to stop the server."""

import json
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._serving.server import limits
from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.protocol import read_v1, read_v2
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor

IMAGE = {"image": Tensor("image", "uint8", (None, 8, 8))}
REAL = {"x": Tensor("x", "float32", (None,))}
TEXT = {"text": Tensor("text", "string", (None,))}
OUTPUTS = {"class": Tensor("class", "int64", (None,))}
ROWS = 4096
MIB = 1 << 20


def refused(ask: Callable[[], Any]) -> tuple[Refused, int]:
    """Return the refusal and the bytes that were taken at most until then."""
    tracemalloc.start()
    try:
        with pytest.raises(Refused) as found:
            ask()
        return found.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_shape_is_refused_before_its_product_is_made() -> None:
    shape = ",".join(["9223372036854775807"] * 40_000)
    body = b'{"inputs": [{"name": "image", "datatype": "UINT8", "data": [0], "shape": [%s]}]}' % shape.encode()
    error, taken = refused(lambda: read_v2(body, Columns(IMAGE), OUTPUTS))
    assert (error.status, taken < 8 * MIB) == (400, True)
    assert len(str(error)) < 500


def test_one_long_text_among_many_takes_no_room_for_each() -> None:
    for body in (["a" * 12_000, *[""] * 30_000], [0, "a" * 12_000, "", ""]):
        error, taken = refused(partial(read_v1, json.dumps({"instances": body}).encode(), Columns(REAL)))
        assert (error.status, taken < 4 * MIB) == (400, True)
        assert "float32 takes numbers only" in str(error)


def test_texts_take_the_room_that_they_need() -> None:
    tracemalloc.start()
    found = read_v1(json.dumps({"instances": ["a" * 12_000, *[""] * 30_000]}).encode(), Columns(TEXT)).arrays["text"]
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found), taken < 8 * MIB) == (30_001, True)


def test_four_million_scalars_are_refused_by_their_commas() -> None:
    body = b'{"instances": [' + b"0," * 4_000_000 + b"0]}"
    error, taken = refused(lambda: limits.check_body(body, IMAGE, ROWS))
    assert (error.status, taken < 64 * MIB) == (400, True)
    assert "4096 rows of this model's inputs" in str(error)


def test_what_is_answered_takes_at_most_eight_times_its_body() -> None:
    body = b'{"instances": [' + b"0," * 1_000_000 + b"0]}"
    tracemalloc.start()
    limits.check_body(body, REAL, 1_000_001)
    read_v1(body, Columns(REAL))
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 64 * MIB + 8 * len(body)


@pytest.mark.parametrize("filler", [b"[],", b"{},", b"[[[", b'{"a":[', b"0,", b'"",'])
def test_separators_of_any_kind_count(filler: bytes) -> None:
    error, _ = refused(lambda: limits.check_body(filler * 300_000, REAL, ROWS))
    assert error.status == 400


def test_whatever_fits_the_signature_is_below_the_bound() -> None:
    rows = [[[255] * 8] * 8] * ROWS
    limits.check_body(json.dumps({"instances": [{"image": row} for row in rows]}).encode(), IMAGE, ROWS)
    limits.check_body(json.dumps({"inputs": rows}).encode(), IMAGE, ROWS)
    two = IMAGE | {"mask": Tensor("mask", "float64", (None, 1, 1, 1))}
    body = json.dumps({"instances": [{"image": row, "mask": [[[-0.1234567890123456]]]} for row in rows]}, indent=1)
    limits.check_body(body.encode(), two, ROWS)
    named = {"text": Tensor("text", "string", (None,))}
    limits.check_body(json.dumps({"instances": [{"text": {"b64": "AA=="}}] * ROWS}).encode(), named, ROWS)


def test_commas_in_texts_are_no_separators() -> None:
    text = 'a, [b] {c} \\ " \\" ' * 20
    body = json.dumps({"instances": [text] * 10}).encode()
    assert limits.separators(body) == 2 + 9


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_separators_are_those_that_python_finds(value: Any) -> None:
    def count(found: Any) -> int:
        if isinstance(found, dict | list):
            items = list(found.values()) if isinstance(found, dict) else found
            return 1 + max(0, len(items) - 1) + sum(map(count, items))
        return 0

    assert limits.separators(json.dumps(value).encode()) == count(value)


def test_chunks_carry_whether_a_text_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHUNK", 7)
    assert limits.separators(json.dumps({"a": ["b, c, d, [e]", 1, 2]}).encode()) == 4


def test_a_body_may_have_what_the_rows_can_need() -> None:
    most = 32 << 20
    assert limits.body_limit(IMAGE, ROWS, most) == ROWS * (64 * limits.WIDEST + len("image") + limits.SPACE)
    assert limits.body_limit(REAL, 1, most) == limits.LEAST
    assert limits.body_limit(TEXT, ROWS, most) == most
    assert limits.body_limit({"x": Tensor("x", "float32", (None, None))}, ROWS, most) == most
    assert limits.body_limit(IMAGE, 1 << 30, most) == most


def test_an_output_is_written_once() -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "data": [0]}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "class"}] * 2000}).encode()
    with pytest.raises(Refused, match="more than once; ask for class once each"):
        read_v2(body, Columns(REAL), OUTPUTS)


def test_an_answer_is_held_against_its_bound_before_it_is_written() -> None:
    limits.check_answer({"y": np.zeros((100, 100), np.float32)}, 1 << 20)
    wide = {"y": np.broadcast_to(np.float32(0), (100_000, 1000))}  # 400 MB, were it written
    error, taken = refused(lambda: limits.check_answer(wide, 64 << 20))
    assert (error.status, taken < MIB) == (413, True)
    texts = np.array([b"a" * 1000] * 2000, dtype=object)
    assert refused(lambda: limits.check_answer({"t": texts}, 1 << 20))[0].status == 413


@pytest.mark.parametrize("name", [[], {}, None, 1, True, "other", ["serving_default"]])
def test_a_signature_name_of_any_type_is_the_clients_error(name: Any) -> None:
    with pytest.raises(Refused) as error:
        read_v1(json.dumps({"signature_name": name, "instances": [1.0]}).encode(), Columns(REAL))
    assert error.value.status == 400
