"""Whether a client of the served version can ask the new one as before."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._evaluation.clients import keep_working


def tensor(dtype: str = "float32", *shape: int | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [None, *shape]}


SERVED = {
    "inputs": {"x": tensor("float32", 4), "word": tensor("string")},
    "outputs": {"class": tensor("int64"), "probability": tensor("float32", 3)},
}
tensors = st.dictionaries(
    st.sampled_from("abc"), st.builds(tensor, st.sampled_from(["float32", "int64"]), st.none() | st.integers(1, 3))
)
signatures = st.fixed_dictionaries({"inputs": tensors, "outputs": tensors})


@given(signatures)
def test_the_same_signature_keeps_clients_working(signature: Any) -> None:
    assert keep_working(signature, signature, 1, "error") == ()


@given(signatures, tensors)
def test_more_outputs_break_nobody(signature: Any, more: Any) -> None:
    wider = signature | {"outputs": {**more, **signature["outputs"]}}
    assert keep_working(wider, signature, 1, "error") == ()


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("inputs", {"word": None}, "it no longer takes the input word"),
        ("inputs", {"z": tensor()}, "it asks for the input z"),
        ("inputs", {"x": tensor("float64", 4)}, "it takes x as float64[4], and they send float32[4]"),
        ("inputs", {"x": tensor("float32", 5)}, "it takes x as float32[5], and they send float32[4]"),
        ("inputs", {"x": tensor("float32", 4, 1)}, "it takes x as float32[4, 1], and they send float32[4]"),
        ("inputs", {"x": tensor("float32", None)}, ""),  # which takes what they send, too
        ("outputs", {"class": None}, "it no longer gives the output class"),
        ("outputs", {"class": tensor("string")}, "it gives class as string[], and they know int64[]"),
        ("outputs", {"probability": tensor("float32", None)}, "it gives probability as float32[any], and they know"),
        ("outputs", {"score": tensor()}, ""),
    ],
)
def test_what_changed_is_named(kind: str, changed: dict[str, Any], said: str) -> None:
    mine = {name: found for name, found in {**SERVED[kind], **changed}.items() if found is not None}
    found = keep_working(SERVED | {kind: mine}, SERVED, 3, "warn")
    assert len(found) == bool(said)
    for check in found:
        assert (check.passed, check.severity) == (False, "warn")
        assert check.reason.startswith(f"clients of version 3 break: {said}")


def test_an_older_release_told_no_signature() -> None:
    assert keep_working(SERVED, {}, 1, "error") == keep_working({}, SERVED, 1, "error") == ()
