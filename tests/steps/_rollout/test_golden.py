"""What counts as the same answer as before."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._rollout.golden import close, difference

VALUES = st.recursive(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_is_close_to_itself(value: Any) -> None:
    assert close(value, value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.5, 0.50001, True),
        (0.5, 0.51, False),
        (1.0, 1, True),
        (3, 4, False),
        (3, 3.0, False),
        (1, True, False),
        ("a", "b", False),
        ([0.1, 0.9], [0.1, 0.90001], True),
        ([0.1, 0.9], [0.1], False),
        ([0.1], 0.1, False),
        (0.1, None, False),
        (float("nan"), float("nan"), True),
        (float("nan"), None, True),  # as JSON has it from our own server
        (float("inf"), float("inf"), True),
        (float("inf"), -float("inf"), False),
        (float("inf"), float("nan"), False),
        (float("nan"), 0.1, False),
    ],
)
def test_numbers_are_the_same_within_rounding_and_all_else_exactly(one: Any, other: Any, same: bool) -> None:
    assert close(one, other) is same


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"class": [1, 2]}, ""),
        ([1, 2], ""),  # a single output comes bare
        ({"class": [1, 3]}, "class of golden row 1 is 3, and was 2 when it was judged"),
        ({"class": [1]}, "class has other rows than when it was judged"),
        ({"label": [1, 2]}, "it has no output class, and had one when it was judged"),
    ],
)
def test_a_difference_is_told_with_its_row(outputs: Any, told: str) -> None:
    assert difference({"class": [1, 2]}, outputs) == told


def test_a_small_number_among_great_ones_is_rounded_as_they_are() -> None:
    assert not difference({"value": [[0.2], [200_000.0]]}, [[0.3], [200_001.0]])
    assert "golden row 0" in difference({"value": [[0.2], [20.0]]}, [[0.3], [20.0]])


@pytest.mark.parametrize(
    ("wanted", "outputs", "told"),
    [
        ({"word": ["grün", "b"]}, ["grün", "b"], ""),
        ({"word": ["grün", "b"]}, ["grun", "b"], "word of golden row 0 is grun, and was grün when it was judged"),
        ({"raw": [{"b64": "/w=="}]}, [{"b64": "/w=="}], ""),
        ({"raw": [{"b64": "/w=="}]}, [{"b64": "/g=="}], "raw of golden row 0 is {'b64': '/g=='}, and was"),
        ({"v": [[0.5] * 16]}, [[0.5] * 15 + [0.50001]], ""),
        ({"v": [[0.5] * 16]}, [[0.5] * 15 + [0.6]], "v of golden row 0 is"),
        ({"a": [[0.1, 0.2]], "b": ["x"]}, {"b": ["x"], "a": [[0.1, 0.2]]}, ""),
        ({"a": [[0.1, 0.2]], "b": ["x"]}, {"b": ["y"], "a": [[0.1, 0.2]]}, "b of golden row 0 is y"),
    ],
)
def test_texts_bytes_vectors_and_several_outputs_are_compared(wanted: Any, outputs: Any, told: str) -> None:
    found = difference(wanted, outputs)
    assert found.startswith(told) if told else found == ""
